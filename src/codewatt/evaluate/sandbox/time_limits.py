"""Time limits of a test suite and its calls, enforced from outside the sandbox.

Other load on the machine must not decide a verdict. Therefore the time that a program has used is
the maximum of (a) the CPU time of all its processes and (b) the wall time minus the time during
which it was ready to run but had no core. For a program with one thread on an idle machine both
equal the wall time, which is what EvalPlus measures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.resource_usage import Usage

CALL_TIMED_OUT = "a call exceeded its time limit"
SUITE_TIMED_OUT = "the test suite exceeded its time limit"

_LATE_S = 0.5


class SuiteClock:
    """Watches the time limits of one suite from outside the sandbox.

    The runner inside ends each call at its limit, but a program can disable that. Here the same
    limits apply with a margin, whatever the program does.

    Args:
        call_limits_s: time limit of each call (s).
        limits: resource limits of the program.
        now_s: start of the suite, by a monotonic clock (s).
        encoding_s: time allowed for encoding the output of each call, in addition to the limits
            (s); None for no additional time.
    """

    def __init__(
        self,
        call_limits_s: Sequence[float],
        limits: Limits,
        now_s: float,
        encoding_s: Sequence[float] | None = None,
    ) -> None:
        self._call_limits_s = call_limits_s
        self._encoding_s = encoding_s or [0.0] * len(call_limits_s)
        self._suite_s = limits.suite_limit_s(list(call_limits_s)) + sum(self._encoding_s)
        self._limits = limits
        self._began_s = now_s
        self._excluded_s = self._late_s = 0.0
        self._last_s = now_s
        self._start: _Snapshot | None = None
        self._call = 0
        self._call_start: _Snapshot | None = None

    def exclude_time(self, seconds: float) -> None:
        """Exclude time during which the judge was busy and the program may have waited for it."""
        self._excluded_s += seconds
        self._last_s += seconds

    def wall_left_s(self, now_s: float) -> float:
        """Seconds until the suite ends in any case, no matter how long the judge was busy."""
        return self._began_s + self._late_s + self._suite_s * self._limits.wall_factor - now_s

    def exceeded(
        self, now_s: float, usage: Usage | None, answered: int, drained: bool
    ) -> str | None:
        """The time limit that the program has exceeded; None if there is none.

        Args:
            now_s: when `usage` was read, by the same clock (s).
            usage: what the program had used; None if not known now.
            answered: number of calls with an output, read after `usage`.
            drained: whether all output written until then was read.
        """
        if now_s - self._last_s > _LATE_S:  # the judge had no core, or was suspended
            self._late_s += now_s - self._last_s
        self._last_s = now_s
        if self.wall_left_s(now_s) <= 0:
            return SUITE_TIMED_OUT
        if usage is None:
            self._next_call_began(answered)
            return None
        now = _Snapshot(now_s - self._excluded_s - self._late_s, usage)
        if self._start is None:
            self._start = _Snapshot(self._began_s, usage)
        if self._start.time_used_until(now) > self._suite_s:
            return SUITE_TIMED_OUT
        if self._next_call_began(answered) or not drained or answered >= len(self._call_limits_s):
            return None
        if self._call_start is None:
            self._call_start = now
        limit_s = self._limits.outer_call_limit_s(self._call_limits_s[answered])
        if self._call_start.time_used_until(now) > limit_s + self._encoding_s[answered]:
            return CALL_TIMED_OUT
        return None

    def _next_call_began(self, answered: int) -> bool:
        """Whether the program has begun another call since the last check."""
        if answered == self._call:
            return False
        # The call began before the next read: time before that read is not counted.
        self._call, self._call_start = answered, None
        return True


@dataclass(frozen=True)
class _Snapshot:
    wall_s: float
    usage: Usage

    def time_used_until(self, later: "_Snapshot") -> float:
        cpu_s = later.usage.cpu_s - self.usage.cpu_s
        core_wait_s = later.usage.core_wait_s - self.usage.core_wait_s
        return max(cpu_s, later.wall_s - self.wall_s - core_wait_s)
