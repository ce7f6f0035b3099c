"""When the usage of a sandbox's processes is read, and which limit it exceeds."""

import time
from collections.abc import Callable

from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.resource_usage import Usage, UsageReader
from codewatt.units import BYTES_PER_MIB

_RETRY_S = 0.05


class UsageWatch:
    """Reads the usage of all processes of a sandbox as often as their limits need it.

    Args:
        first_process: returns the process ID of the sandbox's first process; None while it has not
            begun.
        limits: resource limits.
        jobs: number of sandboxes that may run at the same time.
    """

    def __init__(self, first_process: Callable[[], int | None], limits: Limits, jobs: int) -> None:
        self.reader: UsageReader | None = None
        self._first_process, self._limits, self._jobs = first_process, limits, jobs
        self._next_read_s = 0.0

    def read(self) -> Usage | None:
        """Usage of all processes; None if it was read just now or the sandbox has not begun."""
        now = time.monotonic()
        if now < self._next_read_s:
            return None
        if (reader := self._open()) is None:
            self._next_read_s = now + _RETRY_S
            return None
        usage = reader.read()
        end = time.monotonic()
        # A program cannot make the judge spend more than half of its time on reading usage.
        self._next_read_s = end + max(reader.next_read_in_s(), end - now)
        return usage

    def read_cpu_s(self) -> float | None:
        """CPU time (s) of all processes since the start; None if the sandbox has not begun.

        Linux counts it in steps of 10 ms. Call it before the sandbox is left: the kernel does not
        report the CPU time of processes that are killed with their PID namespace.
        """
        reader = self._open()
        return None if reader is None else reader.read().cpu_s

    def next_read_in_s(self) -> float:
        """Seconds until usage should be read again, so that limits are not exceeded by much."""
        return max(0.0, self._next_read_s - time.monotonic())

    def exceeded_limit(self, usage: Usage) -> str | None:
        """The total that the processes have exceeded together, in words; None if there is none."""
        if usage.processes > self._limits.processes + 4:
            return f"more than {self._limits.processes} processes"
        total = self._limits.total_memory_limit(self._jobs)
        if usage.memory_bytes > total:
            return f"more than {total // BYTES_PER_MIB} MiB of memory"
        return None

    def close(self) -> None:
        """Close what was opened for reading."""
        if self.reader is not None:
            self.reader.close()

    def _open(self) -> UsageReader | None:
        if self.reader is None and (pid := self._first_process()) is not None:
            self.reader = UsageReader(
                pid,
                self._limits.tmpfs_bytes,
                self._limits.total_memory_limit(self._jobs),
                self._limits.processes,
            )
        return self.reader
