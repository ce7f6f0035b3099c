"""Judges untrusted programs: runs them in sandboxes and compares their outputs as EvalPlus does.

The comparison happens outside: a sandbox contains a program and its inputs, never the expected
outputs.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from codewatt.benchmarks.tasks import SUITES, FunctionTask
from codewatt.errors import CodewattError
from codewatt.evaluate.outputs.bounded_lines import Line, LineReader, LineTooLong
from codewatt.evaluate.outputs.comparison_process import OutputComparer
from codewatt.evaluate.outputs.expected_outputs import (
    DIGEST_THRESHOLD_BYTES,
    ExpectedOutputs,
    ExpectedSuite,
    encoded_length,
)
from codewatt.evaluate.outputs.output_check import (
    OUTPUT_TOO_LONG,
    FullOutputNeeded,
    OutputChecker,
)
from codewatt.evaluate.parallel_jobs import MAX_JOBS, WorkStopped, check_jobs, run_workers
from codewatt.evaluate.reference_programs import recompute_output, sandbox_request
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.sandbox import PIPE_BYTES, Sandbox, SandboxRequest, SuiteInputs
from codewatt.evaluate.sandbox.time_limits import SuiteClock
from codewatt.evaluate.verdicts import (
    FAIL,
    PASS,
    TIMEOUT,
    JudgingTimes,
    Program,
    SuiteVerdict,
    Verdict,
)

_POLL_S = 0.05
_BATCH_S = 0.0005

# Encoding an output inside the sandbox is not the program's work. A right output of Mbpp/255 has
# 942 MB and takes 16 to 28 s of CPU time on two busy cores; floats take longest, 4e-8 s per byte.
_ENCODING_S_PER_BYTE = 6e-8


def judge(
    tasks: Sequence[FunctionTask],
    expected: ExpectedOutputs,
    programs: Sequence[Program],
    *,
    jobs: int,
    limits: Limits | None = None,
    on_done: Callable[[int], None] | None = None,
) -> list[Verdict]:
    """Judge programs; identical programs run once.

    Args:
        tasks: the tasks of the programs; further tasks are allowed.
        expected: expected outputs of these tasks.
        programs: the untrusted programs.
        jobs: number of sandboxes that run at the same time.
        limits: resource limits of each program; None for the defaults.
        on_done: called with the number of programs that have a verdict so far.

    Returns:
        One verdict for each program, in the same order, with the times at which it ran.

    Raises:
        CodewattError: a program is for an unknown task, or the sandbox cannot be started. Nothing
            that a program does inside the sandbox raises.
    """
    check_jobs(jobs)
    used = limits or Limits()
    positions: dict[Program, list[int]] = {}
    for index, program in enumerate(programs):
        positions.setdefault(program, []).append(index)
    known = _expected_tasks(tasks, expected, {program.task_id for program in programs})
    # The slowest tasks first, so that no worker is left alone with one of them at the end.
    unique = sorted(positions, key=lambda program: -_reference_time_s(expected[program.task_id]))
    verdicts: dict[Program, Verdict] = {}
    judged = 0

    def finish(index: int, verdict: Verdict) -> None:
        nonlocal judged
        verdicts[unique[index]] = verdict
        judged += len(positions[unique[index]])
        if on_done is not None:
            on_done(judged)

    def work(slot: int, program: Program, stop: threading.Event) -> Verdict:
        start_s = time.monotonic()
        run = _ProgramRun(known[program.task_id], program, used, slot, jobs, stop, comparer)
        verdict = run.verdict()
        return replace(verdict, times=JudgingTimes(start_s, time.monotonic(), run.cpu_s))

    with OutputComparer() as comparer:
        run_workers(unique, work, jobs, finish)
    return [verdicts[program] for program in programs]


def count_unique(programs: Sequence[Program]) -> int:
    """Number of different programs: how many `judge` runs."""
    return len(set(programs))


def _reference_time_s(suites: Mapping[str, ExpectedSuite]) -> float:
    return sum(sum(suite.times_s) for suite in suites.values())


@dataclass(frozen=True)
class _ExpectedTask:
    """A task and the expected outputs of its suites."""

    task: FunctionTask
    suites: Mapping[str, ExpectedSuite]


def _expected_tasks(
    tasks: Sequence[FunctionTask], expected: ExpectedOutputs, wanted: set[str]
) -> dict[str, _ExpectedTask]:
    known = {task.task_id: task for task in tasks}
    found = {}
    for task_id in sorted(wanted):
        if task_id not in known:
            raise CodewattError(
                f"program for task {task_id!r}: the benchmark has no such task; its tasks are "
                f"{', '.join(list(known)[:3])}{' and so on' if len(known) > 3 else ''}"
            )
        found[task_id] = one = _ExpectedTask(known[task_id], expected[task_id])
        for name in SUITES:
            tests, outputs = len(one.task.inputs(name)), len(one.suites[name].lines)
            if outputs != tests:
                raise CodewattError(
                    f"{task_id}: {tests} {name} tests, but {outputs} expected outputs"
                )
    return found


@dataclass
class _ProgramRun:
    """One program that is being judged.

    Attributes:
        full_output_suites: suites in which long outputs are sent whole, not as digests.
        cpu_s: CPU time (s) of the sandboxes that have ended; None if one could not be read.
    """

    expected: _ExpectedTask
    program: Program
    limits: Limits
    slot: int
    jobs: int
    stop: threading.Event
    comparer: OutputComparer
    full_output_suites: set[str] = field(default_factory=set, init=False)
    cpu_s: float | None = field(default=0.0, init=False)

    def verdict(self) -> Verdict:
        """Run the suites, in one sandbox unless the program destroys it."""
        found: dict[str, SuiteVerdict] = {}
        while len(found) < len(SUITES):
            names = [name for name in SUITES if name not in found]
            with Sandbox(self._request(names), self.limits, self.slot, self.jobs) as sandbox:
                for position, name in enumerate(names):
                    try:
                        verdict = self._judge_suite(sandbox, position, name)
                    except FullOutputNeeded:
                        self.full_output_suites.add(name)
                        break  # run again and compare the whole outputs
                    if verdict is None:
                        if position == 0:
                            raise CodewattError(
                                f"sandbox: did not start: {sandbox.startup_error()}"
                            )
                        break  # the program ended the sandbox: the next suite gets a new one
                    found[name] = verdict
                    sandbox.end_suite(position)
                used_s = sandbox.usage.read_cpu_s()
                self.cpu_s = None if self.cpu_s is None or used_s is None else self.cpu_s + used_s
        return Verdict(self.program.task_id, found["base"], found["plus"])

    def _request(self, names: list[str]) -> SandboxRequest:
        task = self.expected.task
        suites = [
            SuiteInputs(
                task.inputs(name),
                self._call_limits_s(name),
                self._digest_threshold(name),
                self._accepts_digests(name),
            )
            for name in names
        ]
        return sandbox_request(task, self.program.code, suites)

    def _call_limits_s(self, name: str) -> list[float]:
        return self.limits.call_limits_s(self.expected.suites[name].times_s)

    def _encoding_s(self, name: str) -> list[float]:
        lines = self.expected.suites[name].lines
        return [_ENCODING_S_PER_BYTE * encoded_length(line) for line in lines]

    def _digest_threshold(self, name: str) -> int | None:
        if name in self.full_output_suites:
            return None
        return DIGEST_THRESHOLD_BYTES if self._accepts_digests(name) else None

    def _accepts_digests(self, name: str) -> bool:
        return self._output_checker(name, lambda: None).accepts_digests

    def _output_checker(self, name: str, while_waiting: Callable[[], None]) -> OutputChecker:
        task, suite = self.expected.task, self.expected.suites[name]

        def recompute(index: int) -> bytes:
            slot = self.slot + MAX_JOBS  # this worker's own sandbox still exists
            return recompute_output(task, name, index, self.limits, slot, self.stop)

        return OutputChecker(
            task, task.inputs(name), suite, recompute, self.comparer, while_waiting
        )

    def _judge_suite(self, sandbox: Sandbox, position: int, name: str) -> SuiteVerdict | None:
        """Read a suite's outputs until there is a verdict; None if the suite never started."""

        def while_waiting() -> None:
            if self.stop.is_set():
                raise WorkStopped
            if exceeded := sandbox.check_limits():
                raise _LimitExceeded(exceeded)

        checker = self._output_checker(name, while_waiting)
        outputs = _OutputStream(checker, name in self.full_output_suites)
        clock: SuiteClock | None = None
        start_limit_s = self.limits.start_s if position == 0 else self.limits.next_s
        start_by = time.monotonic() + start_limit_s
        while True:
            if self.stop.is_set():
                raise WorkStopped
            # Usage first, outputs second: no output that was written before the usage was read is
            # still unread when limits are checked.
            usage_s, usage = time.monotonic(), sandbox.usage.read() if clock else None
            wait_s = min(_POLL_S, sandbox.usage.next_read_in_s()) if clock else _POLL_S
            chunk = sandbox.read(position, wait_s)
            if chunk == b"":
                return None if clock is None else outputs.timed_out(_NO_RESULT)
            if chunk is not None:
                read_s = time.monotonic()
                if clock is None:
                    clock = SuiteClock(
                        self._call_limits_s(name), self.limits, read_s, self._encoding_s(name)
                    )
                    chunk = chunk[2:]
                try:
                    verdict = outputs.feed(chunk)
                except _LimitExceeded as limit:
                    verdict = SuiteVerdict(FAIL, outputs.tests_run, str(limit))
                if verdict is not None:
                    return verdict
                clock.exclude_time(time.monotonic() - read_s)
                time.sleep(_BATCH_S)  # many small outputs cost less in one chunk
            elif clock is None and time.monotonic() > start_by:
                return None
            if usage is not None and (exceeded := sandbox.usage.exceeded_limit(usage)):
                return SuiteVerdict(FAIL, outputs.tests_run, exceeded)
            drained = chunk is None or len(chunk) < PIPE_BYTES
            if clock and (why := clock.exceeded(usage_s, usage, outputs.tests_run, drained)):
                return outputs.timed_out(why)


_NO_RESULT = "the program ended without reporting a result"


class _LimitExceeded(Exception):
    """The program exceeded a limit while an output was compared; the message names the limit."""


class _OutputStream:
    """Compares the outputs of a program as they arrive.

    Args:
        checker: compares one output with the expected one.
        full_outputs: whether long outputs must be sent whole, not as digests.
    """

    def __init__(self, checker: OutputChecker, full_outputs: bool) -> None:
        self.checker = checker
        self.full_outputs = full_outputs
        self.tests_run = 0
        self._reader = LineReader(lambda: checker.max_output_bytes(self.tests_run))

    def feed(self, chunk: bytes) -> SuiteVerdict | None:
        """Compare what arrived; a verdict at the first wrong output or at the end, else None."""
        if self._reader.has_partial_line:
            end = chunk.find(b"\n") + 1 or len(chunk)
            if (verdict := self._check_lines(chunk[:end])) is not None:
                return verdict
            chunk = chunk[end:]
        *lines, rest = chunk.split(b"\n", len(self.checker) - self.tests_run)
        if lines and self.checker.all_equal(self.tests_run, lines):
            self.tests_run += len(lines)
            chunk = rest
        return self._check_lines(chunk)

    def timed_out(self, why: str) -> SuiteVerdict:
        """The verdict on a program that sends nothing more."""
        return SuiteVerdict(TIMEOUT, self.tests_run, why)

    def _check_lines(self, chunk: bytes) -> SuiteVerdict | None:
        try:
            for line in self._reader.lines(chunk):
                verdict = self._check_line(line)
                if verdict is not None:
                    return verdict
        except LineTooLong:
            return self._fail(OUTPUT_TOO_LONG)
        return None

    def _check_line(self, line: Line) -> SuiteVerdict | None:
        start = line[:61] if isinstance(line, bytes) else b""
        mark, text = start[:1], start[1:].decode("ascii", "replace")
        if mark == b"?":
            return SuiteVerdict(FAIL, self.tests_run, f"loading the program raised {text}")
        if mark == b".":
            if self.tests_run == len(self.checker):
                return SuiteVerdict(PASS, self.tests_run)
            return SuiteVerdict(FAIL, self.tests_run, "fewer outputs than tests")
        if self.tests_run == len(self.checker):
            return SuiteVerdict(FAIL, self.tests_run, "more outputs than tests")
        if mark == b"!":
            late = text == "TimeoutException"
            return self._fail(
                "the call exceeded its time limit" if late else f"the call raised {text}"
            )
        try:
            wrong = self.checker.mismatch(self.tests_run, line)
        except FullOutputNeeded:
            if not self.full_outputs:
                raise
            wrong = "the output is too large to be compared with a different one"
        if wrong is not None:
            return self._fail(wrong)
        self.tests_run += 1
        return None

    def _fail(self, why: str) -> SuiteVerdict:
        tests = len(self.checker)
        if self.tests_run == tests:
            return SuiteVerdict(FAIL, self.tests_run, f"after the last test: {why}")
        self.tests_run += 1
        return SuiteVerdict(FAIL, self.tests_run, f"test {self.tests_run}: {why}")
