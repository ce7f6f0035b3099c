"""CPU load of the machine and of the job, to detect other work on the machine (not for energy)."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from codewatt.energy.cpu_share import job_cpu_share
from codewatt.energy.meters.meter import AbsentMeter, Meter, MeterInfo, Reading
from codewatt.units import BYTES_PER_KIB

Answer = TypeVar("Answer")

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class HostMeter(Meter):
    """CPU load of the whole machine, CPU time of machine and job, memory in use, from /proc.

    Load is the share of busy jiffies over all CPUs, 0 to 1; time stolen by a hypervisor counts as
    busy, waiting for a disk does not. Linux counts guest time inside user and nice already. In
    the cumulative `busy_s` stolen time is not counted: it is no work of this machine's.
    """

    def __init__(self, interval_s: float, proc: Path, job_pid: int) -> None:
        facts = {"cpu_count": os.cpu_count(), "allocation": job_cpu_share()}
        super().__init__(MeterInfo("host", None, interval_s, facts=facts))
        self._stat, self._meminfo = proc / "stat", proc / "meminfo"
        self._proc, self._job = proc, job_pid
        # Kernels without CONFIG_PROC_CHILDREN do not list a process's children.
        self._lists_children = any(proc.glob(f"{job_pid}/task/*/children"))
        self._busy, self._total, _ = self._jiffies()

    def read(self) -> list[Reading]:
        """cpu_load (none if no jiffy passed), busy_s, stolen_s, job_busy_s, memory_used_bytes.

        Each has the time at which its own file was read: looking through a job of many processes
        takes a while.
        """
        t_s, (busy, total, worked) = _timed(self._jiffies)
        job_s, job_busy_s = _timed(self._job_busy_s)
        memory_s, memory_used = _timed(self._memory_used)
        stolen = busy - worked
        passed, self._busy, used = total - self._total, busy, busy - self._busy
        self._total = total
        found = [
            (memory_s, "memory_used_bytes", memory_used),
            (t_s, "busy_s", worked / _TICKS_PER_S),
            (t_s, "stolen_s", stolen / _TICKS_PER_S),
            (job_s, "job_busy_s", job_busy_s),
        ]
        if passed > 0:
            found.append((t_s, "cpu_load", min(max(used / passed, 0.0), 1.0)))
        return [Reading(at_s, "host", "machine", name, value) for at_s, name, value in found]

    def _jiffies(self) -> tuple[int, int, int]:
        """(busy, total, busy less stolen) jiffies of all CPUs since boot (man 5 proc, stat)."""
        with self._stat.open(encoding="ascii") as stream:
            user, nice, system, idle, iowait, irq, softirq, steal = map(
                int, stream.readline().split()[1:9]
            )
        worked = user + nice + system + irq + softirq
        return worked + steal, worked + steal + idle + iowait, worked

    def _job_busy_s(self) -> float:
        """CPU seconds of the job and of all below it, this sampler among them.

        A child's seconds move to its parent's account when it is waited for: the sum over all
        that live, each with its ended children, does not jump.
        """
        parents = {} if self._lists_children else self._by_parent()
        waiting, ticks = [self._job], 0
        while waiting:
            pid = waiting.pop()
            used = self._ticks(pid)
            if used is not None:
                ticks += used
                waiting += self._children(pid) if self._lists_children else parents.get(pid, [])
        return ticks / _TICKS_PER_S

    def _ticks(self, pid: int) -> int | None:
        """utime, stime, cutime and cstime; None for a process that has just ended."""
        try:
            # pid (name) state ppid ...: the name may hold spaces and parentheses; man 5 proc
            text = (self._proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            if pid == self._job:
                raise
            return None
        return sum(map(int, text.rpartition(")")[2].split()[11:15]))

    def _children(self, pid: int) -> list[int]:
        """Live children of all its threads."""
        found: list[int] = []
        for path in self._proc.glob(f"{pid}/task/*/children"):
            try:
                found += map(int, path.read_text(encoding="ascii").split())
            except (OSError, ValueError):
                continue
        return found

    def _by_parent(self) -> dict[int, list[int]]:
        """Parent -> live children, of all processes: where the kernel lists no children."""
        found: dict[int, list[int]] = {}
        for path in self._proc.glob("[0-9]*/stat"):
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
                parent = int(text.rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            found.setdefault(parent, []).append(int(path.parent.name))
        return found

    def _memory_used(self) -> float:
        """MemTotal - MemAvailable, in bytes (the file counts in KiB)."""
        sizes = {}
        with self._meminfo.open(encoding="ascii") as stream:
            for line in stream:
                name, rest = line.split(":", 1)
                sizes[name] = int(rest.split()[0]) * BYTES_PER_KIB
                if name == "MemAvailable":
                    break
        return float(sizes["MemTotal"] - sizes["MemAvailable"])


def _timed(read: Callable[[], Answer]) -> tuple[float, Answer]:
    """The middle of the time that a read took, and what it read."""
    before_s = time.monotonic()
    value = read()
    return (before_s + time.monotonic()) / 2, value


def open_host(interval_s: float, job_pid: int | None = None, proc: Path = Path("/proc")) -> Meter:
    """Open the host meter; an `AbsentMeter` if /proc cannot be read.

    Args:
        job_pid: the process that is metered; None: this one.
    """
    try:
        meter = HostMeter(interval_s, proc, os.getpid() if job_pid is None else job_pid)
        meter.read()
    except (OSError, ValueError, KeyError, IndexError) as error:
        reason = f"{proc} is not readable as Linux's /proc: {error}"
        return AbsentMeter("host", ["host"], reason, {"allocation": job_cpu_share()})
    return meter
