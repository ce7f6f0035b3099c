"""Judging's energy goes to the programs that run at each moment, and adds up to the window."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewatt.energy.cell_energy import CellEnergy, measure_cell
from codewatt.energy.energy_sources import Source
from codewatt.energy.integration import Series
from codewatt.energy.judging_energy import JudgedPrograms
from codewatt.energy.task_energy import write_task_energies
from codewatt.errors import CodewattError

#: In `bench` two CPU packages draw 30 W each from 1030 to 1070 s, and DRAM 3 W.
CPU_W, DRAM_W = 60.0, 3.0
START_S, END_S = 1040.0, 1050.0


def verdict(
    task: str, program: int, start_s: float | None, end_s: float | None, repeat: int = 0
) -> dict[str, Any]:
    ids = {"task_id": task, "repeat": repeat, "sample": 0, "base": "fail"}
    return {**ids, "program": program, "start_s": start_s, "end_s": end_s, "cpu_s": None}


#: a and b overlap for a second; c is one program of two repeats. Nothing runs for 5 of 10 s.
VERDICTS = [
    verdict("a", 0, 1041.0, 1043.0),
    verdict("b", 1, 1042.0, 1044.0),
    verdict("c", 2, 1046.0, 1048.0),
    verdict("c", 2, 1046.0, 1048.0, repeat=1),
]
#: CPU joules of each verdict, by hand: its seconds, halved where two run; plus a quarter of the
#: five seconds in which nothing ran.
REST_J = CPU_W * 5 / 4
BY_HAND = [CPU_W * 1.5 + REST_J, CPU_W * 1.5 + REST_J, *[CPU_W * 2 / 2 + REST_J] * 2]

Measure = Callable[..., CellEnergy]


@pytest.fixture
def judged(bench: Any, tmp_path: Path) -> Measure:
    """judged(verdicts, window): the cell's energy, judging metered by `bench` without its GPU.

    sampler: of judging. gap_s: times between which a CPU package was not read while judging.
    """

    def measure(
        verdicts: Sequence[dict[str, Any]],
        window: tuple[float, float] = (START_S, END_S),
        sampler: dict[str, Any] | None = None,
        gap_s: tuple[float, float] = (0.0, 0.0),
    ) -> CellEnergy:
        path = bench.write(tmp_path / "timeline.parquet")
        tasks = [
            {key: row[key] for key in ("repeat", "sample", "task_id")}
            | {"batch": i, "start_s": 1031.0 + i, "end_s": 1032.0 + i, "new_tokens": 5}
            for i, row in enumerate(verdicts)
        ]
        table = tmp_path / "tasks.parquet"
        pq.write_table(_table(tasks), table)
        bench.drop("nvml")
        key = ("rapl", "cpu", "package-1", "energy_j")
        t_s, joules = bench.series[key]
        kept = (t_s <= gap_s[0]) | (t_s >= gap_s[1])
        bench.series[key] = t_s[kept], joules[kept]
        other = bench.write(tmp_path / "evaluate.parquet")
        evaluate = {
            "windows": [bench.window("evaluate", *window)],
            "meters": [],
            "verdicts": list(verdicts),
            "sampler": sampler,
        }
        return measure_cell({**bench.manifest}, path, evaluate, other, {}, table)

    return measure


def _table(rows: list[dict[str, Any]]) -> Any:
    import pyarrow

    return pyarrow.Table.from_pylist(rows)


def test_each_moment_goes_to_the_programs_that_run_and_the_rest_to_all(judged: Measure) -> None:
    rows = judged(VERDICTS).tasks
    assert [row["evaluate_cpu_j"] for row in rows] == pytest.approx(BY_HAND)
    assert [row["evaluate_dram_j"] for row in rows] == pytest.approx(
        [joules * DRAM_W / CPU_W for joules in BY_HAND]
    )
    assert [row["evaluate_completions"] for row in rows] == [1, 1, 2, 2]
    assert {row["evaluate_note"] for row in rows} == {None}


def test_completions_and_runs_add_up_to_the_window(judged: Measure) -> None:
    cell = judged(VERDICTS)
    evaluated = cell.record["evaluate"]
    assert evaluated is not None
    window_j = (CPU_W + DRAM_W) * 10
    assert evaluated["energy_j"]["node"] == pytest.approx(window_j)
    assert sum(row["evaluate_node_j"] or 0 for row in cell.tasks) == pytest.approx(window_j)
    runs = [run["energy_j"]["cpu"] for run in evaluated["runs"]]
    assert runs == pytest.approx([sum(BY_HAND[:3]), BY_HAND[3]])
    assert evaluated["energy_j"]["gpu"] is None


def test_unshared_energy_counts_a_program_once_for_each_of_its_completions(
    judged: Measure,
) -> None:
    evaluated = judged(VERDICTS).record["evaluate"]
    assert evaluated is not None
    runs = [run["unshared_energy_j"]["cpu"] for run in evaluated["runs"]]
    assert runs == pytest.approx(
        [CPU_W * (1.5 + 1.5 + 2) + 3 * REST_J, CPU_W * 2 + REST_J], rel=1e-9
    )


def test_identical_repeats_have_equal_parts_and_the_windows_bound(judged: Measure) -> None:
    """Where every program is of both repeats, a repeat has half the window and half its bound."""
    both = [verdict("a", 0, 1041.05, 1043.05, r) for r in (0, 1)]
    both += [verdict("b", 1, 1042.02, 1044.03, r) for r in (0, 1)]
    evaluated = judged(both, (1040.03, 1049.97)).record["evaluate"]
    assert evaluated is not None
    for run in evaluated["runs"]:
        for part in ("cpu", "dram", "node"):
            whole_j, bound_j = evaluated["energy_j"][part], evaluated["uncertainty_j"][part]
            assert whole_j is not None
            assert bound_j is not None
            assert run["energy_j"][part] == pytest.approx(whole_j / 2)
            assert run["uncertainty_j"][part] == pytest.approx(bound_j / 2)
            assert bound_j > 0


def test_a_program_shorter_than_the_readings_has_a_figure_and_a_larger_bound(
    judged: Measure,
) -> None:
    rows = judged([verdict("a", 0, 1041.02, 1041.05), verdict("b", 1, 1041.05, 1049.0)]).tasks
    rest_j = CPU_W * (1.02 + 1.0) / 2
    assert rows[0]["evaluate_cpu_j"] == pytest.approx(CPU_W * 0.03 + rest_j)
    assert rows[0]["evaluate_cpu_uncertainty_j"] > CPU_W * 0.03


def test_a_window_too_short_for_two_readings_gives_no_figure_and_says_why(
    judged: Measure,
) -> None:
    cell = judged([verdict("a", 0, 1041.0, 1041.1)], (1041.0, 1041.15))
    (row,) = cell.tasks
    assert row["evaluate_node_j"] is None
    assert row["evaluate_note"].startswith("cpu: judging took 0.15 s, too short for two readings")
    evaluated = cell.record["evaluate"]
    assert evaluated is not None
    assert evaluated["runs"][0]["energy_j"]["node"] is None
    # Generating it has its energy all the same.
    assert row["gpu_j"] == pytest.approx(300)
    assert cell.record["valid"]


def test_readings_that_fail_a_check_give_no_figure_and_leave_the_cell_valid(
    judged: Measure,
) -> None:
    both = [verdict("a", 0, 1041.0, 1043.0, repeat) for repeat in (0, 1)]
    cell = judged(both, gap_s=(1044.0, 1047.0))
    assert {row["evaluate_cpu_j"] for row in cell.tasks} == {None}
    assert "s without a reading" in cell.tasks[0]["evaluate_note"]
    assert cell.tasks[0]["evaluate_dram_j"] is not None
    assert cell.record["valid"]
    (check,) = [c for c in cell.record["checks"] if c["name"] == "evaluate_sound"]
    assert (check["passed"], check["severity"]) == (False, "warning")


def test_a_wrap_of_rapl_that_was_missed_gives_no_figure(judged: Measure) -> None:
    missed = {"meters": {"rapl": {"failures": {"wraps unseen: read too late": 1}}}}
    (row, *_) = judged(VERDICTS, sampler=missed).tasks
    assert row["evaluate_cpu_j"] is None
    assert row["evaluate_note"] == (
        "cpu: wraps unseen: read too late; dram: wraps unseen: read too late"
    )


def test_a_judge_that_records_no_times_gives_the_window_but_no_tasks(judged: Measure) -> None:
    cell = judged([*VERDICTS, verdict("d", 3, None, None)])
    assert {row["evaluate_node_j"] for row in cell.tasks} == {None}
    assert "did not record when each program ran" in cell.tasks[0]["evaluate_note"]
    evaluated = cell.record["evaluate"]
    assert evaluated is not None
    assert evaluated["energy_j"]["node"] == pytest.approx((CPU_W + DRAM_W) * 10)


def test_a_completion_of_an_excluded_task_has_only_its_part_of_the_rest(judged: Measure) -> None:
    excluded = {**verdict("d", 3, None, None), "base": None}
    rows = judged([*VERDICTS, excluded]).tasks
    rest_j = CPU_W * 5 / 5
    assert rows[-1]["evaluate_cpu_j"] == pytest.approx(rest_j)
    assert rows[0]["evaluate_cpu_j"] == pytest.approx(CPU_W * 1.5 + rest_j)
    assert sum(row["evaluate_cpu_j"] or 0 for row in rows) == pytest.approx(CPU_W * 10)


def test_a_program_outside_the_window_is_refused(judged: Measure) -> None:
    with pytest.raises(CodewattError, match=r"program 0 ran from 1039\.000 to 1041\.000 s"):
        judged([verdict("a", 0, 1039.0, 1041.0)])


def test_judging_that_was_not_metered_is_said(bench: Any, tmp_path: Path) -> None:
    path = bench.write(tmp_path / "timeline.parquet")
    task = {"repeat": 0, "batch": 0, "sample": 0, "task_id": "a", "new_tokens": 5}
    pq.write_table(_table([{**task, "start_s": 1031.0, "end_s": 1032.0}]), tmp_path / "t.parquet")
    cell = measure_cell(bench.manifest, path, None, None, {}, tmp_path / "t.parquet")
    assert cell.tasks[0]["evaluate_note"] == "judging was not metered"


def test_the_table_has_the_energy_of_judging(judged: Measure, tmp_path: Path) -> None:
    write_task_energies(tmp_path / "energy.parquet", judged(VERDICTS).tasks)
    rows = pq.read_table(tmp_path / "energy.parquet").to_pylist()
    assert [row["evaluate_cpu_j"] for row in rows] == pytest.approx(BY_HAND)
    assert [row["evaluate_completions"] for row in rows] == [1, 1, 2, 2]


edges = st.floats(1, 80, allow_nan=False).map(lambda t: round(t, 3))
programs = st.lists(
    st.tuples(edges, st.floats(0.01, 15), st.lists(st.integers(0, 2), min_size=1, max_size=3)),
    min_size=1,
    max_size=10,
)


@given(programs, st.integers(0, 99))
def test_bills_are_those_of_a_million_small_steps_and_true_errors_are_within_the_bounds(
    drawn: list[tuple[float, float, list[int]]], seed: int
) -> None:
    """Against sums over steps of 1 ms, and against a counter that moves anyhow between readings."""
    rows = [
        {**verdict(f"t{n}", n, start, start + length, repeat), "sample": i}
        for n, (start, length, repeats) in enumerate(drawn)
        for i, repeat in enumerate(repeats)
    ]
    found = JudgedPrograms.read(rows, 0.0, 100.0, "x")  # type: ignore[arg-type]
    draw = np.random.default_rng(seed)
    fine_s = np.arange(-2000, 102001) / 1000
    true_w = draw.uniform(0, 200, 105)[(np.arange(len(fine_s)) // 1000)]
    true_j = np.concatenate(([0.0], np.cumsum(true_w[:-1]) / 1000))
    series = Series.counter(fine_s[::700], true_j[::700])
    bill = found.bill(_source(series), 0.0, 100.0)

    middle = (fine_s[2000:102000] + fine_s[2001:102001]) / 2
    read_j, step_j = (np.diff(np.interp(fine_s, s, j))[2000:102000] for s, j in (
        (series.t_s, series.cumulative_j), (fine_s, true_j)
    ))  # fmt: skip
    runs = np.array([(middle > s) & (middle < s + length) for s, length, _ in drawn])
    count = runs.sum(axis=0)
    part = runs / np.maximum(count, 1)
    slack_j = 1.0  # edges of programs lie within a step of 1 ms
    assert bill.program_j == pytest.approx(part @ read_j, abs=slack_j)
    assert bill.rest_j == pytest.approx(float((count == 0) @ read_j), abs=slack_j)
    total = len(rows)
    shares = np.zeros((len(found.repeats), len(middle)))
    for n, (_, _, repeats) in enumerate(drawn):
        for repeat in repeats:
            shares[list(found.repeats).index(repeat)] += part[n] / len(repeats)
    for r, repeat in enumerate(found.repeats):
        shares[r, count == 0] = sum(row["repeat"] == repeat for row in rows) / total
    assert bill.run_j == pytest.approx(shares @ read_j, abs=slack_j)
    assert np.all(np.abs(bill.run_j - shares @ step_j) <= bill.run_bound_j + slack_j)
    assert np.all(np.abs(bill.program_j - part @ step_j) <= bill.program_bound_j + slack_j)
    assert bill.run_j.sum() == pytest.approx(bill.program_j.sum() + bill.rest_j)
    window_j = float(np.diff(series.joules_at([0.0, 100.0]))[0])
    assert math.isclose(bill.run_j.sum(), window_j, rel_tol=1e-9)


def _source(series: Series) -> Source:
    return Source("s", "cpu", "rapl", "energy_j", "measured", "m", None, {"one": series}, 0)
