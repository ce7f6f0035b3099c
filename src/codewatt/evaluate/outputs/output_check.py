"""Checks the outputs of a program by the rules of EvalPlus 0.3.1 (eval/__init__.py).

Checks that are safe run in the judge's own process: equality of bytes, and short numbers, strings
and lists. Everything else is compared in the helper process (`comparison_process`).

There is one deliberate difference from EvalPlus. EvalPlus 0.3.1 leaves its loop early for the
oracle of `find_zero` (HumanEval/32) and so fails every solution, the reference included. Here, as
in earlier releases, an output that the oracle accepts is correct.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

from codewatt.benchmarks.output_rules import ANY_OUTPUT, EQUAL, NOT_NONE, POLYNOMIAL_ROOT
from codewatt.benchmarks.tasks import FunctionTask
from codewatt.evaluate.outputs.bounded_lines import Line, LineOnDisk, line_size
from codewatt.evaluate.outputs.comparison_process import CPU_S, OutputComparer
from codewatt.evaluate.outputs.expected_outputs import (
    DIGEST_MARK,
    NAN_DIGEST_MARK,
    ExpectedSuite,
    encoded_length,
)
from codewatt.evaluate.outputs.output_decoder import ENCODED_NAN, TOO_LARGE, opaque_type_name
from codewatt.evaluate.outputs.output_equality import floats_close
from codewatt.evaluate.outputs.special_oracles import TestRule, is_right, matches

FLOAT_ATOL = 1e-6

MAX_LINE_BYTES = 32 << 20
"""Longer encoded outputs are not read: they can only be correct by their digest."""

_SLACK_FACTOR = 128
_SLACK_BYTES = 1 << 16
_SHORT_BYTES = 4096

WRONG_OUTPUT = "wrong output"
OUTPUT_TOO_LONG = "the output is too long to be correct"


class FullOutputNeeded(Exception):
    """The digest of an output differs, so the whole output is needed to check it."""


class OutputChecker:
    """Checks the outputs of one test suite of a task.

    Args:
        task: the task; decides the tolerance and the rule of comparison.
        inputs: one argument list for each test.
        expected: its expected outputs.
        recompute: returns the whole expected output of a test that is kept as a digest.
        comparer: compares outputs in the helper process.
        while_waiting: called repeatedly while a comparison runs.
    """

    def __init__(
        self,
        task: FunctionTask,
        inputs: Sequence[list[Any]],
        expected: ExpectedSuite,
        recompute: Callable[[int], bytes],
        comparer: OutputComparer,
        while_waiting: Callable[[], None],
    ) -> None:
        self._rule = task.output_rule
        self._inputs = inputs
        self._lines = expected.lines
        self._atol = task.atol
        self._floats_from = expected.floats_from
        self._recompute = recompute
        self._comparer = comparer
        self._while_waiting = while_waiting
        self._cpu_left_s = CPU_S
        self._compares_bytes = self._rule != POLYNOMIAL_ROOT and not any(
            ENCODED_NAN in line or line.startswith(NAN_DIGEST_MARK) for line in self._lines
        )

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def accepts_digests(self) -> bool:
        """Whether long outputs may be sent as digests: some expected outputs are digests."""
        return self._compares_bytes and any(line.startswith(DIGEST_MARK) for line in self._lines)

    def max_output_bytes(self, index: int) -> int:
        """Maximum length (bytes) of the encoded output of a test; longer outputs are wrong.

        An equal number may have a longer encoding by a constant factor (1e308 as an integer, a
        list of NumPy scalars); no other type that compares equal needs more. Some rules accept
        outputs of any length. Lines that report an error or follow the last test are short.
        """
        if index >= len(self._lines):
            return _SLACK_BYTES
        if self._rule in (ANY_OUTPUT, NOT_NONE):
            return MAX_LINE_BYTES
        return min(
            _SLACK_FACTOR * encoded_length(self._lines[index]) + _SLACK_BYTES, MAX_LINE_BYTES
        )

    def all_equal(self, start: int, lines: list[bytes]) -> bool:
        """Whether the outputs from test `start` on equal the expected ones byte for byte.

        False only means that the outputs must be checked one by one.
        """
        return self._compares_bytes and lines == self._lines[start : start + len(lines)]

    def mismatch(self, index: int, line: Line) -> str | None:
        """Reason why the encoded output of a test is wrong; None if it is correct.

        Raises:
            FullOutputNeeded: the output was sent as a digest that differs from the expected one.
            CodewattError: the expected output cannot be recomputed.
        """
        expected = self._lines[index]
        if self._compares_bytes and _equal_bytes(line, expected):
            return None
        if isinstance(line, bytes) and line.startswith(DIGEST_MARK):
            if encoded_length(line) > self.max_output_bytes(index):
                return OUTPUT_TOO_LONG
            raise FullOutputNeeded
        right = self._compare_plain(index, line)
        if right:
            return None
        wrong = WRONG_OUTPUT if right is not None else self._compare_in_helper(index, line)
        if wrong is not None and (name := _opaque_type_of(line)) is not None:
            if name == TOO_LARGE:
                return "the output is nested too deeply or has too many items"
            return f"the output contains a value of type {name}, which cannot be compared"
        return wrong

    def tolerance(self, index: int) -> float:
        """Absolute tolerance of a test.

        As in EvalPlus, the first expected output that is a float, or a list or tuple of floats
        only, raises a tolerance of 0 to 1e-6 for this test and all later ones.
        """
        if self._atol == 0 and self._floats_from is not None and index >= self._floats_from:
            return FLOAT_ATOL
        return self._atol

    def _test_rule(self, index: int) -> TestRule:
        if self._rule == EQUAL:
            return TestRule(atol=self.tolerance(index))
        before = self.tolerance(index - 1) if index > 0 else self._atol
        return TestRule(self._rule, self.tolerance(index), before, self._inputs[index])

    def _compare_plain(self, index: int, line: Line) -> bool | None:
        """Whether a short number, string or list is correct; None for any other output."""
        if not _is_plain(line):
            return None
        try:
            output = [_load(line)]
        except (ValueError, RecursionError):
            return False
        atol, rule = self.tolerance(index), self._test_rule(index)
        if not rule.needs_expected:
            return _bool_or_false(lambda: is_right(output[0], None, rule))
        if not _is_plain(self._lines[index]):
            return None
        wanted = [_load(self._lines[index])]
        if rule.name != EQUAL:
            right = _bool_or_false(lambda: bool(matches(output[0], wanted[0], rule)))
            return right if right or atol == 0 else None
        if output == wanted or atol == 0:
            return output == wanted
        if type(output[0]) is type(wanted[0]) is float:
            return floats_close(output[0], wanted[0], atol)
        return None

    def _compare_in_helper(self, index: int, line: Line) -> str | None:
        rule, expected = self._test_rule(index), self._lines[index]
        if not rule.needs_expected:
            expected = b""
        elif expected.startswith(DIGEST_MARK):
            if encoded_length(expected) > MAX_LINE_BYTES:
                return f"{WRONG_OUTPUT}: {encoded_length(expected)} bytes were expected"
            expected = self._recompute(index)
        wrong, taken_s = self._comparer.compare(
            line, rule, expected, self._cpu_left_s, self._while_waiting
        )
        self._cpu_left_s -= taken_s
        return wrong


def _equal_bytes(line: Line, expected: bytes) -> bool:
    """Whether an output equals the expected one, which may be kept as a digest."""
    if line == expected:
        return True
    if not expected.startswith(DIGEST_MARK) or line_size(line) != encoded_length(expected):
        return False
    sha256 = line.sha256() if isinstance(line, LineOnDisk) else hashlib.sha256(line).hexdigest()
    return expected == f"{DIGEST_MARK.decode()}{sha256} {line_size(line)}".encode()


def _bool_or_false(compare: Callable[[], bool]) -> bool:
    """The result of a comparison; False if it raises, as in EvalPlus."""
    try:
        return compare()
    except Exception:
        return False


def _is_plain(line: Line) -> TypeGuard[bytes]:
    """Whether a line is short and without tags, so that its value is small and of a JSON type."""
    if not isinstance(line, bytes) or len(line) > _SHORT_BYTES:
        return False
    return b"{" not in line and not line.startswith(DIGEST_MARK)


def _load(line: bytes) -> Any:
    return json.loads(line.decode("utf-8", "surrogatepass"))


def _opaque_type_of(line: Line) -> str | None:
    if isinstance(line, bytes):
        return opaque_type_name(line)
    return next((name for piece in line.pieces() if (name := opaque_type_name(piece))), None)
