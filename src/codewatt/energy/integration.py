"""Joules between two times, from a cumulative counter or from power samples.

Pure functions of numpy arrays. Times are seconds, ascending; energies joules; powers watts.
Nothing is guessed: a window that the readings do not cover, that is shorter than their spacing,
or in which the counter went backwards has no figure, and a reason.

A figure's `uncertainty_j` is a bound on what the edges of a window can be wrong by, given the
readings, not a standard deviation: between two readings a counter's true value lies somewhere
between theirs. What the meter itself is wrong by is not in it.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WindowEnergy:
    """The energy of one window.

    Attributes:
        energy_j: joules; None if the readings do not allow a figure.
        uncertainty_j: by how much its edges can be wrong; None with `energy_j`.
        readings: how many readings lie in the window.
        max_gap_s: the longest time without a reading in and at the edges of the window.
        reason: why there is no figure; None if there is one.
    """

    energy_j: float | None
    uncertainty_j: float | None
    readings: int
    max_gap_s: float | None
    reason: str | None


@dataclass(frozen=True)
class Series:
    """Readings over time, ready to be asked for windows.

    Attributes:
        kind: "counter" (cumulative joules, linear between readings) or "power" (watts, linear
            between readings, so that its integral is the trapezoids').
        t_s, values: shape (n,), float64.
        resolution_s: the median time between readings; None with fewer than two.
        jitter_s: shape (n,): by how much the time of each reading can be wrong.
        cumulative_j: shape (n,): joules since the first reading.
    """

    kind: Literal["counter", "power"]
    t_s: Floats
    values: Floats
    resolution_s: float | None
    jitter_s: Floats
    cumulative_j: Floats

    @classmethod
    def counter(cls, t_s: Floats, joules: Floats, jitter_s: float | Floats = 0.0) -> "Series":
        """A cumulative counter."""
        since_first = joules - joules[0] if len(joules) else joules
        return cls("counter", t_s, joules, _resolution(t_s), _each(jitter_s, t_s), since_first)

    @classmethod
    def power(cls, t_s: Floats, watts: Floats, jitter_s: float | Floats = 0.0) -> "Series":
        """Samples of power."""
        areas = np.diff(t_s) * (watts[1:] + watts[:-1]) / 2
        cumulative = np.concatenate(([0.0], np.cumsum(areas))) if len(t_s) else t_s
        return cls("power", t_s, watts, _resolution(t_s), _each(jitter_s, t_s), cumulative)

    def joules_at(self, t_s: npt.ArrayLike) -> Floats:
        """Joules from the first reading to each time, shape of `t_s`; within the readings."""
        at = np.asarray(t_s, dtype=np.float64)
        if self.kind == "counter":
            return np.asarray(np.interp(at, self.t_s, self.cumulative_j))
        left = self._left(at)
        passed_s, span_s = at - self.t_s[left], self.t_s[left + 1] - self.t_s[left]
        low_w, high_w = self.values[left], self.values[left + 1]
        slope = (high_w - low_w) / span_s
        return np.asarray(self.cumulative_j[left] + passed_s * (low_w + slope * passed_s / 2))

    def bound_at(self, t_s: npt.ArrayLike) -> Floats:
        """By how many joules `joules_at` can be wrong at each time, shape of `t_s`.

        Of a counter: the distance to the farther of the two readings around it, as the counter
        never falls; and for readings whose own times can be wrong by `jitter_s`, that time at
        the highest mean power of the step there and the two beside it. Of power samples: as if
        the power had jumped from one reading's to the other's anywhere between them; and for
        `jitter_s`, that time at the difference between the highest and the lowest power that
        was read as near as that.
        """
        at = np.asarray(t_s, dtype=np.float64)
        left = self._left(at)
        span_s = self.t_s[left + 1] - self.t_s[left]
        into_s = at - self.t_s[left]
        on_reading = (into_s == 0) | (into_s == span_s)
        jitter_s = np.maximum(self.jitter_s[left], self.jitter_s[left + 1])
        if self.kind == "counter":
            step_j = np.abs(self.cumulative_j[left + 1] - self.cumulative_j[left])
            share = np.maximum(into_s, span_s - into_s) / span_s
            jitter_j = self._jitter_j(left, jitter_s)
            return np.asarray(np.where(on_reading, 0.0, share * step_j) + jitter_j)
        jump_w = np.abs(self.values[left + 1] - self.values[left])
        jump_j = jump_w * np.minimum(into_s, span_s - into_s)
        return np.asarray(
            np.where(on_reading, 0.0, jump_j) + jitter_s * self._range_w(at, jitter_s)
        )

    def window(self, start_s: float, end_s: float) -> WindowEnergy:
        """The energy between two times."""
        readings, gap_s = _coverage(self.t_s, start_s, end_s)
        reason = self.unusable_reason(start_s, end_s)
        if reason is not None:
            return WindowEnergy(None, None, readings, gap_s, reason)
        at_start, at_end = self.joules_at([start_s, end_s])
        bound_j = float(self.bound_at([start_s, end_s]).sum())
        return WindowEnergy(float(at_end - at_start), bound_j, readings, gap_s, None)

    def longest_flat_s(self, start_s: float, end_s: float) -> float:
        """The longest time within a window in which readings came and none differed."""
        inside = (self.t_s >= start_s) & (self.t_s <= end_s)
        t_s, moved = self.t_s[inside], np.diff(self.values[inside]) != 0
        if len(t_s) < 2:
            return 0.0
        # A step is a move; what lies between two steps, less a reading, is flat.
        edges = np.concatenate(([t_s[0]], t_s[:-1][moved], [t_s[-1]]))
        starts = np.concatenate(([t_s[0]], t_s[1:][moved]))
        return float(np.max(edges[1:] - starts))

    def unusable_reason(self, start_s: float, end_s: float) -> str | None:
        """Why a window has no figure; None if it has one."""
        if self.resolution_s is None:
            return "fewer than two readings"
        if not (self.t_s[0] <= start_s <= end_s <= self.t_s[-1]):
            return "the readings do not cover the window"
        if end_s - start_s < self.resolution_s:
            return (
                f"the window of {end_s - start_s:.3f} s is shorter than the time between "
                f"readings, {self.resolution_s:.3f} s"
            )
        first, last = _bracket(self.t_s, start_s, end_s)
        if self.kind == "counter" and np.any(np.diff(self.values[first : last + 1]) < 0):
            return "the counter went backwards (reset or driver reload)"
        return None

    def _jitter_j(self, left: npt.NDArray[np.intp], jitter_s: Floats) -> Floats:
        """Joules of a counter in a reading's `jitter_s`, at the power of the steps around it.

        The true time between two readings may be shorter than that between their stamps, by the
        jitter of both; a step is never more than its own joules.
        """
        if not jitter_s.any():
            return np.zeros_like(jitter_s)
        steps_j = np.abs(np.diff(self.cumulative_j))
        least_s = np.diff(self.t_s) - self.jitter_s[1:] - self.jitter_s[:-1]
        last = len(steps_j) - 1
        joules = np.zeros_like(jitter_s)
        for step in (left - 1, left, left + 1):
            step = np.clip(step, 0, last)
            power_w = steps_j[step] / np.maximum(least_s[step], 1e-12)
            joules = np.maximum(joules, np.minimum(jitter_s * power_w, steps_j[step]))
        return joules

    def _range_w(self, at: Floats, within_s: Floats) -> Floats:
        """Highest less lowest power of the readings within a time of each time, and around it."""
        if not within_s.any():
            return np.zeros_like(within_s)
        first = np.searchsorted(self.t_s, at - within_s, side="right") - 1
        after = np.searchsorted(self.t_s, at + within_s, side="left") + 1
        count = len(self.t_s)
        edges = np.stack([np.clip(first, 0, count - 1), np.clip(after, 1, count)], axis=-1).ravel()
        padded = np.append(self.values, self.values[-1])
        high, low = (pick.reduceat(padded, edges)[::2] for pick in (np.maximum, np.minimum))
        return np.asarray(high - low).reshape(at.shape)

    def _left(self, at: Floats) -> npt.NDArray[np.intp]:
        """Index of the reading before each time; of the last but one for the last time."""
        left = np.searchsorted(self.t_s, at, side="right") - 1
        return np.clip(left, 0, max(len(self.t_s) - 2, 0))


def _each(jitter_s: float | Floats, t_s: Floats) -> Floats:
    return np.broadcast_to(np.asarray(jitter_s, dtype=np.float64), t_s.shape)


def _resolution(t_s: Floats) -> float | None:
    return float(np.median(np.diff(t_s))) if len(t_s) > 1 else None


def _bracket(t_s: Floats, start_s: float, end_s: float) -> tuple[int, int]:
    """Indices of the last reading at or before the start and the first at or after the end."""
    first = int(np.searchsorted(t_s, start_s, side="right")) - 1
    last = int(np.searchsorted(t_s, end_s, side="left"))
    return max(first, 0), min(last, len(t_s) - 1)


def _coverage(t_s: Floats, start_s: float, end_s: float) -> tuple[int, float | None]:
    """Readings inside the window, and the longest gap between those inside or around it."""
    inside = int(np.searchsorted(t_s, end_s, "right") - np.searchsorted(t_s, start_s, "left"))
    if len(t_s) < 2:
        return inside, None
    first, last = _bracket(t_s, start_s, end_s)
    gaps = np.diff(t_s[first : last + 1])
    return inside, float(gaps.max()) if len(gaps) else None
