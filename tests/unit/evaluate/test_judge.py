"""Statuses are EvalPlus's, and the judge looks after itself."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codewatt.benchmarks.output_rules import POLYNOMIAL_ROOT
from codewatt.benchmarks.tasks import FunctionTask, read_tasks, write_tasks
from codewatt.errors import CodewattError
from codewatt.evaluate.judge import count_unique, judge
from codewatt.evaluate.outputs.expected_outputs import (
    DIGEST_THRESHOLD_BYTES,
    ExpectedSuite,
    read_expected,
    tasks_digest,
    write_expected,
)
from codewatt.evaluate.reference_programs import cached_expected, compute_expected
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.verdicts import Program, Verdict
from tests.unit.evaluate.conftest import PATIENT

Judged = Callable[..., list[Verdict]]
GOOD = "def answer(x): return x + 1\n"


def task(
    solution: str, base: list[Any], plus: list[Any] | None = None, **more: Any
) -> FunctionTask:
    given = {"task_id": "Test/1", "prompt": "", "entry_point": "answer", **more}
    return FunctionTask(
        canonical_solution=solution, base_input=base, plus_input=plus or [], **given
    )


def judged(the_task: FunctionTask, code: str) -> Verdict:
    expected = compute_expected([the_task], jobs=1, limits=PATIENT)
    (verdict,) = judge([the_task], expected, [Program("Test/1", code)], jobs=1, limits=PATIENT)
    return verdict


def test_statuses_are_those_of_evalplus(judge_programs: Judged) -> None:
    wanted = {
        GOOD: ("pass", "pass"),
        "def answer(x): return x + 1 if x < 9 else 0\n": ("pass", "fail"),
        "def answer(x): return x + 1 if x > 9 else 0\n": ("fail", "pass"),
        "def answer(x) return x\n": ("fail", "fail"),
        "def other(x): return x + 1\n": ("fail", "fail"),
        "answer = 3\n": ("fail", "fail"),
        "def answer(x, y): return x\n": ("fail", "fail"),
        "def answer(x): return float(x + 1)\n": ("pass", "pass"),
        "def answer(x): return str(x + 1)\n": ("fail", "fail"),
        "def answer(x):\n    import os\n    return x + 1 if x > 9 else os._exit(0)\n": (
            *("timeout", "pass"),
        ),
        # EvalPlus's guard: what is not there, and what is.
        "def answer(x):\n    open('/dev/null')\n    return x + 1\n": ("fail", "fail"),
        "def answer(x):\n    exit()\n": ("fail", "fail"),
        "def answer(x):\n    input()\n    return x + 1\n": ("fail", "fail"),
        "import os\ndef answer(x):\n    os.remove('x')\n": ("fail", "fail"),
        "import subprocess\ndef answer(x):\n    subprocess.run('ls')\n": ("fail", "fail"),
        "import resource\n" + GOOD: ("fail", "fail"),
        "def answer(x):\n    print(x)\n    return x + 1\n": ("pass", "pass"),
        "import numpy as np\ndef answer(x): return np.int64(x + 1)\n": ("pass", "pass"),
        "import multiprocessing, concurrent.futures, threading\n" + GOOD: ("pass", "pass"),
        "import random, re, math, heapq, typing, datetime, asyncio\n" + GOOD: ("pass", "pass"),
        "if __name__ == '__main__':\n    raise ValueError\n" + GOOD: ("pass", "pass"),
        # The suites know nothing of each other.
        "n = []\ndef answer(x):\n    n.append(x)\n    return x + 1 if len(n) < 4 else 0\n": (
            *("pass", "pass"),
        ),
    }
    found = judge_programs(list(wanted))
    assert {
        code: (verdict.base.status, verdict.plus.status)
        for code, verdict in zip(wanted, found, strict=True)
    } == wanted


@pytest.mark.clock
def test_a_call_that_does_not_end_fails_as_in_evalplus(judge_programs: Judged) -> None:
    code = "def answer(x):\n    while x > 9: pass\n    return x + 1\n"
    (verdict,) = judge_programs([code], Limits(min_time_s=1, grace_s=60))
    assert (verdict.base.status, verdict.plus.status) == ("pass", "fail")


def test_the_failed_test_and_the_reason_are_named(judge_programs: Judged) -> None:
    code = "def answer(x):\n    if x == 2: raise KeyError\n    return x + 1\n"
    (verdict,) = judge_programs([code])
    assert (verdict.base.tests_run, verdict.why) == (2, "base: test 2: the call raised KeyError")
    assert verdict.plus.why is None


def test_a_float_raises_the_tolerance_for_the_tests_after_it() -> None:
    """EvalPlus's rule: exact until an expected output is a float, then 1e-6 for the rest."""
    outputs = "    return [[1.0, 1], 2.0, [1.0, 1]][i]\n"
    near = "def answer(i): return [[1.0000001, 1], 2.0, [1.0, 1.0000001]][i]\n"
    the_task = task("def answer(i):\n" + outputs, [[0], [1], [2]])
    assert judged(the_task, near).base.tests_run == 1
    later = task("def answer(i):\n" + outputs, [[1], [2]])
    assert judged(later, near).base.status == "pass"


def test_find_zero_is_judged_by_its_polynomial_and_untouched_inputs() -> None:
    the_task = task("def find_zero(xs): return -0.5\n", [[[1, 2]]], entry_point="find_zero",
                    atol=1e-4, output_rule=POLYNOMIAL_ROOT)  # fmt: skip
    for answer, wanted in [("-0.50001", "pass"), ("-0.6", "fail"), ("'x'", "fail"),
                           ("xs.clear() or 1", "fail"), ("10**400", "fail")]:  # fmt: skip
        assert judged(the_task, f"def find_zero(xs): return {answer}\n").base.status == wanted


def test_long_outputs_are_compared_by_digest_and_looked_at_when_it_differs() -> None:
    the_task = task(
        "def answer(n): return list(range(n))\n", [[5], [DIGEST_THRESHOLD_BYTES]], [[9000]]
    )
    expected = compute_expected([the_task], jobs=1)["Test/1"]
    assert expected["base"].lines[1].startswith(b"#")
    for code, wanted in [
        ("def answer(n): return list(range(n))\n", "pass"),
        ("def answer(n): return [float(x) for x in range(n)]\n", "pass"),
        ("def answer(n): return list(range(n))[:-1] + [0]\n", "fail"),
        ("def answer(n): return 'x' * 90000\n", "fail"),
    ]:
        assert judged(the_task, code).base.status == wanted


@pytest.mark.clock
def test_slow_programs_get_four_times_what_the_reference_takes() -> None:
    the_task = task("", [[7]])
    sleeper = "import time\ndef answer(x):\n    time.sleep({})\n    return x\n"
    limits = Limits(min_time_s=0.1, grace_s=60)
    for reference_s, sleep_s, wanted in (
        (15.0, 0.5, None),
        (0.1, 60, "test 1: the call exceeded its time limit"),
    ):
        suites = {"base": ExpectedSuite([b"7"], [reference_s], None)}
        suites["plus"] = ExpectedSuite([], [], None)
        program = Program("Test/1", sleeper.format(sleep_s))
        (verdict,) = judge([the_task], {"Test/1": suites}, [program], jobs=1, limits=limits)
        assert verdict.base.why == wanted


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other versions count otherwise")
def test_recursion_just_as_deep_as_in_evalplus_fits() -> None:
    """Counted in EvalPlus 0.3.1 on Python 3.11: 971 calls fit below its own, 972 do not."""
    code = "def answer(n): return 0 if n == 1 else answer(n - 1)\n"
    easy = task("def answer(n): return 0\n", [[971]], [[972]])
    verdict = judged(easy, code)
    assert (verdict.base.status, verdict.plus.status) == ("pass", "fail")


def test_equal_programs_are_run_once(judge_programs: Judged) -> None:
    calls: list[int] = []
    the_task = task(GOOD, [[1]])
    expected = compute_expected([the_task], jobs=1)
    programs = [Program("Test/1", code) for code in (GOOD, "x", GOOD)]
    verdicts = judge([the_task], expected, programs, jobs=1, on_done=calls.append)
    assert [v.base.status for v in verdicts] == ["pass", "fail", "pass"]
    assert sorted(calls)[-1] == 3
    assert len(calls) == count_unique(programs) == 2


# Writes a piece of an output that nobody asked for.
MORE = """
import posix
for fd in range(3, 1000):
    try: posix.write(fd, b'1')
    except OSError: pass
"""


def test_an_empty_suite_is_passed_by_a_program_that_loads() -> None:
    """As in EvalPlus, whose check of no inputs passes unless loading fails."""
    for base, plus in (([[1]], []), ([], [[1]])):
        the_task = task(GOOD, base, plus)
        verdict = judged(the_task, GOOD)
        assert (verdict.base.status, verdict.plus.status) == ("pass", "pass")
        verdict = judged(the_task, "def other(x): return x + 1\n")
        assert (verdict.base.status, verdict.plus.status) == ("fail", "fail")
        verdict = judged(the_task, MORE + GOOD)
        assert "fail" in (verdict.base.status, verdict.plus.status)


def test_lone_surrogates_are_judged(tmp_path: Path) -> None:
    the_task = task("def answer(x): return x + 'a'\n", [["\ud83d"]])
    assert judged(the_task, "def answer(x): return x + 'a'\n").base.status == "pass"
    assert judged(the_task, "def answer(x): return 'a' + x\n").base.status == "fail"
    other = task("def answer(x): return x + 'a'\n", [["\ud83e"]])
    assert tasks_digest([the_task]) != tasks_digest([other])
    write_tasks(tmp_path / "tasks.jsonl", [the_task])
    assert read_tasks(tmp_path / "tasks.jsonl") == [the_task]


def test_a_long_output_with_nan_is_not_right_by_its_digest() -> None:
    code = "def answer(n): return [float('nan')] * n\n"
    assert judged(task(code, [[5]]), code).base.status == "fail"
    assert judged(task(code, [[DIGEST_THRESHOLD_BYTES]]), code).base.status == "fail"


def test_bad_requests_are_one_line() -> None:
    the_task = task(GOOD, [[1]])
    expected = compute_expected([the_task], jobs=1)
    with pytest.raises(CodewattError, match="no such task"):
        judge([the_task], expected, [Program("Test/2", GOOD)], jobs=1)
    with pytest.raises(CodewattError, match="jobs: expected 1 to 128, found 0"):
        judge([the_task], expected, [Program("Test/1", GOOD)], jobs=0)
    with pytest.raises(
        CodewattError, match="the reference program failed at test 1: the call raised Zero"
    ):
        compute_expected([task("def answer(x): return 1 / 0\n", [[1]])], jobs=1)
    with pytest.raises(CodewattError, match="cannot be compared"):
        compute_expected([task("def answer(x): return object()\n", [[1]])], jobs=1)


def test_expected_outputs_of_tests_with_infinite_and_nan_inputs_are_kept(tmp_path: Path) -> None:
    """MBPP+ has a test whose input is infinite."""
    infinite, nan = float("inf"), float("nan")
    the_task = task("def answer(x): return x\n", [[1.5], [infinite]], [[nan], [[-infinite, 2]]])
    expected = compute_expected([the_task], jobs=1)
    path = tmp_path / "expected.json.gz"
    write_expected(path, expected, [the_task])
    assert read_expected(path, [the_task]) == expected
    digests = {tasks_digest([task(GOOD, [[x]])]) for x in (infinite, -infinite, nan, 1e308)}
    assert len(digests) == 4


def test_expected_outputs_are_kept_and_only_for_their_tasks(tmp_path: Path) -> None:
    the_task = task("def answer(x): return [x, float('nan'), '\\ud800', 1.5]\n", [[1]], [[2]])
    expected = compute_expected([the_task], jobs=1)
    path = tmp_path / "expected.json.gz"
    write_expected(path, expected, [the_task])
    assert read_expected(path, [the_task]) == expected
    with pytest.raises(CodewattError, match="computed for other tasks"):
        read_expected(path, [task(GOOD, [[1]])])
    seen: list[str] = []
    first = cached_expected([the_task], tmp_path / "cache", jobs=1, on_done=seen.append)
    again = cached_expected([the_task], tmp_path / "cache", jobs=1, on_done=seen.append)
    assert first == again
    assert seen == ["Test/1"]
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(b"half")
    assert cached_expected([the_task], tmp_path / "cache", jobs=1)["Test/1"]["base"].lines
