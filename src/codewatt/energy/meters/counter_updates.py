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

    def step(
        self, t_s: float, value: float, read_s: float = 0.0
    ) -> tuple[float, float, float] | None:
        """Take a reading; if the counter has moved, say when, else None. The first tells no step.

        The step happened since the reading before. As reading resumes before a step is due, that
        is mostly a tick ago, and the step is put in the middle. Where it is more than two ticks
        ago the step is put in the middle of the last one, and the error says how much earlier it
        may have happened.

        Args:
            t_s: the middle of the read.
            value: what was read.
            read_s: how long the read took; the value may be of any moment of it.

        Returns:
            When the step happened, the new value, and by how much that time can be wrong.
        """
        last, self._last = self._last, (t_s - read_s / 2, value)
        if last is None or value == last[1]:
            return None
        if self._moved_s is not None:
            passed_s = t_s - self._moved_s
            self._period_s = min(self._period_s or passed_s, passed_s)
        self._moved_s = t_s
        latest_s, passed_s = t_s + read_s / 2, t_s + read_s / 2 - last[0]
        back_s = (passed_s if passed_s <= 2 * self._tick_s else self._tick_s) / 2
        return latest_s - back_s, value, passed_s - back_s
