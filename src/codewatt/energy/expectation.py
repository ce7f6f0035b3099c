"""One named expectation on a measurement, judged."""

import math
from typing import Any, Literal


def expectation(
    name: str,
    severity: Literal["error", "warning"],
    passed: bool | None,
    observed: float | str | None,
    limit: float | str | None,
    unit: str | None,
    detail: str,
    repeat: int | None = None,
) -> dict[str, Any]:
    """One entry of energy.json's "expectations"; passed = None: it could not be judged."""
    return {
        "name": name,
        "severity": severity,
        "passed": None if passed is None else bool(passed),
        "observed": observed,
        "limit": limit,
        "unit": unit,
        "repeat": repeat,
        "detail": detail,
    }


def at_most(
    name: str,
    severity: Literal["error", "warning"],
    observed: float | None,
    limit: float,
    unit: str | None,
    detail: str,
    repeat: int | None = None,
) -> dict[str, Any]:
    """Passed if observed <= limit; not judged if nothing (or no number) was observed."""
    value = None if observed is None or not math.isfinite(observed) else float(observed)
    passed = None if value is None else value <= limit
    return expectation(name, severity, passed, value, limit, unit, detail, repeat)
