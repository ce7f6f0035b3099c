"""Energy between two times, from a cumulative counter or from power samples.

Pure functions of numpy arrays: times in s (ascending), energies in J, powers in W. Nothing is
extrapolated: a window has no energy (and a reason) if the readings do not cover it, if it is
shorter than the time between readings, or if the counter decreased in it.

`uncertainty_j` is a bound on the error at the edges of a window, not a standard deviation: between
two readings the true value of a counter lies between theirs. The error of the meter itself is not
included.
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
        energy_j: energy (J); None if it cannot be computed from the readings.
        uncertainty_j: bound on its error from the window's edges (J); None if `energy_j` is None.
        readings: number of readings in the window.
        max_gap_s: longest time (s) without a reading in the window and at its edges.
        reason: why there is no energy; None if there is one.
    """

    energy_j: float | None
    uncertainty_j: float | None
    readings: int
    max_gap_s: float | None
    reason: str | None


@dataclass(frozen=True)
class Series:
    """Readings of one device over time, with the energy of any window.

    Attributes:
        kind: "counter" (cumulative energy in J, linear between readings) or "power" (power in W,
            linear between readings: integrated by the trapezoidal rule).
        t_s: times (s), shape (n,), float64.
        values: readings (J or W), shape (n,), float64.
        resolution_s: median time between readings (s); None with fewer than two readings.
        jitter_s: bound on the error of each reading's time (s), shape (n,).
        cumulative_j: energy since the first reading (J), shape (n,).
    """

    kind: Literal["counter", "power"]
    t_s: Floats
    values: Floats
    resolution_s: float | None
    jitter_s: Floats
    cumulative_j: Floats

    @classmethod
    def counter(cls, t_s: Floats, joules: Floats, jitter_s: float | Floats = 0.0) -> "Series":
        """A series of a cumulative energy counter (J)."""
        since_first = joules - joules[0] if len(joules) else joules
        return cls("counter", t_s, joules, _resolution(t_s), _each(jitter_s, t_s), since_first)

    @classmethod
    def power(cls, t_s: Floats, watts: Floats, jitter_s: float | Floats = 0.0) -> "Series":
        """A series of power samples (W)."""
        areas = np.diff(t_s) * (watts[1:] + watts[:-1]) / 2
        cumulative = np.concatenate(([0.0], np.cumsum(areas))) if len(t_s) else t_s
        return cls("power", t_s, watts, _resolution(t_s), _each(jitter_s, t_s), cumulative)

    def joules_at(self, t_s: npt.ArrayLike) -> Floats:
        """Energy (J) from the first reading to each time, shape of `t_s`; times must lie within."""
        at = np.asarray(t_s, dtype=np.float64)
        if self.kind == "counter":
            return np.asarray(np.interp(at, self.t_s, self.cumulative_j))
        left = self._left(at)
        passed_s, span_s = at - self.t_s[left], self.t_s[left + 1] - self.t_s[left]
        low_w, high_w = self.values[left], self.values[left + 1]
        slope = (high_w - low_w) / span_s
        return np.asarray(self.cumulative_j[left] + passed_s * (low_w + slope * passed_s / 2))

    def bound_at(self, t_s: npt.ArrayLike) -> Floats:
        """Bound on the error of `joules_at` (J) at each time, shape of `t_s`.

        Counter: the distance to the farther of the two neighbouring readings, because a counter
        never decreases; plus `jitter_s` times the highest mean power of this step and the two
        neighbouring steps. Power samples: the error if the power changed abruptly anywhere between
        two readings; plus `jitter_s` times the difference between the highest and the lowest power
        within `jitter_s`.
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
        """Energy between two times (s)."""
        readings, gap_s = _coverage(self.t_s, start_s, end_s)
        reason = self.unusable_reason(start_s, end_s)
        if reason is not None:
            return WindowEnergy(None, None, readings, gap_s, reason)
        at_start, at_end = self.joules_at([start_s, end_s])
        bound_j = float(self.bound_at([start_s, end_s]).sum())
        return WindowEnergy(float(at_end - at_start), bound_j, readings, gap_s, None)

    def longest_flat_s(self, start_s: float, end_s: float) -> float:
        """The longest time (s) within a window during which all readings are equal."""
        inside = (self.t_s >= start_s) & (self.t_s <= end_s)
        t_s, moved = self.t_s[inside], np.diff(self.values[inside]) != 0
        if len(t_s) < 2:
            return 0.0
        # The times between two changes of the value; the interval of the change itself is left out.
        edges = np.concatenate(([t_s[0]], t_s[:-1][moved], [t_s[-1]]))
        starts = np.concatenate(([t_s[0]], t_s[1:][moved]))
        return float(np.max(edges[1:] - starts))

    def unusable_reason(self, start_s: float, end_s: float) -> str | None:
        """Why the energy of a window cannot be computed; None if it can."""
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
        """Energy (J) that a counter may count during `jitter_s`, at the power of the steps around.

        The true time between two readings may be shorter than the recorded one by the jitter of
        both. The result is at most the energy of a step.
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
        """Largest - smallest power (W) of the readings within `within_s` of each time."""
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
        """Index of the last reading at or before each time, at most n - 2."""
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
    """(number of readings in the window, longest gap (s) between those inside or next to it)."""
    inside = int(np.searchsorted(t_s, end_s, "right") - np.searchsorted(t_s, start_s, "left"))
    if len(t_s) < 2:
        return inside, None
    first, last = _bracket(t_s, start_s, end_s)
    gaps = np.diff(t_s[first : last + 1])
    return inside, float(gaps.max()) if len(gaps) else None
