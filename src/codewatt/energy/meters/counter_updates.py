"""Determines when a counter that increases in steps was updated, with few reads.

On an H200, NVML's energy counter is updated every 100 ms, and a read takes 4 ms of CPU time, forty
times as much as a read of power. Therefore it is read only from shortly before an expected update
until the update is seen.
"""


class Staircase:
    """Decides when to read a counter that increases in steps, and dates its steps.

    Args:
        tick_s: time between two calls of `due` (s).
    """

    def __init__(self, tick_s: float) -> None:
        self._tick_s = tick_s
        self._last: tuple[float, float] | None = None
        self._moved_s: float | None = None
        self._period_s = 0.0  # shortest time between two steps; 0 until two have been seen

    def due(self, now_s: float) -> bool:
        """Whether to read now: true from 1.5 ticks before the next expected step."""
        if self._moved_s is None:
            return True
        return now_s >= self._moved_s + self._period_s - 1.5 * self._tick_s

    def step(
        self, t_s: float, value: float, read_s: float = 0.0
    ) -> tuple[float, float, float] | None:
        """Process a reading; return the step of the counter since the previous reading, if any.

        The step happened between the previous reading and this one. They are usually one tick
        apart, and the middle is taken as the time of the step. If they are more than two ticks
        apart, the middle of the last tick is taken, and the error covers the whole time.

        Args:
            t_s: middle of the read (s).
            value: the value of the counter.
            read_s: duration of the read (s); the value may be from any moment of it.

        Returns:
            Time of the step (s), new value, and bound on the error of the time (s); None if the
            counter did not change or this is the first reading.
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
