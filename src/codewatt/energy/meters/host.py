"""How busy the machine is: to see whether someone else was, not to make joules of it."""

import os
import time
from pathlib import Path

from codewatt.energy.meters.base import AbsentMeter, Meter, MeterInfo, Reading


class HostMeter(Meter):
    """CPU load of the whole machine since the last reading, and memory in use, from /proc.

    Load is the share of busy jiffies over all CPUs, 0 to 1; time stolen by a hypervisor counts as
    busy, waiting for a disk does not. Linux counts guest time inside user and nice already.
    """

    def __init__(self, interval_s: float, proc: Path) -> None:
        facts = {"cpu_count": os.cpu_count()}
        super().__init__(MeterInfo("host", None, interval_s, facts=facts))
        self._stat, self._meminfo = proc / "stat", proc / "meminfo"
        self._busy, self._total = self._jiffies()

    def read(self) -> list[Reading]:
        """cpu_load (none if no jiffy passed) and memory_used_bytes."""
        t_s = time.monotonic()
        busy, total = self._jiffies()
        passed, self._busy, used = total - self._total, busy, busy - self._busy
        self._total = total
        readings = [Reading(t_s, "host", "machine", "memory_used_bytes", self._memory_used())]
        if passed > 0:
            load = min(max(used / passed, 0.0), 1.0)
            readings.append(Reading(t_s, "host", "machine", "cpu_load", load))
        return readings

    def _jiffies(self) -> tuple[int, int]:
        """(busy, total) jiffies of all CPUs since boot; man 5 proc, /proc/stat."""
        with self._stat.open(encoding="ascii") as stream:
            user, nice, system, idle, iowait, irq, softirq, steal = map(
                int, stream.readline().split()[1:9]
            )
        busy = user + nice + system + irq + softirq + steal
        return busy, busy + idle + iowait

    def _memory_used(self) -> float:
        """MemTotal - MemAvailable, in bytes (the file counts in KiB)."""
        sizes = {}
        with self._meminfo.open(encoding="ascii") as stream:
            for line in stream:
                name, rest = line.split(":", 1)
                sizes[name] = int(rest.split()[0]) * 1024
                if name == "MemAvailable":
                    break
        return float(sizes["MemTotal"] - sizes["MemAvailable"])


def open_host(interval_s: float, proc: Path = Path("/proc")) -> Meter:
    """The host meter, or an absent one where /proc does not tell."""
    try:
        meter = HostMeter(interval_s, proc)
        meter.read()
    except (OSError, ValueError, KeyError) as error:
        return AbsentMeter("host", ["host"], f"{proc} is not readable as Linux's /proc: {error}")
    return meter
