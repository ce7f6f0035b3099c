"""EvalPlus's comparison of two decoded outputs (evalplus 0.3.1, eval/__init__.py).

The cost is linear in the smaller of the two values: nothing is broadcast or unrolled.
One difference from EvalPlus is meant: values of different shapes are never close to each other.
EvalPlus lets NumPy broadcast them, so that `[[]]` is as good as `[1.0]` there.
"""

import math
from collections import deque
from typing import Any

RTOL = 1e-7


def matches(output: Any, expected: Any, atol: float) -> bool:
    """Whether an output is right.

    Args:
        atol: the absolute tolerance in force at this test; 0 means exact.

    Raises:
        Exception: whatever comparing raises, which EvalPlus counts as a mismatch.
    """
    exact = output == expected
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


def solves(coefficients: list[Any], x: Any, atol: float) -> bool:
    """Whether x is a root of the polynomial sum of c_i x^i, as EvalPlus's oracle computes it."""
    value = float(sum(c * math.pow(x, i) for i, c in enumerate(coefficients)))
    return bool(abs(value) <= atol)


def close_floats(x: float, y: float, atol: float) -> bool:
    """numpy.isclose of two floats."""
    if not math.isfinite(y):
        return x == y
    return abs(x - y) <= atol + RTOL * abs(y)


def _same_shape(a: Any, b: Any) -> bool:
    """Whether two values nest alike; looks at no more parts than the smaller one has."""
    length = _length(a)
    if length != _length(b):
        return False
    return length is None or all(map(_same_shape, a, b))


def _length(value: Any) -> int | None:
    """The number of parts of what NumPy takes for a sequence; None for a single value."""
    if isinstance(value, (list, tuple, range, deque)):
        return len(value)
    shape = getattr(value, "shape", ())
    return shape[0] if shape else None
