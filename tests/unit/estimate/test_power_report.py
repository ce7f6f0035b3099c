"""What `codewatt power` prints of studies and pilots, also of poor ones."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from codewatt.cli import main
from codewatt.config.study import Study
from codewatt.estimate.pilot_study import read_pilot
from codewatt.estimate.power_report import make_power_report
from codewatt.estimate.power_text import power_text, power_values
from codewatt.estimate.statistical_power import Spread
from codewatt.grid import Grid
from codewatt.sizing.workload import BENCHMARKS
from tests.support.pilot_tables import write_pilot

STUDIES = Path(__file__).resolve().parents[3] / "config/studies"
QUANTISED, NANO = str(STUDIES / "starcoder2-3b-quantised.yaml"), str(STUDIES / "nano.yaml")


def nano_grid(**changes):
    return Grid(Study(**{**yaml.safe_load(Path(NANO).read_text()), **changes}))


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def flat(text):
    """Without line ends and columns."""
    return " ".join(text.split())


def test_the_command_says_what_the_design_can_tell(capsys):
    assert main(["power", QUANTISED]) == 0
    text = capsys.readouterr().out
    assert "1 (this study)" in text
    assert "docs/archive/h200-sessions.md" in text
    assert "McNemar" in text
    assert main(["power", QUANTISED, "--json"]) == 0
    values = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert values["comparisons"] == 6
    assert values["notes"] == []


def test_the_page_shows_what_the_command_prints(capsys):
    page = (STUDIES.parents[1] / "docs/how-to/estimate.md").read_text()
    shown = page.partition("$ codewatt power")[2].partition("\n")[2].partition("...")[0]
    assert main(["power", QUANTISED]) == 0
    assert capsys.readouterr().out.startswith(shown)


def test_a_pilot_of_one_session_leaves_the_rest_to_the_record(tmp_path, capsys):
    write_pilot(tmp_path / "tables", np.random.default_rng(8), sessions=1)
    assert main(["power", QUANTISED, "--pilot", str(tmp_path)]) == 0
    text = flat(capsys.readouterr().out)
    assert (
        "Source: within a job: the pilot; the rest, which needs two cells of one setting in two "
        "sessions: recorded: StarCoder2-3B" in text
    )
    assert main(["power", NANO, "--device", "cpu", "--pilot", str(tmp_path)]) == 0
    text = flat(capsys.readouterr().out)
    assert "Source: the pilot, 1 session." in text
    assert "Without the spread cell x session there is no value for several sessions." in text
    assert (
        "Energy: the spread cell x session is unknown: the pilot lacks two cells of one setting in "
        "two sessions; none is recorded for device 'cpu'. Allowed: --pilot DIR with a finished "
        "study of two repeats per job, and two cells of one setting in two sessions." in text
    )


def test_a_missing_pilot_is_named(tmp_path, capsys):
    assert main(["power", NANO, "--pilot", str(tmp_path / "none")]) == 1
    error = capsys.readouterr().err
    assert "run.parquet" in error
    assert error.count("\n") == 1


def test_a_pilot_without_valid_runs_ends_in_one_line(tmp_path, capsys):
    runs = write_pilot(tmp_path / "tables", np.random.default_rng(8), sessions=1)
    runs.assign(valid=False).to_parquet(tmp_path / "tables/run.parquet")
    assert main(["power", NANO, "--pilot", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "run.parquet: column valid: no valid run among 49; allowed: " in error
    assert error.count("\n") == 1


def test_a_change_without_a_bound_is_printed_and_null_in_json(tmp_path, capsys):
    """The largest float is exp(709.8); with six comparisons the log change is 2,000 and more."""
    spread = Spread(30.0, 30.0, 1.0, "")
    draw = np.random.default_rng(10)
    write_pilot(tmp_path / "tables", draw, sessions=3, cells=3, repeats=2, spread=spread)
    assert main(["power", QUANTISED, "--pilot", str(tmp_path)]) == 0
    [line] = {ln for ln in capsys.readouterr().out.splitlines() if ln.startswith("2  ")}
    assert line.split("  ")[-1].strip() == "> 100 %"
    assert main(["power", QUANTISED, "--pilot", str(tmp_path), "--json"]) == 0
    values = json.loads(capsys.readouterr().out, parse_constant=refuse)
    for part in values["energy"]:
        assert part["detectable"]["2"][0] > 1e100
        assert part["detectable"]["2"][1] is None
        assert part["sessions_needed"]["0.05"] == [None, None]
        assert part["repeats_needed"]["0.05"] == [None, None]


def test_one_repeat_per_job_tells_sessions_and_what_is_not_separated(tmp_path, capsys):
    write_pilot(tmp_path / "tables", np.random.default_rng(11), sessions=4, repeats=1)
    assert main(["power", NANO, "--device", "cpu", "--pilot", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "% cell x session and within a job together," in text
    assert "between sessions for all cells alike (cancels). Source: the pilot, 4 sessions." in flat(
        text
    )
    assert (
        "The pilot has one repeat per job, which does not separate the spread within a job: there "
        "is no value for one session, and those for several are upper bounds." in flat(text)
    )
    [row] = {ln for ln in text.splitlines() if ln.startswith("1 (this study)")}
    assert row.split()[-2:] == ["-", "-"]
    report = make_power_report(nano_grid(), "cpu", read_pilot(tmp_path / "tables"))
    together = report.energy[0].spread.cell_session
    # scipy's noncentral t at the smallest log change: power 0.8 with the SD of one repeat.
    size = math.log1p(report.energy[0].detectable[3][0]) / (math.sqrt(2 / 3) * together)
    assert stats.nct.sf(stats.t.ppf(0.975, 2), 2, size) == pytest.approx(0.8, abs=1e-6)


def test_a_metric_without_a_spread_is_named_and_the_other_is_there(tmp_path):
    runs = write_pilot(tmp_path / "tables", np.random.default_rng(12), sessions=3)
    runs.assign(energy_j=np.nan, duration_s=5.0).to_parquet(tmp_path / "tables/run.parquet")
    report = make_power_report(nano_grid(), "cpu", read_pilot(tmp_path / "tables"))
    allowed = (
        "none is recorded for device 'cpu'. Allowed: --pilot DIR with a finished study of two "
        "repeats per job, and two cells of one setting in two sessions."
    )
    assert report.energy == []
    assert report.notes[:2] == [
        "Energy: no spread is known: the pilot has no two values of one job, and not two cells of "
        f"one setting in two sessions; {allowed}",
        f"Time: no spread is known: the standard deviations in the pilot are 0; {allowed}",
    ]
    runs.assign(energy_j=np.nan).to_parquet(tmp_path / "tables/run.parquet")
    report = make_power_report(nano_grid(), "cpu", read_pilot(tmp_path / "tables"))
    assert [part.metric for part in report.energy] == ["duration_s"]
    assert [note.partition(":")[0] for note in report.notes[:2]] == [
        "Energy",
        "Benchmarks of the pilot that the study does not have, so that they are not used",
    ]


def exclude_all_but(*precisions):
    every = ("fp32", "int8", "nf4")
    return [
        {"prompt": "as_is"},
        {"model": "qwen2-nano"},
        {"prune": ["last1", "last2"]},
        *[{"precision": one} for one in every if one not in precisions],
    ]


@pytest.mark.parametrize(
    ("precisions", "sentence", "head"),
    [
        (
            ("fp32",),
            "The study compares no cells; the values are those of a single comparison.",
            ["sessions", "change"],
        ),
        (("fp32", "nf4"), "The study makes one comparison.", ["sessions", "change"]),
        (
            ("fp32", "nf4", "int8"),
            "'one' is a single comparison of two cells; 'all' is each of the 2 comparisons of the "
            "study at 5 %/2 (Bonferroni).",
            ["sessions", "one", "all"],
        ),
    ],
)
def test_studies_with_no_one_and_several_comparisons(precisions, sentence, head):
    report = make_power_report(nano_grid(exclude=exclude_all_but(*precisions)), "gpu", None)
    assert report.comparisons == len(precisions) - 1
    text = power_text(report)
    assert f"Power 80 %, two-sided level 5 %. {sentence}" in flat(text)
    tables = [line.split() for line in text.splitlines() if line.startswith("sessions ")]
    assert tables == [head, head]
    assert ("(all)" in text) == (len(precisions) > 2)
    assert "1 comparisons" not in text
    for part in power_values(report)["energy"]:
        one, every = part["detectable"][3]
        assert (one == every) == (len(precisions) < 3)


def test_benchmarks_that_are_left_out_are_named(tmp_path, monkeypatch):
    write_pilot(tmp_path / "tables", np.random.default_rng(9), sessions=2)
    pilot = read_pilot(tmp_path / "tables")
    report = make_power_report(nano_grid(), "gpu", pilot)
    assert report.notes == [
        "Benchmarks of the pilot that the study does not have, so that they are not used: he. "
        "Benchmarks of the study: nano."
    ]
    assert report.accuracy[0].discordant_source == "assumed: not in the pilot"
    monkeypatch.delitem(BENCHMARKS, "nano")
    report = make_power_report(nano_grid(), "gpu", None)
    assert report.accuracy == []
    assert report.notes == [
        "pass@1 on nano: the number of tasks is unknown for a benchmark of kind 'nano'; known: "
        "humaneval_plus, mbpp_plus, bigcodebench."
    ]
    assert report.notes[0] in flat(power_text(report))
    assert power_values(report)["notes"] == report.notes


def test_a_pilot_whose_variants_solve_the_same_tasks_is_said(tmp_path):
    write_pilot(tmp_path / "tables", np.random.default_rng(9), sessions=2)
    cells = pd.read_parquet(tmp_path / "tables" / "cell.parquet")
    for name in ("tasks_lost_base", "tasks_gained_base", "tasks_lost_plus", "tasks_gained_plus"):
        cells[name] = pd.array([None, 0, 0], dtype="Int64")
    cells["benchmark"] = "nano"
    cells.to_parquet(tmp_path / "tables" / "cell.parquet")
    [part] = make_power_report(nano_grid(), "gpu", read_pilot(tmp_path / "tables")).accuracy
    assert part.discordant == 0.1
    assert part.discordant_source == "assumed: none in the pilot"


def test_differences_that_no_number_of_tasks_shows_are_explained(tmp_path):
    """Where 2 % of the tasks differ, pass@1 differs by at most 2 points."""
    write_pilot(tmp_path / "tables", np.random.default_rng(9), sessions=2)
    cells = pd.read_parquet(tmp_path / "tables" / "cell.parquet").assign(benchmark="nano")
    for name in ("tasks_lost_plus", "tasks_gained_plus", "tasks_gained_base"):
        cells[name] = pd.array([None, 0, 0], dtype="Int64")
    cells["tasks_lost_base"] = pd.array([None, 1, 0], dtype="Int64")
    cells.to_parquet(tmp_path / "tables" / "cell.parquet")
    report = make_power_report(nano_grid(), "gpu", read_pilot(tmp_path / "tables"))
    text = power_text(report)
    assert "'-': larger than the share of tasks that only one solves." in flat(text)
    assert "detects: none (one), none (all)." in flat(text)
    [row] = {line for line in text.splitlines() if line.startswith("5 points")}
    assert row.split()[2:] == ["-", "-"]


def test_sampled_completions_are_noted():
    decoding = {"strategy": "sampled", "temperature": 0.2, "samples": 5, "repeats": 1}
    report = make_power_report(nano_grid(decoding=decoding), "gpu", None)
    assert report.notes[-1].startswith("The study samples completions.")
    text = flat(power_text(report))
    assert "One session of one repeat allows no test." in text
    assert report.energy[0].detectable[1] == (None, None)


def test_equal_repeats_of_a_job_are_noted(tmp_path):
    spread = Spread(0.0, 0.01, 0.06, "")
    write_pilot(tmp_path / "tables", np.random.default_rng(18), sessions=3, spread=spread)
    report = make_power_report(nano_grid(), "cpu", read_pilot(tmp_path / "tables"))
    assert report.energy[0].detectable[1] == (0.0, 0.0)
    assert report.energy[0].detectable[3][0] > 0.01
    assert (
        "The repeats of each job of the pilot are equal, so that the values for one session say "
        "nothing." in flat(power_text(report))
    )
