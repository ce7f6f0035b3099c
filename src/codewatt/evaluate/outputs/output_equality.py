"""EvalPlus's comparison of two decoded outputs (evalplus 0.3.1, eval/__init__.py).

The cost is linear in the size of the smaller value: nothing is broadcast or expanded.
There is one deliberate difference from EvalPlus: values of different shapes are never close.
EvalPlus lets NumPy broadcast them, so that `[[]]` is accepted where `[1.0]` is expected.
"""

import math
from collections import deque
from typing import Any

RTOL = 1e-7


def outputs_equal(output: Any, expected: Any, atol: float) -> bool:
    """Whether an output equals the expected output.

    Args:
        output: the program's output.
        expected: the expected output.
        atol: absolute tolerance on floating-point values; 0 for exact equality.

    Raises:
        Exception: any exception of the comparison, which EvalPlus counts as a mismatch.
    """
    return match_or_close(output == expected, output, expected, atol)


def match_or_close(exact: Any, output: Any, expected: Any, atol: float) -> bool:
    """Whether an output matches exactly, or is of the same type and shape and close to it.

    Args:
        exact: whether it matches exactly; the result of a comparison, not always a bool.
        output, expected, atol: see `outputs_equal`.

    Raises:
        Exception: see `outputs_equal`.
    """
    if not exact and atol != 0:
        import numpy

        if type(output) is not type(expected):
            return False
        if not _same_shape(output, expected):
            return False
        with numpy.errstate(all="ignore"):
            if numpy.shape(output) != numpy.shape(expected):
                return False
            return bool(numpy.allclose(output, expected, rtol=RTOL, atol=atol))
    return bool(exact)


def is_polynomial_root(coefficients: list[Any], x: Any, atol: float) -> bool:
    """Whether |sum of c_i x^i| <= atol, as EvalPlus's oracle of `find_zero` computes it."""
    value = float(sum(c * math.pow(x, i) for i, c in enumerate(coefficients)))
    return bool(abs(value) <= atol)


def floats_close(x: float, y: float, atol: float) -> bool:
    """numpy.isclose of two floats, with `RTOL` as relative tolerance."""
    if not math.isfinite(y):
        return x == y
    return abs(x - y) <= atol + RTOL * abs(y)


def _same_shape(a: Any, b: Any) -> bool:
    """Whether two values are nested in the same way; visits no more items than the smaller has."""
    length = _length(a)
    if length != _length(b):
        return False
    return length is None or all(map(_same_shape, a, b))


def _length(value: Any) -> int | None:
    """Number of items of a value that NumPy treats as a sequence; None for a scalar."""
    if isinstance(value, (list, tuple, range, deque)):
        return len(value)
    shape = getattr(value, "shape", ())
    return shape[0] if shape else None
