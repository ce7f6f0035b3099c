"""Expectations that any measurement can be put to, whoever made it.

They need figures only, no timeline, so that a published study's numbers are judged by the same
rules as our own.
"""

from typing import Any, Literal

from codewatt.energy.expectation import at_most, expectation

Json = dict[str, Any]
Severity = Literal["error", "warning"]


def power_plausible(
    observed_w: float | None,
    low_w: float,
    high_w: float,
    what: str,
    repeat: int | None = None,
    *,
    name: str = "power_plausible",
    severity: Severity = "error",
) -> Json:
    """A device draws neither less than it can nor more; not judged without a figure.

    Args:
        observed_w: mean power over a window, watts.
        low_w, high_w: the range that is possible, both ends included.
        what: whose power, and where the range is from.
    """
    return expectation(
        name,
        severity,
        None if observed_w is None else low_w <= observed_w <= high_w,
        observed_w,
        f"{low_w:.4g} to {high_w:.4g}",
        "W",
        f"mean power of {what}",
        repeat,
    )


def meters_agree(
    name: str,
    figure_j: float | None,
    other_j: float | None,
    limit: float,
    detail: str,
    repeat: int | None = None,
    *,
    severity: Severity = "error",
) -> Json:
    """Two meters of one thing tell the same joules: |figure - other| / other; None: not judged."""
    difference = None
    if figure_j is not None and other_j:
        difference = abs(figure_j - other_j) / abs(other_j)
    return at_most(name, severity, difference, limit, "share", detail, repeat)


def no_wrap_unseen(
    longest_s: float | None, wrap_s: float, detail: str, repeat: int | None = None
) -> Json:
    """A counter that is read seldomer than it can wrap may have wrapped unseen.

    Args:
        longest_s: the longest time between two readings, seconds.
        wrap_s: the shortest time in which the counter can wrap, seconds.
    """
    return at_most("no_wrap_unseen", "error", longest_s, wrap_s, "s", detail, repeat)


def total_adds_up(
    parts_j: list[float], total_j: float, limit: float, repeat: int | None = None
) -> Json:
    """A total is the sum of its parts, but for rounding: |sum - total| / total."""
    difference = abs(sum(parts_j) - total_j) / total_j if total_j else None
    detail = "|sum of the components - total| / total"
    return at_most("total_adds_up", "error", difference, limit, "share", detail, repeat)


def power_varies(
    powers_w: list[float],
    least: float,
    detail: str,
    *,
    name: str = "power_varies",
    severity: Severity = "warning",
) -> Json:
    """A measured power differs from run to run; the same one in all of them is a model's constant.

    Args:
        powers_w: mean power of each run, watts; of fewer than two nothing can be said.
        least: the least (highest - lowest) / highest that a measurement would show.
    """
    spread = None
    if len(powers_w) > 1 and max(powers_w) > 0:
        spread = (max(powers_w) - min(powers_w)) / max(powers_w)
    passed = None if spread is None else spread >= least
    return expectation(name, severity, passed, spread, least, "share", detail)
