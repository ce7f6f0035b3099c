"""A task's energy: the batch's is shared out whole, and what cannot be resolved is refused."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewatt.energy.boundaries import Boundaries
from codewatt.energy.energy_sources import choose_sources
from codewatt.energy.integration import Series
from codewatt.energy.task_energy import FIGURES, shared_joules, task_energies, write_task_energies
from codewatt.energy.timeline_reader import read_timeline


def task(start_s: float, end_s: float, batch: int = 0, name: str = "t0") -> dict[str, Any]:
    keys = {"repeat": 0, "batch": batch, "sample": 0, "task_id": name}
    return {**keys, "start_s": start_s, "end_s": end_s}


@pytest.fixture
def rows(bench: Any, tmp_path: Path) -> Any:
    """rows(tasks, share=1.0): their energies on `bench` as it stands."""

    def make(tasks: list[dict[str, Any]], share: float = 1.0) -> list[dict[str, Any]]:
        sources = choose_sources(read_timeline(bench.write(tmp_path / "timeline.parquet")))
        return task_energies(sources, Boundaries(uses_gpu=True, share=share), tasks)

    return make


def test_a_task_alone_has_the_energy_between_its_edges(rows: Any) -> None:
    row = rows([task(1031.0, 1033.0)], share=0.25)[0]
    assert row["gpu_j"] == pytest.approx(600)
    assert row["cpu_j"] == pytest.approx(120)
    assert row["node_j"] == pytest.approx(726)
    assert row["job_j"] == pytest.approx(600 + 126 / 4)
    assert row["energy_note"] is None


def test_its_uncertainty_is_what_the_counters_steps_leave_open(rows: Any) -> None:
    row = rows([task(1031.05, 1033.05)])[0]
    # Half a step of 30 J at each edge, and the time of a step, 10 ms, at 300 W at each.
    assert row["gpu_uncertainty_j"] == pytest.approx(2 * 15 + 2 * 3, rel=0.05)
    assert row["gpu_uncertainty_j"] < row["node_uncertainty_j"]


def test_a_task_of_50_ms_has_no_figure_from_a_counter_of_100_ms_and_says_so(rows: Any) -> None:
    row = rows([task(1031.0, 1031.05)])[0]
    assert {row[name] for name in FIGURES} == {None}
    assert (
        "gpu: the window of 0.050 s is shorter than the time between readings"
        in (row["energy_note"])
    )


def test_tasks_of_a_batch_share_each_moment_equally(rows: Any) -> None:
    batch = [task(1031, 1032, name="a"), task(1031, 1033, name="b"), task(1031, 1035, name="c")]
    first, second, third = (row["gpu_j"] for row in rows(batch))
    assert first == pytest.approx(300 / 3)
    assert second == pytest.approx(300 / 3 + 300 / 2)
    assert third == pytest.approx(300 / 3 + 300 / 2 + 600)


def test_batches_that_overlap_share_and_no_joule_counts_twice(rows: Any) -> None:
    found = rows([task(1031, 1032, batch=0), task(1031, 1032, batch=1)])
    assert [row["gpu_j"] for row in found] == [pytest.approx(150)] * 2


def test_a_task_that_is_not_covered_spoils_no_other(rows: Any) -> None:
    inside, outside = rows([task(1080, 1084, name="a"), task(1080, 1095, name="b")])
    assert outside["gpu_j"] is None
    assert "do not cover" in outside["energy_note"]
    assert inside["gpu_j"] == pytest.approx(200)


@pytest.mark.parametrize(("start_s", "end_s"), [(900, 950), (1095, 1099)])
def test_a_task_wholly_outside_the_readings_is_refused_and_spoils_no_other(
    rows: Any, start_s: float, end_s: float
) -> None:
    inside, outside = rows([task(1031, 1033, name="a"), task(start_s, end_s, name="b")])
    assert inside["gpu_j"] == pytest.approx(600)
    assert outside["gpu_j"] is None


edges = st.floats(0, 100, allow_nan=False).map(lambda t: round(t, 3))


def spelt_out(series: Series, start_s: Any, end_s: Any) -> tuple[Any, Any]:
    """The definition: a slice of time between two edges, shared by those that run in it."""
    times = np.unique(np.concatenate([start_s, end_s]))
    alive = (start_s[:, None] <= times[:-1]) & (end_s[:, None] >= times[1:])
    share = alive / np.maximum(alive.sum(axis=0), 1)
    padded = np.pad(share, ((0, 0), (1, 1)))
    weights = padded[:, :-1] - padded[:, 1:]
    return weights @ series.joules_at(times), np.abs(weights) @ series.bound_at(times)


@given(st.lists(st.tuples(edges, st.floats(0.5, 50)), min_size=1, max_size=12), st.integers(0, 99))
def test_shares_are_those_of_the_definition_and_add_up(
    tasks: list[tuple[float, float]], seed: int
) -> None:
    start_s = np.array([start for start, _ in tasks])
    end_s = start_s + np.array([length for _, length in tasks])
    t_s = np.linspace(-1, 160, 300)
    draw = np.random.default_rng(seed)
    series = Series.counter(t_s, np.cumsum(draw.uniform(0, 100, len(t_s))), 0.01)
    joules, bound = shared_joules(series, start_s, end_s)
    expected, expected_bound = spelt_out(series, start_s, end_s)
    assert joules == pytest.approx(expected, abs=1e-6)
    assert bound == pytest.approx(expected_bound, abs=1e-6)
    times = np.unique(np.concatenate([start_s, end_s]))
    ran = [bool(((start_s <= a) & (end_s >= b)).any()) for a, b in itertools.pairwise(times)]
    assert joules.sum() == pytest.approx(
        float(np.diff(series.joules_at(times))[ran].sum()), abs=1e-6
    )


def test_why_a_task_has_no_energy_is_said_even_where_a_meter_is_missing(
    bench: Any, rows: Any
) -> None:
    bench.drop("nvml")
    row = rows([task(1031.0, 1033.0)])[0]
    assert row["node_j"] is None
    assert row["energy_note"].startswith("gpu: nvml: no nvml")


def test_the_table_keeps_what_is_absent_absent(rows: Any, tmp_path: Path) -> None:
    made = rows([task(1034.0, 1034.05, name="a"), task(1031.0, 1033.0, batch=1, name="b")])
    write_task_energies(tmp_path / "tasks.parquet", made)
    read = pq.read_table(tmp_path / "tasks.parquet").to_pylist()
    assert [row["gpu_j"] for row in read] == [None, pytest.approx(600)]
    write_task_energies(tmp_path / "none.parquet", [])
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0
