"""Joules between two times, from a cumulative counter or from power samples.

Pure functions of numpy arrays. Times are seconds, ascending; energies joules; powers watts.
Nothing is guessed: a window that the readings do not cover, that is shorter than their spacing,
or in which the counter went backwards has no figure, and a reason.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WindowEnergy:
    """The energy of one window.

    Attributes:
        energy_j: joules; None if the readings do not allow a figure.
        readings: how many readings lie in the window.
        max_gap_s: the longest time without a reading in and at the edges of the window.
        reason: why there is no figure; None if there is one.
    """

    energy_j: float | None
    readings: int
    max_gap_s: float | None
    reason: str | None


@dataclass(frozen=True)
class Series:
    """Readings over time, ready to be asked for windows.

    Attributes:
        t_s, values: shape (n,), float64.
        resolution_s: the median time between readings; None with fewer than two.
    """

    t_s: Floats
    values: Floats
    resolution_s: float | None

    @classmethod
    def of(cls, t_s: Floats, values: Floats) -> "Series":
        """A series with its resolution."""
        resolution_s = float(np.median(np.diff(t_s))) if len(t_s) > 1 else None
        return cls(t_s, values, resolution_s)


def counter_energy(series: Series, start_s: float, end_s: float) -> WindowEnergy:
    """Energy between two times of a cumulative counter, linear between its readings."""
    first, last = _bracket(series.t_s, start_s, end_s)
    readings, gap_s = _coverage(series.t_s, start_s, end_s)
    reason = _unusable(series, start_s, end_s)
    if reason is None and np.any(np.diff(series.values[first : last + 1]) < 0):
        reason = "the counter went backwards (reset or driver reload)"
    if reason is not None:
        return WindowEnergy(None, readings, gap_s, reason)
    at_start, at_end = np.interp([start_s, end_s], series.t_s, series.values)
    return WindowEnergy(float(at_end - at_start), readings, gap_s, None)


def sample_energy(series: Series, start_s: float, end_s: float) -> WindowEnergy:
    """Energy between two times of power samples: trapezoids, the edges interpolated."""
    readings, gap_s = _coverage(series.t_s, start_s, end_s)
    reason = _unusable(series, start_s, end_s)
    if reason is not None:
        return WindowEnergy(None, readings, gap_s, reason)
    inside = (series.t_s > start_s) & (series.t_s < end_s)
    at_edges = np.interp([start_s, end_s], series.t_s, series.values)
    t_s = np.concatenate(([start_s], series.t_s[inside], [end_s]))
    power_w = np.concatenate(([at_edges[0]], series.values[inside], [at_edges[1]]))
    return WindowEnergy(float(np.trapezoid(power_w, t_s)), readings, gap_s, None)


def _unusable(series: Series, start_s: float, end_s: float) -> str | None:
    """Why a window has no figure, as far as times alone tell."""
    if series.resolution_s is None:
        return "fewer than two readings"
    if not (series.t_s[0] <= start_s <= end_s <= series.t_s[-1]):
        return "the readings do not cover the window"
    if end_s - start_s < series.resolution_s:
        return (
            f"the window of {end_s - start_s:.3f} s is shorter than the time between readings, "
            f"{series.resolution_s:.3f} s"
        )
    return None


def _bracket(t_s: Floats, start_s: float, end_s: float) -> tuple[int, int]:
    """Indices of the last reading at or before the start and the first at or after the end."""
    first = int(np.searchsorted(t_s, start_s, side="right")) - 1
    last = int(np.searchsorted(t_s, end_s, side="left"))
    return max(first, 0), min(last, len(t_s) - 1)


def _coverage(t_s: Floats, start_s: float, end_s: float) -> tuple[int, float | None]:
    """Readings inside the window, and the longest gap between those inside or around it."""
    inside = int(np.count_nonzero((t_s >= start_s) & (t_s <= end_s)))
    if len(t_s) < 2:
        return inside, None
    first, last = _bracket(t_s, start_s, end_s)
    gaps = np.diff(t_s[first : last + 1])
    return inside, float(gaps.max()) if len(gaps) else None
