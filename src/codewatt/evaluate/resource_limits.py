"""How much a judged program may use. Time and memory follow EvalPlus 0.3.1."""

import math
import os
from dataclasses import asdict, dataclass
from typing import Any

_GIB = 1 << 30
_MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits of one program; the sandbox is killed as a whole when one of the totals is passed.

    Attributes:
        min_time_s: the least time that one call gets.
        time_factor: a call gets this many times what the reference program took, if that is more.
        suite_time_s: the most that all calls of a suite get together.
        grace_s: added to the time of a suite; EvalPlus adds a second to it and waits for another.
        wall_factor: a suite ends after this many times its time on the wall, even if the machine
            gave it less (times are otherwise measured in what the machine gave: see `clock`).
        memory_bytes: address space of each process.
        total_memory_bytes: memory that all processes hold together, their files included; None is
            `memory_bytes`, or less where the machine has not as much for every job.
        processes: processes and threads together.
        files: open files of each process.
        tmpfs_bytes: the private /tmp, and the largest file in it.
        start_s: how long the sandbox itself may take to start before that is an error.
        next_s: how long the second suite may take to start before it gets a sandbox of its own.
    """

    min_time_s: float = 1.0
    time_factor: float = 4.0
    suite_time_s: float = 60.0
    grace_s: float = 2.0
    wall_factor: float = 10.0
    memory_bytes: int = 4 * _GIB
    total_memory_bytes: int | None = None
    processes: int = 64
    files: int = 128
    tmpfs_bytes: int = 64 * _MIB
    start_s: float = 60.0
    next_s: float = 5.0

    def call_times_s(self, reference_s: list[float]) -> list[float]:
        """The time limit of each call, from what the reference program took for it."""
        return [max(self.min_time_s, self.time_factor * taken) for taken in reference_s]

    def suite_deadline_s(self, call_times_s: list[float]) -> float:
        """When a suite is over, counted from its start: EvalPlus's timeout for fast checks."""
        return min(self.suite_time_s, sum(call_times_s)) + self.grace_s

    def call_margin_s(self, call_time_s: float) -> float:
        """When a call is ended from outside, if its limit did not end it inside."""
        return 1.25 * call_time_s + 0.5

    def cpu_backstop_s(self, suites_call_times_s: list[list[float] | None]) -> int | None:
        """CPU time after which the kernel kills a process, should nobody else; None for never."""
        if any(times is None for times in suites_call_times_s):
            return None
        longest = max(self.suite_deadline_s(times or []) for times in suites_call_times_s)
        return 2 * math.ceil(longest) + 10

    def total_memory(self, jobs: int) -> int:
        """Bytes that all processes of one sandbox may hold, while `jobs` sandboxes run."""
        if self.total_memory_bytes is not None:
            return self.total_memory_bytes
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return min(self.memory_bytes, machine * 3 // (4 * jobs))

    def to_dict(self) -> dict[str, Any]:
        """The limits as JSON-ready data."""
        return asdict(self)
