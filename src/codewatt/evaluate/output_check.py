"""Whether an output is right, by the rules of EvalPlus 0.3.1 (eval/__init__.py), outside.

Here what can be decided without harm in the judge's own process: equality of bytes, and short
numbers, texts and lists. All else is decided by value in the helper process (`comparer`).

One difference is meant. EvalPlus 0.3.1 leaves its loop early on the oracle of `find_zero`
(HumanEval/32) and so fails every solution of it, the reference included; here, as in earlier
releases, an output that the oracle accepts is right.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

from codewatt.benchmarks.benchmark import Task
from codewatt.evaluate.bounded_lines import Line, LongLine, size_of
from codewatt.evaluate.comparison_process import CPU_S, Comparer
from codewatt.evaluate.equality import close_floats, solves
from codewatt.evaluate.expected_outputs import DIGEST, NO_DIGEST, SuiteAnswers, length
from codewatt.evaluate.output_decoder import NAN, TOO_LARGE, opaque_name

FLOAT_ATOL = 1e-6

MAX_LINE_BYTES = 32 << 20
"""A longer encoded output is not read: it can only be right by its digest."""

_SLACK_FACTOR = 128
_SLACK_BYTES = 1 << 16
_SHORT_BYTES = 4096

WRONG = "wrong output"


class OnlyDigest(Exception):
    """Whether an output is right cannot be told from its digest."""


class Expectation:
    """What one suite of a task should answer, and how each answer is compared.

    Args:
        task: names the special oracle, if there is one, and the tolerance.
        inputs: one argument list a test.
        answers: what the reference program answered.
        whole: the encoded output of a test of which only the digest was kept.
        comparer: compares by value.
        idle: called while a comparison takes its time.
    """

    def __init__(
        self,
        task: Task,
        inputs: Sequence[list[Any]],
        answers: SuiteAnswers,
        whole: Callable[[int], bytes],
        comparer: Comparer,
        idle: Callable[[], None],
    ) -> None:
        self._oracle = task.entry_point == "find_zero"
        self._inputs = inputs
        self._lines = answers.lines
        self._atol = task.atol
        self._floats_from = answers.floats_from
        self._whole = whole
        self._comparer = comparer
        self._idle = idle
        self._cpu_left_s = CPU_S
        self._bytes_decide = not self._oracle and not any(
            NAN in line or line.startswith(NO_DIGEST) for line in self._lines
        )

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def digests(self) -> bool:
        """Whether an output may come as its digest, because some expected ones are only that."""
        return self._bytes_decide and any(line.startswith(DIGEST) for line in self._lines)

    def longest(self, index: int) -> int:
        """Bytes; a longer encoding of the output of a test is not read.

        The same number may be written longer by a factor (1e308 as an integer, a list of NumPy
        scalars); no other type that compares equal needs more. A line that reports an error, or
        comes after the last test, is short.
        """
        if index >= len(self._lines):
            return _SLACK_BYTES
        return min(_SLACK_FACTOR * length(self._lines[index]) + _SLACK_BYTES, MAX_LINE_BYTES)

    def accepts_all(self, start: int, lines: list[bytes]) -> bool:
        """Whether the outputs from test `start` on are, byte for byte, the expected ones.

        False only means that they have to be looked at one by one.
        """
        return self._bytes_decide and lines == self._lines[start : start + len(lines)]

    def wrong(self, index: int, line: Line) -> str | None:
        """Why the encoded output of a test is not right; None if it is. No output makes it raise.

        Raises:
            OnlyDigest: the output came as a digest that differs; it has to be seen whole.
            CodewattError: the expected output cannot be had again.
        """
        expected = self._lines[index]
        if self._bytes_decide and _same_bytes(line, expected):
            return None
        if isinstance(line, bytes) and line.startswith(DIGEST):
            if length(line) > self.longest(index):
                return "an output that is far too long"
            raise OnlyDigest
        right = self._plainly(index, line)
        if right:
            return None
        wrong = WRONG if right is not None else self._by_value(index, line)
        if wrong is not None and (name := _opaque(line)) is not None:
            if name == TOO_LARGE:
                return "an output that is nested too deeply or has too many parts"
            return f"an output of type {name}, which has no value to compare"
        return wrong

    def atol(self, index: int) -> float:
        """The tolerance in force at a test.

        In EvalPlus the first expected output that is a float, or a list or tuple of floats only,
        raises a tolerance of 0 to 1e-6, and it stays so for the tests that follow.
        """
        if self._atol == 0 and self._floats_from is not None and index >= self._floats_from:
            return FLOAT_ATOL
        return self._atol

    def _plainly(self, index: int, line: Line) -> bool | None:
        """The verdict on short numbers, texts and lists; None if there is more to look at."""
        if not _is_plain(line):
            return None
        try:
            output = [_load(line)]
        except (ValueError, RecursionError):
            return False
        atol = self.atol(index)
        if self._oracle:
            try:
                return solves(self._inputs[index][0], output[0], atol)
            except Exception:
                return False
        if not _is_plain(self._lines[index]):
            return None
        wanted = [_load(self._lines[index])]
        if output == wanted or atol == 0:
            return output == wanted
        if type(output[0]) is type(wanted[0]) is float:
            return close_floats(output[0], wanted[0], atol)
        return None

    def _by_value(self, index: int, line: Line) -> str | None:
        rule: dict[str, Any] = {"atol": self.atol(index)}
        expected = self._lines[index]
        if self._oracle:
            rule["coefficients"] = self._inputs[index][0]
            expected = b""
        elif expected.startswith(DIGEST):
            if length(expected) > MAX_LINE_BYTES:
                return f"{WRONG}: not the {length(expected)} bytes that were expected"
            expected = self._whole(index)
        wrong, taken_s = self._comparer.differs(line, rule, expected, self._cpu_left_s, self._idle)
        self._cpu_left_s -= taken_s
        return wrong


def _same_bytes(line: Line, expected: bytes) -> bool:
    """Whether an output is the expected one, of which only the digest may be there."""
    if line == expected:
        return True
    if not expected.startswith(DIGEST) or size_of(line) != length(expected):
        return False
    sha256 = line.sha256() if isinstance(line, LongLine) else hashlib.sha256(line).hexdigest()
    return expected == f"{DIGEST.decode()}{sha256} {size_of(line)}".encode()


def _is_plain(line: Line) -> TypeGuard[bytes]:
    """Whether a line is short and without tags, so that its value is small and of a plain type."""
    if not isinstance(line, bytes) or len(line) > _SHORT_BYTES:
        return False
    return b"{" not in line and not line.startswith(DIGEST)


def _load(line: bytes) -> Any:
    return json.loads(line.decode("utf-8", "surrogatepass"))


def _opaque(line: Line) -> str | None:
    if isinstance(line, bytes):
        return opaque_name(line)
    return next((name for piece in line.pieces() if (name := opaque_name(piece))), None)
