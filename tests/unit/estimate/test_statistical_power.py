"""What a design can detect, against statsmodels, simulations and published figures."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower

from codewatt.cli import main
from codewatt.config.study import Study
from codewatt.estimate.pilot_study import read_pilot
from codewatt.estimate.power_report import make_power_report
from codewatt.estimate.statistical_power import (
    Spread,
    detectable_change,
    detectable_difference,
    repeats_needed,
    sessions_needed,
    tasks_needed,
)
from codewatt.grid import Grid

SPREAD = Spread(0.003, 0.01, 0.06, "a test")
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("sessions", [3, 5, 10])
@pytest.mark.parametrize("comparisons", [1, 4])
def test_the_change_between_sessions_has_the_power_that_statsmodels_computes(sessions, comparisons):
    change = math.log1p(detectable_change(SPREAD, 5, sessions, comparisons))
    sd = math.sqrt(2 * (0.01**2 + 0.003**2 / 5))
    power = TTestPower().power(
        effect_size=change / sd, nobs=sessions, alpha=0.05 / comparisons, alternative="two-sided"
    )
    assert power == pytest.approx(0.8, abs=2e-3)


def test_two_sessions_have_the_power_of_the_noncentral_t_distribution():
    """statsmodels gives no power for one degree of freedom."""
    change = math.log1p(detectable_change(SPREAD, 5, 2))
    error = math.sqrt(0.01**2 + 0.003**2 / 5)
    assert stats.nct.sf(stats.t.ppf(0.975, 1), 1, change / error) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("repeats", [2, 5, 20])
def test_the_change_within_one_session_has_the_power_that_statsmodels_computes(repeats):
    change = math.log1p(detectable_change(SPREAD, repeats, 1))
    power = TTestIndPower().power(effect_size=change / 0.003, nobs1=repeats, alpha=0.05)
    assert power == pytest.approx(0.8, abs=2e-3)


def test_one_repeat_of_one_session_detects_nothing():
    assert detectable_change(SPREAD, 1, 1) is None


def test_studies_of_the_needed_size_find_the_change_in_four_of_five_cases():
    """Sessions drawn with a common session effect, which cancels, and a change of 2 %."""
    sessions = sessions_needed(SPREAD, 5, 0.02)
    draw = np.random.default_rng(5)
    shape = (20_000, sessions)
    common = draw.normal(0, SPREAD.between_sessions, shape)

    def means(effect):
        job = draw.normal(0, SPREAD.cell_session, shape)
        noise = draw.normal(0, SPREAD.within_job, (*shape, 5)).mean(axis=2)
        return effect + common + job + noise

    apart = means(math.log1p(0.02)) - means(0.0)
    found = (stats.ttest_1samp(apart, 0, axis=1).pvalue < 0.05).mean()
    assert 0.79 < found < 0.88  # whole sessions: the power is 0.8 or somewhat more
    assert detectable_change(SPREAD, 5, sessions - 1) > 0.02


def test_counts_are_the_smallest_that_suffice():
    for change in (0.01, 0.02, 0.05):
        sessions = sessions_needed(SPREAD, 5, change)
        assert detectable_change(SPREAD, 5, sessions) <= change
        assert sessions == 2 or detectable_change(SPREAD, 5, sessions - 1) > change
        repeats = repeats_needed(SPREAD, change)
        assert detectable_change(SPREAD, repeats, 1) <= change
        assert repeats == 2 or detectable_change(SPREAD, repeats - 1, 1) > change
    assert sessions_needed(Spread(0.1, 0.5, None, ""), 1, 0.01) is None
    assert repeats_needed(Spread(5.0, 0.5, None, ""), 0.01) is None


def test_known_numbers_of_tasks():
    """HumanEval+ sees about 7 points and BigCodeBench 2.6, where 10 % of the tasks differ."""
    assert detectable_difference(164, 0.1) == pytest.approx(0.069, abs=0.0005)
    assert detectable_difference(1140, 0.1) == pytest.approx(0.0262, abs=0.0005)
    for tasks in (164, 378, 1140):
        difference = detectable_difference(tasks, 0.1)
        assert tasks_needed(difference, 0.1) == pytest.approx(tasks, abs=1)
    assert detectable_difference(60, 0.1) is None


def test_mcnemar_finds_the_difference_in_four_of_five_benchmarks():
    """The asymptotic test, for which Connor's formula is meant."""
    difference, discordant = 0.03, 0.1
    tasks = tasks_needed(difference, discordant)
    draw = np.random.default_rng(6)
    gained_share = (discordant - difference) / 2
    counts = draw.multinomial(
        tasks, [discordant - gained_share, gained_share, 1 - discordant], size=40_000
    )
    lost, gained = counts[:, 0], counts[:, 1]
    found = (np.abs(lost - gained) / np.sqrt(np.maximum(lost + gained, 1)) > 1.959964).mean()
    assert found == pytest.approx(0.8, abs=0.015)


def write_tables(folder, draw, sessions=40, cells=6, repeats=4):
    """Tables of a study whose spreads are those of SPREAD, of two models."""
    rows = []
    for model in ("a", "b"):
        setting = {"model": model, "benchmark": "he", "prompt": "stripped", "token_limit": 64}
        setting |= {"batch_size": 1, "engine": "graph", "hardware": None}
        common = draw.normal(0, SPREAD.between_sessions, sessions)
        for cell in range(cells):
            for session in range(sessions):
                job = cell + common[session] + draw.normal(0, SPREAD.cell_session)
                for repeat in range(repeats):
                    value = math.exp(job + draw.normal(0, SPREAD.within_job))
                    ids = {"cell_id": f"{model}{cell}", "session": session + 1, "repeat": repeat}
                    rows.append(
                        {**ids, **setting, "valid": True, "energy_j": value, "duration_s": value}
                    )
    rows.append({**rows[-1], "valid": False, "energy_j": 1e9, "repeat": 99})
    folder.mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(folder / "run.parquet")
    cells_table = pd.DataFrame(
        {
            "benchmark": ["he"] * 3,
            "cell_id": ["a0", "a1", "a2"],
            "baseline_cell_id": ["a0"] * 3,
            "tasks_judged": pd.array([50] * 3, dtype="Int64"),
            "tasks_lost_base": pd.array([None, 4, 2], dtype="Int64"),
            "tasks_gained_base": pd.array([None, 1, 0], dtype="Int64"),
            "tasks_lost_plus": pd.array([None, 6, None], dtype="Int64"),
            "tasks_gained_plus": pd.array([None, 1, None], dtype="Int64"),
        }
    )
    cells_table.to_parquet(folder / "cell.parquet")


def test_a_pilot_gives_the_spreads_that_its_values_were_drawn_with(tmp_path):
    write_tables(tmp_path / "tables", np.random.default_rng(7))
    pilot = read_pilot(tmp_path / "tables")
    assert pilot.sessions == 40
    assert pilot.within_job["energy_j"] == pytest.approx(SPREAD.within_job, rel=0.1)
    assert pilot.cell_session["energy_j"] == pytest.approx(SPREAD.cell_session, rel=0.15)
    assert pilot.between_sessions["energy_j"] == pytest.approx(SPREAD.between_sessions, rel=0.3)
    assert pilot.discordant == {"he": 7 / 50}


def test_the_command_says_what_the_design_can_tell(capsys):
    study = str(REPOSITORY / "config/studies/starcoder2-3b-quantised.yaml")
    assert main(["power", study]) == 0
    text = capsys.readouterr().out
    assert "1 (this study)" in text
    assert "docs/archive/h200-sessions.md" in text
    assert "McNemar" in text
    assert main(["power", study, "--json"]) == 0
    assert '"detectable"' in capsys.readouterr().out


def test_a_pilot_of_one_session_leaves_the_rest_to_the_record(tmp_path, capsys):
    write_tables(tmp_path / "tables", np.random.default_rng(8), sessions=1)
    study = str(REPOSITORY / "config/studies/starcoder2-3b-quantised.yaml")
    assert main(["power", study, "--pilot", str(tmp_path)]) == 0
    assert "within a job: the pilot; the rest, which needs two sessions" in capsys.readouterr().out
    nano = str(REPOSITORY / "config/studies/nano.yaml")
    assert main(["power", nano, "--device", "cpu", "--pilot", str(tmp_path)]) == 0
    assert "--pilot DIR" in capsys.readouterr().out


def test_a_missing_pilot_is_named(tmp_path, capsys):
    study = str(REPOSITORY / "config/studies/nano.yaml")
    assert main(["power", study, "--pilot", str(tmp_path / "none")]) == 1
    error = capsys.readouterr().err
    assert "run.parquet" in error
    assert error.count("\n") == 1


def test_comparisons_are_those_with_a_baseline_and_the_named_pairs(tmp_path):
    """A cell whose baseline is excluded is compared with nothing."""
    study = yaml.safe_load((REPOSITORY / "config/studies/nano.yaml").read_text())
    grid = Grid(Study(**study))
    baselines = [c for c in grid.cells if (c.prune, c.precision) == ("full", "fp32")]
    settings = {(c.model, c.benchmark, c.prompt, c.token_limit, c.batch_size) for c in baselines}
    compared = [
        c
        for c in grid.cells
        if c not in baselines
        and (c.model, c.benchmark, c.prompt, c.token_limit, c.batch_size) in settings
    ]
    assert make_power_report(grid, "gpu", None).comparisons == len(compared)
    pair = {"cell": {"precision": "nf4"}, "reference": {"precision": "int8"}}
    more = Grid(Study(**study, comparisons={"pairs": [pair]}))
    assert more.named_pairs
    assert make_power_report(more, "gpu", None).comparisons == len(compared) + len(more.named_pairs)
    model = study["models"][0]["id"]
    without = [*study.get("exclude", []), {"model": model, "precision": "fp32", "prune": "full"}]
    fewer = Grid(Study(**{**study, "exclude": without}))
    lost = sum(c.model == model for c in compared)
    assert make_power_report(fewer, "gpu", None).comparisons == max(1, len(compared) - lost)


def test_a_pilot_whose_variants_solve_the_same_tasks_is_said(tmp_path):
    write_tables(tmp_path / "tables", np.random.default_rng(9), sessions=2)
    cells = pd.read_parquet(tmp_path / "tables" / "cell.parquet")
    for name in ("tasks_lost_base", "tasks_gained_base", "tasks_lost_plus", "tasks_gained_plus"):
        cells[name] = pd.array([None, 0, 0], dtype="Int64")
    cells["benchmark"] = "nano"
    cells.to_parquet(tmp_path / "tables" / "cell.parquet")
    study = yaml.safe_load((REPOSITORY / "config/studies/nano.yaml").read_text())
    [part] = make_power_report(
        Grid(Study(**study)), "gpu", read_pilot(tmp_path / "tables")
    ).accuracy
    assert part.discordant == 0.1
    assert part.discordant_source == "assumed: none in the pilot"
