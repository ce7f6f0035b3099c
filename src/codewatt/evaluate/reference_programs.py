"""Computes expected outputs: runs each task's reference program on all inputs of its tests.

Reference programs run in the same sandbox and through the same runner as untrusted programs.
"""

import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from codewatt.benchmarks.output_rules import NOT_NONE, SAME_SET
from codewatt.benchmarks.tasks import SUITES, FunctionTask
from codewatt.errors import CodewattError
from codewatt.evaluate.outputs.bounded_lines import Line, LineReader, LineTooLong
from codewatt.evaluate.outputs.expected_outputs import (
    DIGEST_MARK,
    FORMAT,
    ExpectedOutputs,
    ExpectedSuite,
    digest_if_long,
    read_expected,
    tasks_digest,
    write_expected,
)
from codewatt.evaluate.outputs.output_decoder import contains_opaque, decode, opaque_type_name
from codewatt.evaluate.parallel_jobs import WorkStopped, check_jobs, run_workers
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.sandbox import Sandbox, SandboxRequest, SuiteInputs
from codewatt.files import digest
from codewatt.units import BYTES_PER_MIB

MAX_REFERENCE_BYTES = 256 << 20
"""A reference program with a longer encoded output is an error."""

_SUITE_LIMIT_S = 600.0
_POLL_S = 0.05
_SLOW_MODULES = frozenset({"numpy", "pandas"})
_WORD = re.compile(r"\w+")

Parsed = TypeVar("Parsed")


def sandbox_request(
    task: FunctionTask, code: str, suites: list[SuiteInputs], *, timed: bool = False
) -> SandboxRequest:
    """A request to run a program of a task with the inputs of some suites."""
    return SandboxRequest(
        code,
        task.entry_point,
        suites,
        timed=timed,
        preload=modules_to_preload(code),
        argument_types=tuple(task.argument_types),
        iterate_outputs=task.output_rule == SAME_SET,
    )


def modules_to_preload(code: str) -> tuple[str, ...]:
    """Slow modules that a program names, to be imported once for both suites.

    This only saves time: the program's own import loads any other module in the same way
    (`evalplus_guard`).
    """
    return tuple(sorted({*_WORD.findall(code)} & _SLOW_MODULES))


def compute_expected(
    tasks: Sequence[FunctionTask],
    *,
    jobs: int,
    limits: Limits | None = None,
    on_done: Callable[[str], None] | None = None,
) -> ExpectedOutputs:
    """Run every task's reference program on all of its inputs.

    Args:
        tasks: the benchmark's tasks.
        jobs: number of sandboxes that run at the same time.
        limits: resource limits; None for the defaults.
        on_done: called with the task_id of each finished task.

    Returns:
        Expected outputs of each task and suite.

    Raises:
        CodewattError: a reference program fails or returns an output that cannot be compared, or
            the sandbox cannot be started.
    """
    check_jobs(jobs)
    used = limits or Limits()
    found: ExpectedOutputs = {}

    def finish(index: int, suites: dict[str, ExpectedSuite]) -> None:
        found[tasks[index].task_id] = suites
        if on_done is not None:
            on_done(tasks[index].task_id)

    def work(slot: int, task: FunctionTask, stop: threading.Event) -> dict[str, ExpectedSuite]:
        return _expected_suites(task, used, slot, stop)

    run_workers(tasks, work, jobs, finish)
    return {task.task_id: found[task.task_id] for task in tasks}


def cached_expected(
    tasks: Sequence[FunctionTask],
    directory: Path,
    *,
    jobs: int,
    limits: Limits | None = None,
    on_done: Callable[[str], None] | None = None,
) -> ExpectedOutputs:
    """Expected outputs from a cache directory; computed and saved if missing or unreadable.

    Args and Raises: see `compute_expected`.
    """
    key = digest([FORMAT, tasks_digest(tasks), list(sys.version_info[:2])])
    path = directory / f"expected-{key[:32]}.json.gz"
    if path.is_file():
        try:
            return read_expected(path, tasks)
        except CodewattError:
            pass
    expected = compute_expected(tasks, jobs=jobs, limits=limits, on_done=on_done)
    write_expected(path, expected, tasks)
    return expected


def recompute_output(
    task: FunctionTask,
    suite: str,
    index: int,
    limits: Limits,
    slot: int,
    stop: threading.Event,
) -> bytes:
    """The whole encoded output of one test, by running the reference program on it again.

    Raises:
        CodewattError: the reference program fails.
    """

    def keep(number: int, line: bytes) -> bytes:
        return line.partition(b" ")[2]

    inputs = {suite: [task.inputs(suite)[index]]}
    return _run_reference(task, inputs, keep, limits, slot, stop)[suite][0]


def _expected_suites(
    task: FunctionTask, limits: Limits, slot: int, stop: threading.Event
) -> dict[str, ExpectedSuite]:
    suites = {name: task.inputs(name) for name in SUITES}
    parse = partial(_parse, task)
    return {
        name: ExpectedSuite(
            [output.line for output in outputs],
            [output.duration_s for output in outputs],
            next((index for index, output in enumerate(outputs) if output.floats), None),
        )
        for name, outputs in _run_reference(task, suites, parse, limits, slot, stop).items()
    }


def _run_reference(
    task: FunctionTask,
    suites: dict[str, list[list[Any]]],
    parse: Callable[[int, bytes], Parsed],
    limits: Limits,
    slot: int,
    stop: threading.Event,
) -> dict[str, list[Parsed]]:
    """Outputs of the reference program by suite; `parse` gets each test's "SECONDS JSON" line."""
    inputs = [SuiteInputs(suites[name], digest_too_large=True) for name in suites]
    request = sandbox_request(task, task.reference_program, inputs, timed=True)
    found = {}
    # Trusted and rarely large: one may use the memory of several (Mbpp/255 needs 1.3 GB).
    with Sandbox(request, limits, slot, jobs=1) as sandbox:
        for position, (name, tests) in enumerate(suites.items()):
            where = f"{task.task_id}, {name} tests"
            found[name] = _read_outputs(sandbox, position, where, len(tests), parse, stop)
    return found


def _read_outputs(
    sandbox: Sandbox,
    suite: int,
    where: str,
    count: int,
    parse: Callable[[int, bytes], Parsed],
    stop: threading.Event,
) -> list[Parsed]:
    """Parse the line of each test of a suite as it arrives; lines may be long.

    Raises:
        CodewattError: the reference program fails, exceeds a limit or does not start.
    """
    reader = LineReader(lambda: MAX_REFERENCE_BYTES)
    outputs: list[Parsed] = []
    last_report = b""
    deadline = time.monotonic() + _SUITE_LIMIT_S
    started = False
    while True:
        chunk = sandbox.read(suite, _POLL_S)
        if chunk == b"":
            break
        if chunk is not None:
            if not started:
                started, chunk = True, chunk[2:]
            try:
                for line in map(_line_bytes, reader.lines(chunk)):
                    if line[:1] in (b".", b"!", b"?"):
                        last_report = line
                    else:
                        outputs.append(parse(len(outputs), line))
            except LineTooLong:
                raise CodewattError(
                    f"{where}: test {len(outputs) + 1}: the output of the reference program is "
                    f"too long; allowed: {MAX_REFERENCE_BYTES // BYTES_PER_MIB} MiB"
                ) from None
        if stop.is_set():
            raise WorkStopped
        if time.monotonic() > deadline:
            raise CodewattError(
                f"{where}: the reference program exceeded the time limit of {_SUITE_LIMIT_S:.0f} s"
            )
        if exceeded := sandbox.check_limits():
            raise CodewattError(f"{where}: the reference program used {exceeded}")
    if not started:
        raise CodewattError(f"sandbox: did not start: {sandbox.startup_error()}")
    if last_report != b"." or len(outputs) != count:
        reason = _failure_reason(last_report)
        raise CodewattError(
            f"{where}: the reference program failed at test {len(outputs) + 1}: {reason}"
        )
    return outputs


def _failure_reason(report: bytes) -> str:
    """The last report of the runner in words; see `sandboxed_runner`."""
    name = report[1:].decode(errors="replace")
    if report.startswith(b"?"):
        return f"loading it raised {name}"
    return f"the call raised {name}" if report.startswith(b"!") else "it returned no output"


def _line_bytes(line: Line) -> bytes:
    return line if isinstance(line, bytes) else b"".join(line.pieces())


@dataclass(frozen=True)
class _ParsedOutput:
    """One output of a reference program: the line to keep, and whether it consists of floats."""

    line: bytes
    duration_s: float
    floats: bool


def _parse(task: FunctionTask, number: int, line: bytes) -> _ParsedOutput:
    """Parse a "SECONDS JSON" line."""
    duration, _, output = line.partition(b" ")
    if task.output_rule == NOT_NONE:
        output = b"false" if output == b"null" else b"true"
    if output.startswith(DIGEST_MARK):  # too large to be sent
        return _ParsedOutput(output, float(duration), floats=False)
    if contains_opaque(output):
        raise CodewattError(
            f"{task.task_id}: test {number + 1}: the output of the reference program cannot be "
            f"compared: values of type {opaque_type_name(output) or '?'} have no encoding"
        )
    floats = _may_be_floats(output) and _is_floats(decode(output))
    return _ParsedOutput(digest_if_long(output), float(duration), floats)


def _may_be_floats(line: bytes) -> bool:
    """False only if the output certainly contains no float; saves decoding most outputs."""
    return any(mark in line for mark in (b".", b"e", b"Infinity", b"nan"))


def _is_floats(value: Any) -> bool:
    """EvalPlus's `is_floats`."""
    if isinstance(value, float):
        return True
    if isinstance(value, (list, tuple)) and value:
        return all(isinstance(item, float) for item in value)
    return type(value).__name__ == "ndarray" and str(value.dtype) in ("float64", "float32")
