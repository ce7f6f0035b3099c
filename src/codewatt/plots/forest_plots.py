"""What the figures of comparisons share: intervals that are cut, p values, and notes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from codewatt.analysis.columns import Row
from codewatt.plots import figure_style

#: Reasons for withheld comparisons that a note lists.
_REASONS = 4
_LEVEL = 0.05
#: An interval of energy or time is cut at this many times the largest change of its column, and not
#: below this change (%), so that one uncertain comparison does not hide the others.
_CUT_FACTOR, _LOWEST_CUT = 3.0, 60.0


def interval_cut(changes: Iterable[float]) -> float:
    """Where intervals of relative changes are cut (per cent)."""
    largest = max((abs(change) for change in changes), default=0.0)
    return max(_CUT_FACTOR * 100 * largest, _LOWEST_CUT)


def interval_percent(row: Row, low: str, high: str) -> tuple[float, float] | None:
    """An interval in per cent or percentage points; None without one.

    Args:
        low, high: the columns of its ends, fractions.
    """
    ends = row.get(low), row.get(high)
    return None if ends[0] is None or ends[1] is None else (100 * ends[0], 100 * ends[1])


def draw_whisker(
    axes: Any,
    interval: tuple[float, float],
    position: float,
    cut: float,
    colour: str,
    width: float,
) -> None:
    """Draw an interval up to `cut`, where an arrow says that it goes on."""
    low, high = interval
    axes.plot((low, min(high, cut)), (position, position), color=colour, linewidth=width, zorder=3)
    if high > cut:
        arrow = {"marker": ">", "markersize": 3.5, "linestyle": "none", "zorder": 3}
        axes.plot(cut, position, color=colour, **arrow)


def is_shown(row: Row) -> bool:
    """Whether the Holm-adjusted p of a comparison is below 0.05."""
    return row["p_holm"] is not None and row["p_holm"] < _LEVEL


def p_handles(rows: Sequence[Row]) -> list[Any]:
    """Legend entries of filled and open markers."""
    handles = []
    if any(is_shown(row) for row in rows):
        handles.append(
            figure_style.marker_handle(
                "filled: Holm-adjusted p < 0.05", marker="o", color=figure_style.INK
            )
        )
    if any(not is_shown(row) for row in rows):
        handles.append(
            figure_style.marker_handle(
                "open: adjusted p not below 0.05",
                marker="o",
                color=figure_style.INK,
                markerfacecolor="white",
            )
        )
    return handles


def sessions_note(rows: Sequence[Row]) -> str | None:
    """The number of sessions behind the comparisons; None without one."""
    counts = sorted({row["sessions"] for row in rows if row["sessions"] is not None})
    if counts == [1]:
        return (
            "One session: intervals of energy and time describe the runs of one job, not other jobs"
        )
    return f"Sessions: {' to '.join(str(n) for n in counts)}" if counts else None


def withheld_note(what: str, reasons: Sequence[str], of: str, table: str) -> str | None:
    """How many comparisons are withheld, and why; None if none is.

    Args:
        what: begins the sentence: how a withheld comparison looks.
        reasons: the reason of each withheld comparison.
        of: how many comparisons there are.
        table: the table that has all reasons.
    """
    if not reasons:
        return None
    counts = Counter(reasons).most_common()
    listed = [f"{count}: {reason}" for reason, count in counts[:_REASONS]]
    rest = sum(count for _, count in counts[_REASONS:])
    listed += [f"{rest}: other reasons, in the {table}"] if rest else []
    return f"{what} ({len(reasons)} of {of}; {'; '.join(listed)})"
