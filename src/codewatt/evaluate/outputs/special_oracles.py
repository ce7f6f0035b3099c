"""EvalPlus's special oracles: outputs that are right although they differ from the expected output.

Source: evalplus 0.3.1, eval/__init__.py (`unsafe_execute`) and eval/_special_oracle.py. The rules
are named in `codewatt.benchmarks.output_rules`; a benchmark says which task has which rule.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from codewatt.benchmarks.output_rules import (
    ANY_OUTPUT,
    DIGIT_DISTANCE,
    EQUAL,
    EQUAL_OR_ZERO,
    NOT_NONE,
    POLYNOMIAL_ROOT,
    PYRAMID_SURFACE,
    SAME_SET,
)
from codewatt.evaluate.outputs.output_decoder import as_plain_array
from codewatt.evaluate.outputs.output_equality import is_polynomial_root, match_or_close


@dataclass(frozen=True)
class TestRule:
    """How the output of one test is checked.

    Attributes:
        name: the rule, one of `codewatt.benchmarks.output_rules`.
        atol: absolute tolerance on floating-point values.
        oracle_atol: absolute tolerance of an oracle. EvalPlus evaluates its oracles before an
            expected float raises a tolerance of 0, so it can be smaller than `atol` once.
        arguments: arguments of the call as JSON values; used by some oracles.
    """

    __test__ = False  # not a test of pytest

    name: str = EQUAL
    atol: float = 0.0
    oracle_atol: float = 0.0
    arguments: list[Any] = field(default_factory=list)

    @property
    def needs_expected(self) -> bool:
        """Whether the expected output is needed."""
        return self.name != POLYNOMIAL_ROOT


def is_right(output: Any, expected: Any, rule: TestRule) -> bool:
    """Whether an output is right.

    Args:
        output: the program's output.
        expected: the expected output; ignored if the rule does not need it.
        rule: how to check it.

    Raises:
        Exception: any exception of the comparison, which EvalPlus counts as a mismatch.
    """
    if rule.name == POLYNOMIAL_ROOT:
        return is_polynomial_root(rule.arguments[0], output, rule.atol)
    return match_or_close(matches(output, expected, rule), output, expected, rule.atol)


def matches(output: Any, expected: Any, rule: TestRule) -> Any:
    """Whether an output matches before any tolerance on floats; like `==`, not always a bool.

    Raises:
        Exception: see `is_right`.
    """
    if rule.name in (SAME_SET, NOT_NONE):  # the truth of this comparison is not needed
        output = as_plain_array(output)
    exact = output == expected  # may raise, whatever the rule
    return _MATCHES[rule.name](exact, output, expected, rule)


def _same_set(exact: Any, output: Any, expected: Any, rule: TestRule) -> bool:
    return set(output) == set(expected)


def _not_none(exact: Any, output: Any, expected: Any, rule: TestRule) -> Any:
    if isinstance(output, bool):
        return exact
    return expected == (output is not None)


def _any_output(exact: Any, output: Any, expected: Any, rule: TestRule) -> Any:
    return exact or True  # the truth of `exact` may raise


def _equal_or_zero(exact: Any, output: Any, expected: Any, rule: TestRule) -> Any:
    return exact or output == 0


def _pyramid_surface(exact: Any, output: Any, expected: Any, rule: TestRule) -> Any:
    if exact:
        return exact
    base_edge, height = rule.arguments
    slant_height = math.sqrt((base_edge / 2) ** 2 + height**2)
    surface = round(base_edge**2 + 2 * base_edge * slant_height)
    return abs(output - surface) <= rule.oracle_atol


def _digit_distance(exact: Any, output: Any, expected: Any, rule: TestRule) -> Any:
    if exact:
        return exact
    first, second = map(str, rule.arguments)
    digits = max(len(first), len(second))
    pairs = zip(first.zfill(digits), second.zfill(digits), strict=True)
    return output == sum(abs(int(one) - int(other)) for one, other in pairs)


_MATCHES: dict[str, Callable[[Any, Any, Any, TestRule], Any]] = {
    EQUAL: lambda exact, output, expected, rule: exact,
    SAME_SET: _same_set,
    NOT_NONE: _not_none,
    ANY_OUTPUT: _any_output,
    EQUAL_OR_ZERO: _equal_or_zero,
    PYRAMID_SURFACE: _pyramid_surface,
    DIGIT_DISTANCE: _digit_distance,
}
