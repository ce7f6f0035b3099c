"""Runs programs in sandboxes and compares what they answer, as EvalPlus would.

The checker stays outside: a sandbox holds a program and its inputs, never what is expected.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from codewatt.benchmarks.benchmark import SUITES, Task
from codewatt.errors import CodewattError
from codewatt.evaluate.bounded_lines import Line, LineReader, TooLong
from codewatt.evaluate.comparison_process import Comparer
from codewatt.evaluate.expected_outputs import (
    DIGEST,
    DIGEST_OVER,
    Expected,
    SuiteAnswers,
    preload,
    whole_line,
)
from codewatt.evaluate.output_check import Expectation, OnlyDigest
from codewatt.evaluate.resource_limits import Limits
from codewatt.evaluate.sandbox import PIPE_BYTES, Request, Sandbox, Suite
from codewatt.evaluate.sandbox_workers import MAX_JOBS, Stopped, check_jobs, run_workers
from codewatt.evaluate.time_limits import SuiteClock

PASS, FAIL, TIMEOUT = "pass", "fail", "timeout"

_LOOK_S = 0.05
_GATHER_S = 0.0005


@dataclass(frozen=True)
class Program:
    """A whole program that claims to solve a task."""

    task_id: str
    code: str


@dataclass(frozen=True)
class SuiteVerdict:
    """How a program did on one suite.

    Attributes:
        status: "pass", "fail" or "timeout". As in EvalPlus, "fail" holds calls that took too
            long, and "timeout" is a program that ran past the time of the whole suite or ended
            without a word.
        done: tests with an outcome, the failed one included.
        why: what failed, in a few words; None on a pass.
    """

    status: str
    done: int
    why: str | None = None


@dataclass(frozen=True)
class Verdict:
    """How a program did. It solves a task by the base tests, or by base and plus together."""

    task_id: str
    base: SuiteVerdict
    plus: SuiteVerdict

    @property
    def why(self) -> str | None:
        """What failed first, base before plus; None if nothing did."""
        for name in SUITES:
            suite: SuiteVerdict = getattr(self, name)
            if suite.why is not None:
                return f"{name}: {suite.why}"
        return None


def judge(
    tasks: Sequence[Task],
    expected: Expected,
    programs: Sequence[Program],
    *,
    jobs: int,
    limits: Limits | None = None,
    on_done: Callable[[int], None] | None = None,
) -> list[Verdict]:
    """Judge programs, identical ones once.

    Args:
        tasks: those that the programs are for, at least.
        expected: what the reference programs answer.
        jobs: sandboxes at a time.
        on_done: called with the number of programs that have a verdict by now.

    Returns:
        one verdict a program, in the order of the programs.

    Raises:
        CodewattError: a program is for an unknown task, or the sandbox cannot be set up. What a
            program does inside never raises.
    """
    check_jobs(jobs)
    used = limits or Limits()
    places: dict[Program, list[int]] = {}
    for index, program in enumerate(programs):
        places.setdefault(program, []).append(index)
    checkers = _checkers(tasks, expected, {program.task_id for program in programs})
    # Those that may take longest first, so that no worker is left alone with one at the end.
    unique = sorted(places, key=lambda program: -_reference_s(expected[program.task_id]))
    verdicts: dict[Program, Verdict] = {}
    judged = 0

    def finish(index: int, verdict: Verdict) -> None:
        nonlocal judged
        verdicts[unique[index]] = verdict
        judged += len(places[unique[index]])
        if on_done is not None:
            on_done(judged)

    def work(slot: int, program: Program, stop: threading.Event) -> Verdict:
        checker = checkers[program.task_id]
        return _Case(checker, program, used, slot, jobs, stop, comparer).verdict()

    with Comparer() as comparer:
        run_workers(unique, work, jobs, finish)
    return [verdicts[program] for program in programs]


def _reference_s(answers: Mapping[str, SuiteAnswers]) -> float:
    return sum(sum(suite.times_s) for suite in answers.values())


def unique_programs(programs: Sequence[Program]) -> int:
    """How many programs `judge` really runs."""
    return len(set(programs))


@dataclass(frozen=True)
class _Checker:
    """A task and what its reference program answered."""

    task: Task
    answers: Mapping[str, SuiteAnswers]


def _checkers(tasks: Sequence[Task], expected: Expected, wanted: set[str]) -> dict[str, _Checker]:
    known = {task.task_id: task for task in tasks}
    checkers = {}
    for task_id in sorted(wanted):
        if task_id not in known:
            raise CodewattError(f"program for task {task_id!r}: the benchmark has no such task")
        checkers[task_id] = checker = _Checker(known[task_id], expected[task_id])
        for name in SUITES:
            if len(checker.answers[name].lines) != len(checker.task.inputs(name)):
                raise CodewattError(f"{task_id}: expected outputs are for other {name} inputs")
    return checkers


@dataclass
class _Case:
    """One program before the judge."""

    checker: _Checker
    program: Program
    limits: Limits
    slot: int
    jobs: int
    stop: threading.Event
    comparer: Comparer

    def verdict(self) -> Verdict:
        """Run the suites, in one sandbox if the program leaves it whole."""
        found: dict[str, SuiteVerdict] = {}
        self._whole: set[str] = set()
        while len(found) < len(SUITES):
            names = [name for name in SUITES if name not in found]
            with Sandbox(self._request(names), self.limits, self.slot, self.jobs) as sandbox:
                for position, name in enumerate(names):
                    try:
                        verdict = self._suite(sandbox, position, name)
                    except OnlyDigest:
                        self._whole.add(name)
                        break  # run again, and look at the outputs themselves
                    if verdict is None:
                        if position == 0:
                            raise CodewattError(f"sandbox: it did not start: {sandbox.failure()}")
                        break  # the program took the sandbox down: the next suite gets its own
                    found[name] = verdict
                    sandbox.end_suite(position)
        return Verdict(self.program.task_id, found["base"], found["plus"])

    def _request(self, names: list[str]) -> Request:
        task, code = self.checker.task, self.program.code
        suites = [
            Suite(task.inputs(name), self._call_times_s(name), self._digest_over(name))
            for name in names
        ]
        return Request(code, task.entry_point, suites, preload=preload(code))

    def _call_times_s(self, name: str) -> list[float]:
        return self.limits.call_times_s(self.checker.answers[name].times_s)

    def _digest_over(self, name: str) -> int | None:
        asked = self._expectation(name, lambda: None).digests and name not in self._whole
        return DIGEST_OVER if asked else None

    def _expectation(self, name: str, idle: Callable[[], None]) -> Expectation:
        task, answers = self.checker.task, self.checker.answers[name]

        def whole(index: int) -> bytes:
            slot = self.slot + MAX_JOBS  # this worker's own sandbox is still there
            return whole_line(task, name, index, self.limits, slot, self.jobs, self.stop)

        return Expectation(task, task.inputs(name), answers, whole, self.comparer, idle)

    def _suite(self, sandbox: Sandbox, position: int, name: str) -> SuiteVerdict | None:
        """Follow a suite to its verdict; None if it never started."""

        def idle() -> None:
            if self.stop.is_set():
                raise Stopped
            if overdrawn := sandbox.overdrawn():
                raise _Overdrawn(overdrawn)

        answers = _Answers(self._expectation(name, idle), name in self._whole)
        clock: SuiteClock | None = None
        patience_s = self.limits.start_s if position == 0 else self.limits.next_s
        start_by = time.monotonic() + patience_s
        while True:
            if self.stop.is_set():
                raise Stopped
            # First the usage and then what was written: no answer that came before the look is
            # still unread when limits are compared.
            looked_s, usage = time.monotonic(), sandbox.look() if clock else None
            wait_s = min(_LOOK_S, sandbox.look_in_s()) if clock else _LOOK_S
            chunk = sandbox.read(position, wait_s)
            if chunk == b"":
                return None if clock is None else answers.silence("it ended without a word")
            if chunk is not None:
                read_s = time.monotonic()
                if clock is None:
                    clock = SuiteClock(self._call_times_s(name), self.limits, read_s)
                    chunk = chunk[2:]
                try:
                    verdict = answers.take(chunk)
                except _Overdrawn as limit:
                    verdict = SuiteVerdict(FAIL, answers.done, str(limit))
                if verdict is not None:
                    return verdict
                clock.reading(time.monotonic() - read_s)
                time.sleep(_GATHER_S)  # many small answers cost less in one piece
            elif clock is None and time.monotonic() > start_by:
                return None
            if usage is not None and (overdrawn := sandbox.exceeded(usage)):
                return SuiteVerdict(FAIL, answers.done, overdrawn)
            drained = chunk is None or len(chunk) < PIPE_BYTES
            if clock and (why := clock.passed(looked_s, usage, answers.done, drained)):
                return answers.silence(why)


class _Overdrawn(Exception):
    """While the judge compared an output, the program passed a limit; the message says which."""


class _Answers:
    """What a program has answered so far, compared as it comes."""

    def __init__(self, expectation: Expectation, whole: bool) -> None:
        self.expectation = expectation
        self.whole = whole
        self.done = 0
        self._reader = LineReader(lambda: expectation.longest(self.done))

    def take(self, chunk: bytes) -> SuiteVerdict | None:
        """Compare what came; a verdict at the first wrong answer, or at the end."""
        if self._reader.begun:
            end = chunk.find(b"\n") + 1 or len(chunk)
            if (verdict := self._one_by_one(chunk[:end])) is not None:
                return verdict
            chunk = chunk[end:]
        *lines, rest = chunk.split(b"\n", len(self.expectation) - self.done)
        if lines and self.expectation.accepts_all(self.done, lines):
            self.done += len(lines)
            chunk = rest
        return self._one_by_one(chunk)

    def silence(self, why: str) -> SuiteVerdict:
        """The verdict on a program from which nothing more will come."""
        return SuiteVerdict(TIMEOUT, self.done, why)

    def _one_by_one(self, chunk: bytes) -> SuiteVerdict | None:
        try:
            for line in self._reader.lines(chunk):
                verdict = self._line(line)
                if verdict is not None:
                    return verdict
        except TooLong:
            return self._wrong("an output that is far too long")
        return None

    def _line(self, line: Line) -> SuiteVerdict | None:
        start = line[:61] if isinstance(line, bytes) else b""
        mark, text = start[:1], start[1:].decode("ascii", "replace")
        if mark == b"?":
            return SuiteVerdict(FAIL, self.done, f"loading it raised {text}")
        if mark == b".":
            if self.done == len(self.expectation):
                return SuiteVerdict(PASS, self.done)
            return SuiteVerdict(FAIL, self.done, "it answered too few tests")
        if self.done == len(self.expectation):
            return SuiteVerdict(FAIL, self.done, "it answered too many tests")
        if mark == b"!":
            late = text == "TimeoutException"
            return self._wrong("a call took too long" if late else f"a call raised {text}")
        if mark == DIGEST and self.whole:
            return self._wrong("a digest where an output was asked for")
        wrong = self.expectation.wrong(self.done, line)
        if wrong is not None:
            return self._wrong(wrong)
        self.done += 1
        return None

    def _wrong(self, why: str) -> SuiteVerdict:
        tests = len(self.expectation)
        if self.done == tests:
            return SuiteVerdict(FAIL, self.done, f"after the last test: {why}")
        self.done += 1
        return SuiteVerdict(FAIL, self.done, f"test {self.done}: {why}")
