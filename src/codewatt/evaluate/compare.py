"""Whether an output is right, by the rules of EvalPlus 0.3.1 (eval/__init__.py), outside.

One difference is meant. EvalPlus 0.3.1 leaves its loop early on the oracle of `find_zero`
(HumanEval/32) and so fails every solution of it, the reference included; here, as in earlier
releases, an output that the oracle accepts is right.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from codewatt.benchmarks.base import Task
from codewatt.evaluate.codec import NAN, decode
from codewatt.evaluate.expected import DIGEST, SuiteAnswers, length

RTOL = 1e-7
FLOAT_ATOL = 1e-6

_SLACK_FACTOR = 128
_SLACK_BYTES = 1 << 16


class Expectation:
    """What one suite of a task should answer, and how each answer is compared.

    Args:
        task: names the special oracle, if there is one, and the tolerance.
        inputs: one argument list a test.
        answers: what the reference program answered.
        whole: the encoded output of a test of which only the digest was kept.
    """

    def __init__(
        self,
        task: Task,
        inputs: Sequence[list[Any]],
        answers: SuiteAnswers,
        whole: Callable[[int], bytes],
    ) -> None:
        self._oracle = task.entry_point == "find_zero"
        self._inputs = inputs
        self._lines = answers.lines
        self._atol = task.atol
        self._floats_from = answers.floats_from
        self._whole = whole
        self._bytes_decide = not self._oracle and not any(NAN in line for line in self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def digests(self) -> bool:
        """Whether an output may come as its digest, because some expected ones are only that."""
        return self._bytes_decide and any(line.startswith(DIGEST) for line in self._lines)

    def longest(self, index: int) -> int:
        """Bytes; a longer encoding cannot equal the expected output, so it is not even read.

        The same number may be written longer by a factor (1e308 as an integer, a list of NumPy
        scalars); no other type that compares equal needs more.
        """
        return _SLACK_FACTOR * length(self._lines[index]) + _SLACK_BYTES

    def accepts_all(self, start: int, lines: list[bytes]) -> bool:
        """Whether the outputs from test `start` on are, byte for byte, the expected ones.

        False only means that they have to be looked at one by one.
        """
        return self._bytes_decide and lines == self._lines[start : start + len(lines)]

    def accepts(self, index: int, line: bytes) -> bool:
        """Whether the encoded output of a test is right. Never raises on a bad output.

        Raises:
            OnlyDigest: the output came as a digest that differs; it has to be seen whole.
            CodewattError: the expected output cannot be had again.
        """
        expected = self._lines[index]
        if self._bytes_decide and line == expected:
            return True
        if length(line) > self.longest(index):
            return False
        if line.startswith(DIGEST):
            raise OnlyDigest
        if expected.startswith(DIGEST):
            expected = self._whole(index)
        try:
            output = decode(line)
            if self._oracle:
                (coefficients,) = self._inputs[index]
                return bool(abs(_poly(coefficients, output)) <= self.atol(index))
            return matches(output, decode(expected), self.atol(index))
        except Exception:
            return False

    def atol(self, index: int) -> float:
        """The tolerance in force at a test.

        In EvalPlus the first expected output that is a float, or a list or tuple of floats only,
        raises a tolerance of 0 to 1e-6, and it stays so for the tests that follow.
        """
        if self._atol == 0 and self._floats_from is not None and index >= self._floats_from:
            return FLOAT_ATOL
        return self._atol


class OnlyDigest(Exception):
    """Whether an output is right cannot be told from its digest."""


def matches(output: Any, expected: Any, atol: float) -> bool:
    """EvalPlus's comparison of two values; `atol` is the one in force at this test.

    Raises:
        Exception: whatever comparing raises, which EvalPlus counts as a mismatch.
    """
    exact = output == expected
    if not exact and atol != 0:
        import numpy

        if type(output) is not type(expected):
            return False
        if isinstance(expected, (list, tuple)) and len(output) != len(expected):
            return False
        with numpy.errstate(all="ignore"):
            return bool(numpy.allclose(output, expected, rtol=RTOL, atol=atol))
    return bool(exact)


def _poly(coefficients: list[Any], x: Any) -> float:
    """The polynomial sum of c_i x^i, as EvalPlus's oracle computes it."""
    return float(sum(c * math.pow(x, i) for i, c in enumerate(coefficients)))
