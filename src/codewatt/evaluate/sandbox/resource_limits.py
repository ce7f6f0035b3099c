"""Resource limits of an untrusted program. Time and memory limits follow EvalPlus 0.3.1."""

import math
import os
from dataclasses import asdict, dataclass
from typing import cast

from codewatt.evaluate.evaluate_record import LimitsRecord
from codewatt.units import BYTES_PER_GIB, BYTES_PER_MIB


@dataclass(frozen=True)
class Limits:
    """Limits of one program. The whole sandbox is killed if the program exceeds a total.

    Attributes:
        min_time_s: minimum time limit of one call (s).
        time_factor: time limit of a call as a multiple of the reference program's time for it, if
            that is above `min_time_s`.
        suite_time_s: maximum of the time limit of a suite, the sum over its calls (s).
        grace_s: added to the time limit of a suite (s). EvalPlus adds one second and waits for
            another.
        wall_factor: a suite ends after this multiple of its time limit in wall time, even if other
            load kept it waiting for a core (see `time_limits` for how time is counted).
        memory_bytes: address space of each process.
        total_memory_bytes: memory of all processes together, including files in /tmp; None for
            `memory_bytes`, or less if the machine has not as much for every job.
        processes: number of processes and threads.
        files: open files of each process.
        tmpfs_bytes: size of the private /tmp and of the largest file in it.
        start_s: how long the sandbox may take to start before that is an error (s).
        next_s: how long the second suite may take to start before it gets a new sandbox (s).
    """

    min_time_s: float = 1.0
    time_factor: float = 4.0
    suite_time_s: float = 60.0
    grace_s: float = 2.0
    wall_factor: float = 10.0
    memory_bytes: int = 4 * BYTES_PER_GIB
    total_memory_bytes: int | None = None
    processes: int = 64
    files: int = 128
    tmpfs_bytes: int = 64 * BYTES_PER_MIB
    start_s: float = 60.0
    next_s: float = 5.0

    def call_limits_s(self, reference_s: list[float]) -> list[float]:
        """Time limit of each call (s), from the reference program's time for it."""
        return [max(self.min_time_s, self.time_factor * taken) for taken in reference_s]

    def suite_limit_s(self, call_limits_s: list[float]) -> float:
        """Time limit of a suite from its start (s): EvalPlus's timeout with `fast_check`."""
        return min(self.suite_time_s, sum(call_limits_s)) + self.grace_s

    def outer_call_limit_s(self, call_limit_s: float) -> float:
        """Time limit of a call that the judge enforces from outside the sandbox (s)."""
        return 1.25 * call_limit_s + 0.5

    def kernel_cpu_limit_s(self, suites_call_times_s: list[list[float] | None]) -> int | None:
        """CPU time after which the kernel kills a process (s), as a last resort; None for never."""
        if any(times is None for times in suites_call_times_s):
            return None
        longest = max(self.suite_limit_s(times or []) for times in suites_call_times_s)
        return 2 * math.ceil(longest) + 10

    def total_memory_limit(self, jobs: int) -> int:
        """Memory limit of all processes of one sandbox (bytes) while `jobs` sandboxes run."""
        if self.total_memory_bytes is not None:
            return self.total_memory_bytes
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return min(self.memory_bytes, machine * 3 // (4 * jobs))

    def to_dict(self) -> LimitsRecord:
        """The limits as a dictionary that JSON can hold."""
        return cast(LimitsRecord, asdict(self))
