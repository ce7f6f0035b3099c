"""Runs one untrusted program with its unit tests, within limits, and reads its report.

`unittest_judge` and `reference_runs` decide what the outcome means.
"""

import threading
import time
from dataclasses import dataclass, field, replace
from types import TracebackType

from codewatt.errors import CodewattError
from codewatt.evaluate.parallel_jobs import WorkStopped
from codewatt.evaluate.sandbox.fork_server import ForkedProgram, ForkServer
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.time_limits import SuiteClock
from codewatt.evaluate.sandbox.unittest_view import Interpreter
from codewatt.evaluate.verdicts import FAIL, PASS, TIMEOUT
from codewatt.units import BYTES_PER_GIB, BYTES_PER_MIB

UNITTEST_LIMITS = Limits(
    min_time_s=60.0,
    time_factor=5.0,
    suite_time_s=240.0,
    grace_s=2.0,
    memory_bytes=8 * BYTES_PER_GIB,
    processes=256,
    files=1024,
    tmpfs_bytes=512 * BYTES_PER_MIB,
)
"""Default limits: a program gets the larger of `min_time_s` and `time_factor` times the time of
the reference program, at most `suite_time_s`. Upstream gives each program 240 s of wall time, or
the time of the reference program if that is longer, and 30 GB."""

_POLL_S = 0.05
_REPORT_BYTES = 4 << 20
NO_REPORT = "the program ended without reporting a result"
_PROBE_TEST = "import unittest\nclass TestCases(unittest.TestCase):\n    def test(self): pass\n"


@dataclass(frozen=True)
class UnittestOutcome:
    """Outcome of a program and its tests.

    Attributes:
        status: "pass", "fail" or "timeout".
        why: why the program did not pass, other than failed tests; None if there is no such reason.
        seconds: time used, as `time_limits` counts it (s); 0 if not reported.
        ran: names of the tests that ran.
        skipped: names of the tests that were skipped.
        failed: name of each failed test, and the last line of its traceback.
        cpu_s: CPU time of the program's processes (s), in steps of 10 ms; None if not read.
    """

    status: str
    why: str | None = None
    seconds: float = 0.0
    ran: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    cpu_s: float | None = None


class CannotIsolate(CodewattError):
    """A program's process could not be isolated; the message is the reason."""


class ProgramRunner:
    """Starts programs: from a warm fork server, or each in a cold sandbox. A context manager.

    Args:
        interpreter: the Python environment of the programs.
        modules: modules that the fork server imports once.
        limits: resource limits of a program.
        jobs: number of programs that run at the same time.

    Raises:
        CodewattError: no sandbox can be started.
    """

    def __init__(
        self, interpreter: Interpreter, modules: list[str], limits: Limits, jobs: int
    ) -> None:
        self._interpreter, self._limits, self._jobs = interpreter, limits, jobs
        self._server: ForkServer | None = None
        try:
            self._server = ForkServer(interpreter, modules, limits, jobs)
            self._require_isolation()
        except CannotIsolate:
            self._close_server()
            self._require_isolation()
        except BaseException:
            self._close_server()
            raise

    @property
    def is_warm(self) -> bool:
        """Whether programs start from a fork server."""
        return self._server is not None

    def __enter__(self) -> "ProgramRunner":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close_server()

    def run(
        self, code: str, test: str, limit_s: float, slot: int, stop: threading.Event
    ) -> UnittestOutcome:
        """Run a program with its tests.

        Args:
            code: source code of the program.
            test: source code of the tests.
            limit_s: time limit (s), as `time_limits` counts it.
            slot: number of the worker.
            stop: set when the work is cancelled.

        Raises:
            CodewattError: the sandbox cannot be started.
            WorkStopped: `stop` was set.
        """
        cpu_s = self._limits.kernel_cpu_limit_s([[limit_s]])
        assert cpu_s is not None
        server = self._server or ForkServer(
            self._interpreter, [], self._limits, self._jobs, isolates=False
        )
        with server.fork(code, test, slot, cpu_s) as program:
            outcome = _watch(program, limit_s, self._limits, stop)
            return replace(outcome, cpu_s=program.usage.read_cpu_s())

    def _require_isolation(self) -> None:
        outcome = self.run("", _PROBE_TEST, self._limits.start_s, 0, threading.Event())
        if outcome.status != PASS:
            raise CodewattError(f"sandbox: a trivial program does not pass: {outcome.why}")

    def _close_server(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


def _watch(
    program: ForkedProgram, limit_s: float, limits: Limits, stop: threading.Event
) -> UnittestOutcome:
    """Read the report, and end the program at its limits."""
    _await_start(program, limits, stop)
    clock = SuiteClock([limit_s], limits, time.monotonic())
    report = bytearray()
    head = f"{program.nonce}\n".encode()
    while True:
        if stop.is_set():
            raise WorkStopped
        usage_s, usage = time.monotonic(), program.usage.read()
        chunk = program.read(min(_POLL_S, program.usage.next_read_in_s()))
        if chunk == b"":
            return UnittestOutcome(TIMEOUT, NO_REPORT)
        if chunk is not None:
            report += chunk
            if not report.startswith(head[: len(report)]) or len(report) > _REPORT_BYTES:
                return UnittestOutcome(FAIL, "the program wrote to the pipe of reports")
            if len(report) > len(head) and report.endswith(b"\n" + head):
                return _parse(bytes(report[len(head) : -len(head)]))
        if usage is not None and (exceeded := program.usage.exceeded_limit(usage)):
            return UnittestOutcome(TIMEOUT, exceeded)
        if why := clock.exceeded(usage_s, usage, answered=0, drained=False):
            return UnittestOutcome(TIMEOUT, why)


def _await_start(program: ForkedProgram, limits: Limits, stop: threading.Event) -> None:
    """Wait until the program's process is isolated."""
    start_by = time.monotonic() + limits.start_s
    while (mark := program.read_byte(_POLL_S)) is None:
        if stop.is_set():
            raise WorkStopped
        if time.monotonic() > start_by:
            raise CodewattError("sandbox: a program did not start in time")
    if mark != b"^":
        reason = program.read(limits.start_s) or b"no message"
        raise CannotIsolate(f"sandbox: does not isolate programs: {reason.decode()}")


def _parse(report: bytes) -> UnittestOutcome:
    """Parse a report (`inside/unittest_program.py`) without its first and last line."""
    status, why, seconds = FAIL, None, 0.0
    ran, skipped, failed = [], [], {}
    try:
        for line in report.decode("ascii").splitlines():
            word, *fields = line.split(" ")
            texts = [
                "" if text == "-" else bytes.fromhex(text).decode("utf-8", "replace")
                for text in fields
            ]
            if word in (PASS, FAIL):
                status = word
            elif word == "why":
                (why,) = texts
            elif word == "seconds":
                seconds = float(*texts)
            elif word == "ran":
                ran += texts
            elif word == "skipped":
                skipped += texts
            else:
                name, text = texts
                failed[name] = text
    except (ValueError, TypeError):
        return UnittestOutcome(FAIL, "the program wrote to the pipe of reports")
    if failed or why is not None:
        status = FAIL
    elif status == FAIL:  # the program wrote the report itself
        why = "the program wrote to the pipe of reports"
    return UnittestOutcome(status, why, seconds, tuple(ran), tuple(skipped), failed)
