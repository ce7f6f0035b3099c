"""Expected outputs of a benchmark's tasks: their types, their digests and their file.

`codewatt.evaluate.reference_programs` computes them.
"""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.benchmarks.tasks import SUITES, FunctionTask
from codewatt.errors import CodewattError
from codewatt.evaluate.outputs.output_decoder import ENCODED_NAN
from codewatt.files import canonical_json, read_json, write_json

FORMAT = 2
"""Version of the file of expected outputs."""

DIGEST_MARK = b"#"
"""First byte of a digest line, which replaces a long encoded output."""

NAN_DIGEST_MARK = b"#nan "
"""Replaces the digest of an output that contains NaN: equal bytes do not make it equal."""

DIGEST_THRESHOLD_BYTES = 4096
"""Longer encoded outputs are kept as digests; some tasks return megabytes for each test."""


@dataclass(frozen=True)
class ExpectedSuite:
    """Expected outputs of one test suite of a task.

    Attributes:
        lines: one encoded output (`output_encoder.encode`) for each test; of an output longer than
            `DIGEST_THRESHOLD_BYTES` only digest and length, as `sandboxed_runner` writes them.
        times_s: duration of each call of the reference program (s).
        floats_from: index of the first test whose output is a float, or a list or tuple of floats
            only; None if there is none.
    """

    lines: list[bytes]
    times_s: list[float]
    floats_from: int | None


ExpectedOutputs = dict[str, dict[str, ExpectedSuite]]
"""Expected outputs by task_id, then by suite ("base" or "plus")."""


def encoded_length(line: bytes) -> int:
    """Length (bytes) of an encoded output, read from the digest line if that replaces it."""
    if not line.startswith(DIGEST_MARK):
        return len(line)
    count = line.partition(b" ")[2]
    return int(count) if count.isdigit() and len(count) < 20 else sys.maxsize


def digest_if_long(line: bytes) -> bytes:
    """The encoded output, or its digest line if it exceeds `DIGEST_THRESHOLD_BYTES`."""
    if len(line) <= DIGEST_THRESHOLD_BYTES:
        return line
    if ENCODED_NAN in line:
        return NAN_DIGEST_MARK + str(len(line)).encode()
    return DIGEST_MARK + f"{hashlib.sha256(line).hexdigest()} {len(line)}".encode()


def tasks_digest(tasks: Sequence[FunctionTask]) -> str:
    """sha256 (hex) over the tasks, on which the expected outputs depend.

    Inputs of tests may be infinite or NaN, as one of MBPP+ is. Tasks may contain lone surrogates,
    which UTF-8 cannot encode; they are digested as backslash escapes.
    """
    total = hashlib.sha256()
    for task in tasks:
        row = canonical_json(task.to_row(), allow_nan=True)
        total.update(row.encode("utf-8", "backslashreplace") + b"\n")
    return total.hexdigest()


def write_expected(
    path: str | Path, expected: ExpectedOutputs, tasks: Sequence[FunctionTask]
) -> None:
    """Write expected outputs as JSON (gzip by suffix), atomically, with the digest of the tasks.

    Lines are bytes that may not be valid UTF-8 (lone surrogates), so each byte is written as the
    character of the same code point (Latin-1).
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


def read_expected(path: str | Path, tasks: Sequence[FunctionTask]) -> ExpectedOutputs:
    """Read a file that `write_expected` wrote.

    Raises:
        CodewattError: the file has another format, or was computed for other tasks.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != FORMAT:
        raise CodewattError(f"{path}: not a file of expected outputs in format {FORMAT}")
    if content.get("tasks_sha256") != tasks_digest(tasks):
        raise CodewattError(f"{path}: the expected outputs were computed for other tasks")
    return {task.task_id: _suites(content["tasks"][task.task_id]) for task in tasks}


def _suites(row: dict[str, Any]) -> dict[str, ExpectedSuite]:
    return {
        name: ExpectedSuite(
            [line.encode("latin-1") for line in row[name]["lines"]],
            row[name]["times_s"],
            row[name]["floats_from"],
        )
        for name in SUITES
    }
