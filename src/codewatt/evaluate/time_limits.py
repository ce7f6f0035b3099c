"""Which time limit a program has passed, measured in what the machine gave it.

Another load on the machine must not decide a verdict. So a program has used the larger of two
times: the CPU time of all its processes together, and the time on the wall less that for which it
could have run and had no core. For a program of one thread on an idle machine both are the time on
the wall, which is what EvalPlus measures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from codewatt.evaluate.resource_limits import Limits
from codewatt.evaluate.resource_usage import Usage

CALL, SUITE = "a call took too long", "out of time"

_LATE_S = 0.5


class SuiteClock:
    """The time limits of one suite, watched from outside the sandbox.

    The runner inside ends each call at its limit and says so; a program can disarm that. Here the
    same limits hold with a margin, and whatever the program writes.

    Args:
        call_times_s: the time limit of each call (seconds).
        limits: how long the suite may take.
        now_s: when the suite has begun, by a monotonic clock.
    """

    def __init__(self, call_times_s: Sequence[float], limits: Limits, now_s: float) -> None:
        self._call_times_s = call_times_s
        self._suite_s = limits.suite_deadline_s(list(call_times_s))
        self._limits = limits
        self._began_s = now_s
        self._read_s = self._late_s = 0.0
        self._last_s = now_s
        self._start: _Look | None = None
        self._call = 0
        self._call_start: _Look | None = None

    def reading(self, seconds: float) -> None:
        """The judge itself was busy for so long, while the program may have waited for it."""
        self._read_s += seconds
        self._last_s += seconds

    def wall_left_s(self, now_s: float) -> float:
        """Seconds until the suite ends in any case, whatever it has the judge read."""
        return self._began_s + self._late_s + self._suite_s * self._limits.wall_factor - now_s

    def passed(self, now_s: float, usage: Usage | None, done: int, drained: bool) -> str | None:
        """Which limit has been passed.

        Args:
            now_s: when `usage` was read, by the same clock.
            usage: what the program had used; None where that is not known now.
            done: how many calls had been answered, as far as was read after `usage`.
            drained: whether everything written until then was read.
        """
        if now_s - self._last_s > _LATE_S:  # the judge had no core, or was stopped for a while
            self._late_s += now_s - self._last_s
        self._last_s = now_s
        if self.wall_left_s(now_s) <= 0:
            return SUITE
        if usage is None:
            self._follow(done)
            return None
        look = _Look(now_s - self._read_s - self._late_s, usage)
        if self._start is None:
            self._start = _Look(self._began_s, usage)
        if self._start.used_until(look) > self._suite_s:
            return SUITE
        if self._follow(done) or not drained or done >= len(self._call_times_s):
            return None
        if self._call_start is None:
            self._call_start = look
        if self._call_start.used_until(look) > self._limits.call_margin_s(self._call_times_s[done]):
            return CALL
        return None

    def _follow(self, done: int) -> bool:
        """Whether another call is being waited for than at the last look."""
        if done == self._call:
            return False
        # It began before the next look: time before that is not held against it.
        self._call, self._call_start = done, None
        return True


@dataclass(frozen=True)
class _Look:
    wall_s: float
    usage: Usage

    def used_until(self, later: "_Look") -> float:
        cpu_s = later.usage.cpu_s - self.usage.cpu_s
        waited_s = later.usage.waited_s - self.usage.waited_s
        return max(cpu_s, later.wall_s - self.wall_s - waited_s)
