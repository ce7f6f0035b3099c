"""Timing the updates of a counter that moves in steps, with few reads.

NVML's energy counter moves every 100 ms on an H200, and reading it costs the driver 4 ms of a
core there, forty times what a power reading costs. So it is not read while no update can be due:
only shortly before and then until it has moved.
"""


class Staircase:
    """When to read a stepping counter, and when its steps happened.

    Args:
        tick_s: the time between two calls of `due`.
    """

    def __init__(self, tick_s: float) -> None:
        self._tick_s = tick_s
        self._last: tuple[float, float] | None = None
        self._moved_s: float | None = None
        self._period_s = 0.0  # shortest time between two steps; 0 until two have been seen

    def due(self, now_s: float) -> bool:
        """Whether to read now: from one and a half ticks before the next step is expected."""
        if self._moved_s is None:
            return True
        return now_s >= self._moved_s + self._period_s - 1.5 * self._tick_s

    def step(self, t_s: float, value: float) -> tuple[float, float] | None:
        """Take a reading; if the counter has moved, (time of the step, new value), else None.

        The step happened since the reading before, and as reading resumes before a step is due,
        within the last tick: it is put in the middle of that. The first reading tells no step.
        """
        last, self._last = self._last, (t_s, value)
        if last is None or value == last[1]:
            return None
        if self._moved_s is not None:
            passed_s = t_s - self._moved_s
            self._period_s = min(self._period_s or passed_s, passed_s)
        self._moved_s = t_s
        return t_s - min(t_s - last[0], self._tick_s) / 2, value
