"""What the reference programs answer, and how long each call takes them.

They run in the same sandbox, through the same runner, as the programs that are judged by them.
"""

import hashlib
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from codewatt.benchmarks.benchmark import SUITES, Task
from codewatt.errors import CodewattError
from codewatt.evaluate.bounded_lines import Line, LineReader, TooLong
from codewatt.evaluate.output_decoder import NAN, decode, holds_opaque, opaque_name
from codewatt.evaluate.resource_limits import Limits
from codewatt.evaluate.sandbox import Request, Sandbox, Suite
from codewatt.evaluate.sandbox_workers import Stopped, check_jobs, run_workers
from codewatt.files import canonical_json, digest, read_json, write_json

FORMAT = 2
DIGEST = b"#"
NO_DIGEST = b"#nan "
"""Stands for the digest of an output that holds NaN, which equal bytes do not make equal."""

DIGEST_OVER = 4096
"""Bytes. Some tasks answer with megabytes a test; to compare digests is enough for most."""

MAX_REFERENCE_BYTES = 256 << 20
"""A reference program whose encoded output is longer is refused."""

_SUITE_TIME_S = 600.0
_LOOK_S = 0.05
_PRELOADED = frozenset({"numpy", "pandas"})
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class SuiteAnswers:
    """A reference program's answers to a suite.

    Attributes:
        lines: one encoded output (`outputs.encode`) a test; of one that is longer than
            `DIGEST_OVER` only the digest and the length, in the runner's own form.
        times_s: how long each call took.
        floats_from: the first test whose output is a float, or a list or tuple of floats only.
    """

    lines: list[bytes]
    times_s: list[float]
    floats_from: int | None


Answer = TypeVar("Answer")
Expected = dict[str, dict[str, SuiteAnswers]]
"""By task_id, then by suite."""


def preload(code: str) -> tuple[str, ...]:
    """Modules to load once for both suites, because a program names them and they load slowly.

    Saves time only: a module that is not named here is loaded in the same way, when it is imported
    (`guard`).
    """
    return tuple(sorted({*_WORD.findall(code)} & _PRELOADED))


def compute_expected(
    tasks: Sequence[Task],
    *,
    jobs: int,
    limits: Limits | None = None,
    on_done: Callable[[str], None] | None = None,
) -> Expected:
    """Run every task's reference program on all of its inputs.

    Args:
        jobs: sandboxes at a time.
        on_done: called with the task_id of each task as it is finished.

    Raises:
        CodewattError: a reference program fails, or answers with something that cannot be
            compared; or the sandbox cannot be set up.
    """
    check_jobs(jobs)
    used = limits or Limits()
    found: Expected = {}

    def finish(index: int, answers: dict[str, SuiteAnswers]) -> None:
        found[tasks[index].task_id] = answers
        if on_done is not None:
            on_done(tasks[index].task_id)

    def work(slot: int, task: Task, stop: threading.Event) -> dict[str, SuiteAnswers]:
        return _answers(task, used, slot, jobs, stop)

    run_workers(tasks, work, jobs, finish)
    return {task.task_id: found[task.task_id] for task in tasks}


def _answers(
    task: Task, limits: Limits, slot: int, jobs: int, stop: threading.Event
) -> dict[str, SuiteAnswers]:
    suites = {name: task.inputs(name) for name in SUITES}
    parse = partial(_parse, task)
    return {
        name: SuiteAnswers(
            [answer.line for answer in answers],
            [answer.taken_s for answer in answers],
            next((index for index, answer in enumerate(answers) if answer.floats), None),
        )
        for name, answers in _run(task, suites, parse, limits, slot, jobs, stop).items()
    }


def _run(
    task: Task,
    suites: dict[str, list[list[Any]]],
    take: Callable[[int, bytes], Answer],
    limits: Limits,
    slot: int,
    jobs: int,
    stop: threading.Event,
) -> dict[str, list[Answer]]:
    """What `take` makes of what the runner says of the reference program: "SECONDS JSON" a test."""
    code = task.prompt + task.canonical_solution
    request = Request(
        code, task.entry_point, [Suite(suites[name]) for name in suites], True, preload(code)
    )
    found = {}
    with Sandbox(request, limits, slot, jobs) as sandbox:
        for position, (name, inputs) in enumerate(suites.items()):
            what = f"{task.task_id}, {name} inputs"
            found[name] = _read_to_end(sandbox, position, what, len(inputs), take, stop)
    return found


def whole_line(
    task: Task, suite: str, index: int, limits: Limits, slot: int, jobs: int, stop: threading.Event
) -> bytes:
    """The encoded output of one test, by running the reference program on it again.

    Raises:
        CodewattError: the reference program fails.
    """

    def keep(number: int, line: bytes) -> bytes:
        return line.partition(b" ")[2]

    inputs = {suite: [task.inputs(suite)[index]]}
    return _run(task, inputs, keep, limits, slot, jobs, stop)[suite][0]


def _read_to_end(
    sandbox: Sandbox,
    suite: int,
    what: str,
    count: int,
    take: Callable[[int, bytes], Answer],
    stop: threading.Event,
) -> list[Answer]:
    """What `take` makes of each test's line, as it comes; the lines may be long.

    Raises:
        CodewattError: the reference program fails, takes too long or does not start.
    """
    reader = LineReader(lambda: MAX_REFERENCE_BYTES)
    taken: list[Answer] = []
    said = b""
    deadline = time.monotonic() + _SUITE_TIME_S
    started = False
    while True:
        chunk = sandbox.read(suite, _LOOK_S)
        if chunk == b"":
            break
        if chunk is not None:
            if not started:
                started, chunk = True, chunk[2:]
            try:
                for line in map(_bytes_of, reader.lines(chunk)):
                    if line[:1] in (b".", b"!", b"?"):
                        said = line
                    else:
                        taken.append(take(len(taken), line))
            except TooLong:
                raise CodewattError(
                    f"{what}: test {len(taken) + 1}: the reference program's output is longer "
                    f"than {MAX_REFERENCE_BYTES >> 20} MiB"
                ) from None
        if stop.is_set():
            raise Stopped
        if time.monotonic() > deadline:
            raise CodewattError(f"{what}: the reference program ran for {_SUITE_TIME_S:.0f} s")
        if overdrawn := sandbox.overdrawn():
            raise CodewattError(f"{what}: the reference program used {overdrawn}")
    if not started:
        raise CodewattError(f"sandbox: it did not start: {sandbox.failure()}")
    if said != b"." or len(taken) != count:
        reason = "" if said == b"." else said.decode(errors="replace")
        raise CodewattError(f"{what}: the reference program failed {reason}".rstrip())
    return taken


def _bytes_of(line: Line) -> bytes:
    return line if isinstance(line, bytes) else b"".join(line.pieces())


@dataclass(frozen=True)
class _Answer:
    """One output of the reference program, in the form in which it is kept."""

    line: bytes
    taken_s: float
    floats: bool


def _parse(task: Task, number: int, line: bytes) -> _Answer:
    """What is kept of "SECONDS JSON"."""
    taken, _, answer = line.partition(b" ")
    if holds_opaque(answer):
        raise CodewattError(
            f"{task.task_id}: test {number + 1}: the reference program's output cannot be "
            f"compared: no value of type {opaque_name(answer) or '?'} can"
        )
    floats = _may_be_floats(answer) and _is_floats(decode(answer))
    return _Answer(_shortened(answer), float(taken), floats)


def length(line: bytes) -> int:
    """Length (bytes) of an encoded output, which may be there only as its digest."""
    if not line.startswith(DIGEST):
        return len(line)
    count = line.partition(b" ")[2]
    return int(count) if count.isdigit() and len(count) < 20 else sys.maxsize


def _shortened(line: bytes) -> bytes:
    if len(line) <= DIGEST_OVER:
        return line
    if NAN in line:
        return NO_DIGEST + str(len(line)).encode()
    return DIGEST + f"{hashlib.sha256(line).hexdigest()} {len(line)}".encode()


def _may_be_floats(line: bytes) -> bool:
    """False only if the output certainly holds no float; saves decoding most of them."""
    return any(mark in line for mark in (b".", b"e", b"Infinity", b"nan"))


def _is_floats(value: Any) -> bool:
    """EvalPlus's is_floats."""
    if isinstance(value, float):
        return True
    if isinstance(value, (list, tuple)) and value:
        return all(isinstance(item, float) for item in value)
    return type(value).__name__ == "ndarray" and str(value.dtype) in ("float64", "float32")


def tasks_digest(tasks: Sequence[Task]) -> str:
    """sha256 over all that expected outputs depend on.

    Tasks may hold lone surrogates, which are no UTF-8; those are digested as backslash escapes.
    """
    total = hashlib.sha256()
    for task in tasks:
        total.update(canonical_json(task.to_row()).encode("utf-8", "backslashreplace") + b"\n")
    return total.hexdigest()


def write_expected(path: str | Path, expected: Expected, tasks: Sequence[Task]) -> None:
    """Save as JSON (gzip by suffix), atomically, with the digest of the tasks.

    Lines are bytes (UTF-8, and lone surrogates that JSON files cannot hold), so each is written
    as the text of the same code points.
    """
    rows = {
        task_id: {
            name: {
                "lines": [line.decode("latin-1") for line in suite.lines],
                "times_s": suite.times_s,
                "floats_from": suite.floats_from,
            }
            for name, suite in suites.items()
        }
        for task_id, suites in expected.items()
    }
    write_json(path, {"schema": FORMAT, "tasks_sha256": tasks_digest(tasks), "tasks": rows})


def read_expected(path: str | Path, tasks: Sequence[Task]) -> Expected:
    """Read what `write_expected` wrote.

    Raises:
        CodewattError: not such a file, or one that was made for other tasks.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != FORMAT:
        raise CodewattError(f"{path}: not expected outputs in format {FORMAT}")
    if content.get("tasks_sha256") != tasks_digest(tasks):
        raise CodewattError(f"{path}: these expected outputs were made for other tasks")
    return {task.task_id: _suites(content["tasks"][task.task_id]) for task in tasks}


def _suites(row: dict[str, Any]) -> dict[str, SuiteAnswers]:
    return {
        name: SuiteAnswers(
            [line.encode("latin-1") for line in row[name]["lines"]],
            row[name]["times_s"],
            row[name]["floats_from"],
        )
        for name in SUITES
    }


def cached_expected(
    tasks: Sequence[Task],
    directory: Path,
    *,
    jobs: int,
    limits: Limits | None = None,
    on_done: Callable[[str], None] | None = None,
) -> Expected:
    """Expected outputs from a cache directory; computed and saved if they are not there.

    A file that cannot be read is made anew.
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
