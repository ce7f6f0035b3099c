"""Suites leave nothing to each other; time is counted over all processes of a program."""

from collections.abc import Callable

import pytest

from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.sandbox import Sandbox
from codewatt.evaluate.sandbox.time_limits import CALL_TIMED_OUT, SUITE_TIMED_OUT
from codewatt.evaluate.verdicts import Verdict
from tests.unit.evaluate.conftest import QUICK

Judged = Callable[..., list[Verdict]]

GOOD = "def answer(x): return x + 1\n"

# What the base run of a program does at its first call, and what its plus run looks for.
LEFT = {
    "a file": ("posix.mkdir('/tmp/mark')", "os.path.exists('/tmp/mark')"),
    "the number of a file that is gone": (
        "[(posix.mkdir('/tmp/mark'), posix.rmdir('/tmp/mark')) for _ in range(9)]",
        "posix.stat('.').st_ino > 9",
    ),
    "a time": ("posix.utime('.', (1, 1))", "posix.stat('/tmp/0').st_mtime == 1"),
    "the number of a process": (
        "[posix.waitpid(child, 0) for _ in range(9) if (child := posix.fork() or posix._exit(0))]",
        "posix.getpid() > 9",
    ),
    "a process": (
        "posix.fork() or time.sleep(60)",
        "sum(map(str.isdigit, os.listdir('/proc'))) > 3",
    ),
    "CPU time of the parent": (
        "sum(range(10**7))",
        "sum(map(int, io.FileIO('/proc/2/stat').read().rpartition(b')')[2].split()[13:15])) > 5",
    ),
    "the parent's file limit": (
        "ctypes.CDLL(None).prlimit(posix.getppid(), 7, (ctypes.c_ulong * 2)(77, 77), None)",
        "b' 77 ' in io.FileIO('/proc/self/limits').read()",
    ),
    "wake-ups of the parent": (
        "[(posix.kill(2, 19), time.sleep(0.001), posix.kill(2, 18)) for _ in range(40)]",
        "int(io.FileIO('/proc/2/status').read().split()[-3]) > 40",
    ),
}


def test_a_suite_leaves_nothing_to_the_next_one(judge_programs: Judged) -> None:
    """A plus answer is right only if the program finds what its base run left."""
    codes = [
        "import ctypes, io, os, posix, time\n"
        "def answer(x):\n"
        f"    if x == 1: {leave}\n"
        f"    return x + 1 if x < 9 or {find} else None\n"
        for leave, find in LEFT.values()
    ]
    for name, verdict in zip(LEFT, judge_programs(codes), strict=True):
        found = (verdict.base.status, verdict.plus.status, verdict.why)
        assert found == ("pass", "fail", "plus: test 1: wrong output"), name


def test_a_suite_that_left_nothing_and_the_next_one_share_a_sandbox(
    monkeypatch: pytest.MonkeyPatch, judge_programs: Judged
) -> None:
    """Starting a sandbox costs more than most programs do."""
    started: list[Sandbox] = []
    start = Sandbox._start
    monkeypatch.setattr(Sandbox, "_start", lambda self: (started.append(self), start(self)))
    (verdict,) = judge_programs([GOOD])
    assert (verdict.base.status, verdict.plus.status, len(started)) == ("pass", "pass", 1)


BUSY = """
import posix, time
def answer(x):
    end = time.process_time() + 0.15
    while time.process_time() < end: pass
    return x + 1
"""
MANY_BUSY = """
import posix, signal, time
signal.setitimer(signal.ITIMER_REAL, 0)
def answer(x):
    for _ in range(50):
        if posix.fork() == 0:
            while True: pass
    time.sleep(60)
"""


@pytest.mark.clock
def test_busy_neighbours_decide_no_verdict(judge_programs: Judged) -> None:
    """Each call takes a third of its limit in CPU time, far more than its limit on the wall."""
    limits = Limits(min_time_s=0.5, suite_time_s=2, grace_s=0.5)
    right = [f"{BUSY}# {number}\n" for number in range(4)]
    wrong = [f"{MANY_BUSY}# {number}\n" for number in range(4)]
    found = judge_programs([*right, *wrong], limits, 8)
    assert [(v.base.status, v.plus.status) for v in found[:4]] == [("pass", "pass")] * 4
    assert {v.base.status for v in found[4:]} <= {"fail", "timeout"}


@pytest.mark.clock
def test_a_sleep_counts_though_it_takes_no_cpu_time(judge_programs: Judged) -> None:
    limits = Limits(min_time_s=0.5, grace_s=60)
    (verdict,) = judge_programs(["import time\ndef answer(x):\n    time.sleep(300)\n"], limits)
    assert verdict.why == "base: test 1: the call exceeded its time limit"


@pytest.mark.clock
def test_a_program_is_charged_for_all_of_its_processes(judge_programs: Judged) -> None:
    code = (
        "import posix, signal, time\n"
        "def answer(x):\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "    posix.fork()\n"
        "    while True: pass\n"
    )
    (verdict,) = judge_programs([code], QUICK)
    assert verdict.base.status == "timeout"
    assert (verdict.why or "").removeprefix("base: ") in (CALL_TIMED_OUT, SUITE_TIMED_OUT)
