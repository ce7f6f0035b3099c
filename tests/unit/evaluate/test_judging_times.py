"""The judge records when each program ran, and the CPU time of its sandboxes."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codewatt.benchmarks.tasks import write_tasks
from codewatt.evaluate.evaluate_cell import evaluate_cell
from codewatt.evaluate.judge import judge
from codewatt.evaluate.outputs.expected_outputs import write_expected
from codewatt.evaluate.reference_runs import ReferenceRun
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.unittest_judge import judge_unittests
from codewatt.evaluate.unittest_run import UNITTEST_LIMITS
from codewatt.evaluate.verdicts import JudgingTimes, Program, SuiteVerdict, Verdict
from codewatt.files import write_jsonl
from tests.support.unittest_tasks import TASK_ID
from tests.support.unittest_tasks import task as unittest_task
from tests.unit.evaluate.conftest import succ_expected, succ_task

GOOD = "def answer(x): return x + 1\n"
LIMITS = Limits(min_time_s=3.0, suite_time_s=5.0, grace_s=1.0)
#: Uses half a second of CPU time by the kernel's own count, whatever else the machine does.
BUSY = (
    "import time\nbegan = time.process_time()\n"
    "while time.process_time() - began < 0.5: pass\n" + GOOD
)
SLEEPS = "import time\ntime.sleep(0.5)\n" + GOOD


def times_of(codes: list[str], jobs: int) -> list[JudgingTimes]:
    programs = [Program("Test/0", code) for code in codes]
    verdicts = judge([succ_task()], succ_expected(), programs, jobs=jobs, limits=LIMITS)
    found = []
    for verdict in verdicts:
        assert verdict.times is not None
        found.append(verdict.times)
    return found


def test_a_program_ran_within_the_call_and_for_as_long_as_it_must() -> None:
    before = time.monotonic()
    good, sleeps = times_of([GOOD, SLEEPS], jobs=1)
    after = time.monotonic()
    for one in (good, sleeps):
        assert before <= one.start_s < one.end_s <= after
    # Both suites load the program, so it sleeps twice.
    assert sleeps.end_s - sleeps.start_s >= 1.0
    # One job runs one program at a time.
    assert good.end_s <= sleeps.start_s or sleeps.end_s <= good.start_s


def test_programs_of_two_jobs_overlap() -> None:
    # A busy machine may start the second one seconds later.
    slow = SLEEPS.replace("0.5", "3")
    one, other = times_of([slow, slow + "# other\n"], jobs=2)
    assert min(one.end_s, other.end_s) > max(one.start_s, other.start_s)


def test_cpu_time_is_what_a_program_used_and_not_how_long_it_ran() -> None:
    busy, sleeps = times_of([BUSY, SLEEPS], jobs=1)
    assert busy.cpu_s is not None
    assert sleeps.cpu_s is not None
    # Both suites load the program: 2 * 0.5 s of CPU time, plus the sandbox's start. The kernel
    # counts ticks of 10 ms, and the last reading may be from before the program's end.
    assert 0.8 <= busy.cpu_s <= busy.end_s - busy.start_s + 0.1
    assert sleeps.cpu_s < 0.6


def test_times_do_not_tell_verdicts_apart() -> None:
    passed = SuiteVerdict("pass", 1)
    timed = Verdict("a", passed, passed, times=JudgingTimes(0.0, 1.0))
    assert timed == Verdict("a", passed, passed)


@pytest.fixture
def cell_files(tmp_path: Any) -> Callable[[list[str]], dict[str, Any]]:
    """A cell's input files, one completion a repeat."""

    def written(codes: list[str]) -> dict[str, Any]:
        tasks = [succ_task()]
        rows = [
            {"task_id": "Test/0", "solution": code, "repeat": repeat, "sample": 0}
            for repeat, code in enumerate(codes)
        ]
        paths = {name: tmp_path / name for name in ("tasks.jsonl.gz", "expected.json.gz")}
        write_tasks(paths["tasks.jsonl.gz"], tasks)
        write_expected(paths["expected.json.gz"], succ_expected(), tasks)
        write_jsonl(tmp_path / "completions.jsonl.gz", rows)
        return {
            "tasks_path": paths["tasks.jsonl.gz"],
            "expected_path": paths["expected.json.gz"],
            "completions_path": tmp_path / "completions.jsonl.gz",
            "out_results": tmp_path / "eval_results.json.gz",
        }

    return written


def test_identical_completions_have_one_program_and_its_times(
    cell_files: Callable[[list[str]], dict[str, Any]],
) -> None:
    other = GOOD + "# other\n"
    record = evaluate_cell(**cell_files([GOOD, other, GOOD]), jobs=2)
    first, second, third = record["verdicts"]
    assert [row["program"] for row in record["verdicts"]] == [0, 1, 0]
    assert record["judged"] == 2
    for key in ("start_s", "end_s", "cpu_s"):
        assert first[key] == third[key]  # type: ignore[literal-required]
    assert first["start_s"] != second["start_s"]
    (window,) = record["windows"]
    for row in record["verdicts"]:
        assert row["start_s"] is not None
        assert row["end_s"] is not None
        assert window["start_s"] <= row["start_s"] < row["end_s"] <= window["end_s"]


def unittest_times(codes: list[str], jobs: int) -> list[JudgingTimes]:
    test = "import unittest\nclass TestCases(unittest.TestCase):\n    def test(self): answer(1)\n"
    verdicts = judge_unittests(
        [unittest_task(test)],
        [Program(TASK_ID, code) for code in codes],
        interpreter=Path(sys.executable),
        references={TASK_ID: ReferenceRun("pass", 0.01, None, ("test",), ())},
        jobs=jobs,
        limits=replace(UNITTEST_LIMITS, min_time_s=5.0, memory_bytes=2 << 30),
    )
    found = []
    for verdict in verdicts:
        assert verdict.times is not None
        found.append(verdict.times)
    return found


def test_the_judge_of_unit_tests_records_times_too() -> None:
    before = time.monotonic()
    busy, sleeps, again = unittest_times([BUSY, SLEEPS, BUSY], jobs=1)
    after = time.monotonic()
    assert again == busy
    for one in (busy, sleeps):
        assert before <= one.start_s < one.end_s <= after
        assert one.end_s - one.start_s >= 0.5
        assert one.cpu_s is not None
    assert busy.end_s <= sleeps.start_s or sleeps.end_s <= busy.start_s
    assert (busy.cpu_s or 0) >= 0.45
    assert (sleeps.cpu_s or 0) < 0.4
