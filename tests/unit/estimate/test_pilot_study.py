"""A pilot's spreads: those that its values were drawn with, and what its design does not tell."""

import math

import numpy as np
import pytest

from codewatt.errors import CodewattError
from codewatt.estimate.known_spread import known_spread, recorded_spread
from codewatt.estimate.pilot_study import Pilot, PilotSpread, read_pilot
from tests.support.pilot_tables import SPREAD, write_pilot


def two_way(runs):
    """Cell x session and session SDs of values with one repeat, from the two-way analysis of
    variance without replication; averaged over models."""
    jobs, sessions = [], []
    for _, of_model in runs.groupby("model"):
        table = np.log(of_model.pivot(index="cell_id", columns="session", values="energy_j"))
        y = table.to_numpy()
        apart = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean()
        rows, columns = y.shape
        residual = (apart**2).sum() / ((rows - 1) * (columns - 1))
        of_sessions = rows * y.mean(axis=0).var(ddof=1)
        jobs.append(residual)
        sessions.append((of_sessions - residual) / rows)
    return math.sqrt(np.mean(jobs)), math.sqrt(np.mean(sessions))


def test_a_pilot_gives_the_spreads_that_its_values_were_drawn_with(tmp_path):
    write_pilot(tmp_path / "tables", np.random.default_rng(7))
    pilot = read_pilot(tmp_path / "tables")
    assert pilot.sessions == 40
    found = pilot.spreads["energy_j"]
    assert found.within_job == pytest.approx(SPREAD.within_job, rel=0.1)
    assert found.cell_session == pytest.approx(SPREAD.cell_session, rel=0.15)
    assert found.between_sessions == pytest.approx(SPREAD.between_sessions, rel=0.3)
    assert pilot.discordant == {"he": 7 / 50}


def test_one_repeat_per_job_leaves_the_spread_of_jobs_and_sessions(tmp_path):
    runs = write_pilot(tmp_path, np.random.default_rng(11), sessions=5, cells=3, repeats=1)
    found = read_pilot(tmp_path).spreads["energy_j"]
    jobs, sessions = two_way(runs[runs["valid"]])
    assert found.within_job is None
    assert found.cell_session == pytest.approx(jobs, rel=1e-9)
    assert found.between_sessions == pytest.approx(sessions, rel=1e-9)


def test_families_with_repeats_alone_give_the_separated_component(tmp_path):
    """Where model b has one repeat per job, its cell x session contains the spread within jobs."""
    runs = write_pilot(tmp_path, np.random.default_rng(12), sessions=4, cells=3)
    both = read_pilot(tmp_path).spreads["energy_j"]
    runs[(runs["model"] == "a")].to_parquet(tmp_path / "run.parquet")
    alone = read_pilot(tmp_path).spreads["energy_j"]
    runs[(runs["model"] == "a") | (runs["repeat"] == 0)].to_parquet(tmp_path / "run.parquet")
    assert read_pilot(tmp_path).spreads["energy_j"] == alone != both


def test_one_cell_leaves_the_spread_of_sessions_with_that_of_its_jobs(tmp_path):
    draw = np.random.default_rng(13)
    runs = write_pilot(tmp_path, draw, sessions=6, cells=1, repeats=1, models=("a",))
    found = read_pilot(tmp_path).spreads["energy_j"]
    values = np.log(runs.loc[runs["valid"], "energy_j"])
    assert (found.within_job, found.cell_session) == (None, None)
    assert found.between_sessions == pytest.approx(values.std(ddof=1), rel=1e-9)


def test_one_session_leaves_the_spread_within_jobs(tmp_path):
    runs = write_pilot(tmp_path, np.random.default_rng(14), sessions=1)
    found = read_pilot(tmp_path).spreads["energy_j"]
    logs = np.log(runs[runs["valid"]].set_index("cell_id")["energy_j"])
    pooled = logs.groupby(level=0).var(ddof=1).mean()
    assert found.within_job == pytest.approx(math.sqrt(pooled), rel=1e-9)
    assert (found.cell_session, found.between_sessions) == (None, None)


def test_values_that_are_absent_or_not_positive_are_not_counted(tmp_path):
    runs = write_pilot(tmp_path, np.random.default_rng(15), sessions=3)
    runs["energy_j"] = runs["energy_j"].where(runs["repeat"] < 2)
    runs.loc[runs["repeat"] == 3, "energy_j"] = 0.0
    runs["duration_s"] = np.nan
    runs.to_parquet(tmp_path / "run.parquet")
    found = read_pilot(tmp_path).spreads
    runs[runs["repeat"] < 2].to_parquet(tmp_path / "run.parquet")
    assert found["energy_j"] == read_pilot(tmp_path).spreads["energy_j"]
    assert found["duration_s"] == PilotSpread(None, None, None)


@pytest.mark.parametrize("runs_left", [25, 0])
def test_a_pilot_without_valid_runs_is_refused(tmp_path, runs_left):
    runs = write_pilot(tmp_path, np.random.default_rng(16), sessions=1, cells=3)
    assert len(runs) == 25
    runs["valid"] = False
    runs[:runs_left].to_parquet(tmp_path / "run.parquet")
    with pytest.raises(CodewattError) as caught:
        read_pilot(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/run.parquet: column valid: no valid run among {runs_left}; allowed: "
        "results of a finished study with at least one valid run"
    )


def test_an_infinite_value_is_refused(tmp_path):
    runs = write_pilot(tmp_path, np.random.default_rng(17), sessions=1, cells=2)
    runs.loc[5, "energy_j"] = math.inf
    runs.to_parquet(tmp_path / "run.parquet")
    with pytest.raises(CodewattError) as caught:
        read_pilot(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/run.parquet: column energy_j: inf in cell a1; allowed: finite numbers"
    )


def pilot_of(*sds):
    return Pilot({"energy_j": PilotSpread(*sds)}, {}, 3)


def test_the_spread_is_the_pilots_where_it_has_one():
    recorded = recorded_spread("gpu", "energy_j")
    expected = {
        (0.1, 0.2, 0.3): (0.1, 0.2, 0.3),
        (None, 0.2, 0.3): (None, 0.2, 0.3),
        (0.1, None, 0.3): (0.1, recorded.cell_session, recorded.between_sessions),
    }
    for sds, wanted in expected.items():
        spread, unknown = known_spread("gpu", "energy_j", pilot_of(*sds))
        assert (spread.within_job, spread.cell_session, spread.between_sessions) == wanted
        assert unknown is None
    for sds, why in (
        ((None, None, 0.3), "no two values of one job, and not two cells of one setting in two"),
        ((0.0, 0.0, 0.3), "the standard deviations in the pilot are 0"),
        ((None, 0.0, None), "the standard deviations in the pilot are 0"),
    ):
        spread, unknown = known_spread("gpu", "energy_j", pilot_of(*sds))
        assert spread.cell_session == recorded.cell_session
        assert spread.source.startswith(recorded.source)
        assert why in spread.source
        assert unknown is None
        spread, unknown = known_spread("cpu", "energy_j", pilot_of(*sds))
        assert spread is None
        assert why in unknown
        assert unknown.endswith("none is recorded for device 'cpu'")


def test_without_a_record_a_pilot_of_one_cell_tells_its_jobs_only():
    spread, unknown = known_spread("cpu", "energy_j", pilot_of(0.1, None, 0.3))
    assert (spread.within_job, spread.cell_session, spread.between_sessions) == (0.1, None, 0.3)
    assert unknown.startswith("the spread cell x session is unknown: the pilot lacks two cells")
