"""Checks of energy and power figures alone, without a timeline.

They apply to the figures of published studies as well as to a study of this pipeline.
"""

from codewatt.energy.validity.check import CheckResult, Severity, at_most, check_result


def relative_difference(figure_j: float | None, other_j: float | None) -> float | None:
    """|figure - other| / |other|; None without both figures or with a reference of 0 J."""
    if figure_j is None or not other_j:
        return None
    return abs(figure_j - other_j) / abs(other_j)


def power_plausible(
    observed_w: float | None,
    low_w: float,
    high_w: float,
    what: str,
    repeat: int | None = None,
    *,
    name: str = "power_plausible",
    severity: Severity = "error",
) -> CheckResult:
    """Whether mean power lies in the range that a device can draw; not decided without a figure.

    Args:
        observed_w: mean power over a window, watts.
        low_w, high_w: the possible range in watts, both ends included.
        what: the device, and the source of the range.
    """
    return check_result(
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
) -> CheckResult:
    """Whether two meters of one device agree: |figure - other| / |other| is at most `limit`."""
    difference = relative_difference(figure_j, other_j)
    return at_most(name, severity, difference, limit, "share", detail, repeat)


def no_wrap_unseen(
    longest_s: float | None, wrap_s: float, detail: str, repeat: int | None = None
) -> CheckResult:
    """Whether a counter was read often enough that it cannot have wrapped unseen.

    Args:
        longest_s: the longest time between two readings, seconds.
        wrap_s: the shortest time in which the counter can wrap, seconds.
    """
    return at_most("no_wrap_unseen", "error", longest_s, wrap_s, "s", detail, repeat)


def total_adds_up(
    parts_j: list[float], total_j: float, limit: float, repeat: int | None = None
) -> CheckResult:
    """Whether a total is the sum of its parts, but for rounding: |sum - total| / total."""
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
) -> CheckResult:
    """Whether power differs from run to run; a power that never does is a constant of a model.

    Args:
        powers_w: mean power of each run, watts; with fewer than two the check is not decided.
        least: the smallest (highest - lowest) / highest that a measurement shows.
    """
    spread = None
    if len(powers_w) > 1 and max(powers_w) > 0:
        spread = (max(powers_w) - min(powers_w)) / max(powers_w)
    passed = None if spread is None else spread >= least
    return check_result(name, severity, passed, spread, least, "share", detail)
