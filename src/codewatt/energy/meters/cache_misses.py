"""L1 and L2 cache misses of the job's CPU work, by `perf stat` where it is allowed.

perf counts all threads of the job and the processes that they start. A counter that shares the
hardware with others is scaled by perf to the whole time. The misses are those of the CPU: work of a
GPU is not among them. Output format: man perf-stat, section CSV FORMAT.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from codewatt.energy.meters.meter import AbsentMeter, ComponentInfo, Meter, MeterInfo, Reading

INTERVAL_S = 1.0
#: Events of a quantity, of which the first that the CPU has is counted: generic name, Intel, AMD
#: (Zen), Arm. perf has no generic event for L2.
EVENTS: dict[str, tuple[str, ...]] = {
    "l1_misses": ("L1-dcache-load-misses",),
    "l2_misses": ("l2_rqsts.miss", "l2_cache_req_stat.ic_dc_miss_in_l2", "l2d_cache_refill"),
}
_SEPARATOR = ";"
_TIMEOUT_S = 10.0
_ENVIRONMENT = {**os.environ, "LC_ALL": "C"}


class Count(NamedTuple):
    """A line of `perf stat -x ';'`.

    Attributes:
        t_s: time since perf's start (s); 0 without -I.
        event: name of the event.
        number: how often it happened in the interval; None if the CPU does not count it.
    """

    t_s: float
    event: str
    number: int | None


def parse_count(line: str, *, timed: bool) -> Count | None:
    """Read a line of `perf stat -x ';'`; None if it has no counter.

    Args:
        line: the line, such as "1.000168216;538913;;L1-dcache-load-misses;1000062;100.00;;".
        timed: whether perf has the option -I, so that lines begin with a time.
    """
    parts = line.strip().split(_SEPARATOR)
    start = parts.pop(0) if timed else "0"
    if len(parts) < 3:
        return None
    value, event = parts[0], parts[2]
    try:
        t_s = float(start)
        # An interval in which no thread ran is "<not counted>": no event happened.
        counted = {"<not supported>": None, "<not counted>": 0}
        return Count(t_s, event, counted[value] if value in counted else int(value))
    except ValueError:
        return None


class CacheMeter(Meter):
    """l1_misses and l2_misses of the job: cumulative counts since opening."""

    def __init__(self, perf: str, job_pid: int, events: Mapping[str, str]) -> None:
        components = {
            name: ComponentInfo("measured", f"perf stat, event {event}")
            for name, event in events.items()
        }
        super().__init__(MeterInfo("perf", None, INTERVAL_S, components))
        self._quantities = {event: name for name, event in events.items()}
        self._sums = dict.fromkeys(events, 0)
        self._unread = b""
        self._start_s = time.monotonic()
        self._process = subprocess.Popen(
            [
                *(perf, "stat", "-x", _SEPARATOR, "-I", f"{1000 * INTERVAL_S:.0f}"),
                *("-e", ",".join(events.values()), "-p", str(job_pid)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_ENVIRONMENT,
            start_new_session=True,  # an interrupt from the keyboard is the job's to handle
        )
        assert self._process.stderr is not None
        self._descriptor = self._process.stderr.fileno()
        os.set_blocking(self._descriptor, False)

    def read(self) -> list[Reading]:
        """The counts of the intervals that have ended since the last read."""
        readings = []
        for line in self._lines():
            found = parse_count(line, timed=True)
            if found is None or found.event not in self._quantities:
                continue
            name = self._quantities[found.event]
            if found.number is None:
                self.failures[f"{name}: not supported"] += 1
                continue
            self._sums[name] += found.number
            t_s = self._start_s + found.t_s
            readings.append(Reading(t_s, "cache", "job", name, float(self._sums[name])))
        return readings

    def close(self) -> None:
        """End perf; the interval that has begun is not counted."""
        self._process.terminate()  # not SIGINT: perf inherits that the sampler ignores it
        try:
            self._process.wait(_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _lines(self) -> list[str]:
        """Complete lines that perf has written since the last call."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._descriptor, 65536):
                self._unread += chunk
        complete, _, self._unread = self._unread.rpartition(b"\n")
        return complete.decode("utf-8", errors="replace").splitlines()


def open_cache_misses(
    job_pid: int | None = None, events: Mapping[str, Sequence[str]] | None = None
) -> Meter:
    """Open the meter of cache misses; an `AbsentMeter` contains the reason.

    Args:
        job_pid: the process that is metered; None: this one.
        events: quantity -> names of events, of which the first that works is counted; None:
            `EVENTS`.
    """
    wanted = EVENTS if events is None else events
    perf = shutil.which("perf")
    if perf is None:
        return AbsentMeter("perf", wanted, "perf is not installed")
    chosen: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for name, candidates in wanted.items():
        problems = []
        for event in candidates:
            problem = _problem(perf, event)
            if problem is None:
                chosen[name] = event
                break
            problems.append(f"{event}: {problem}")
        else:
            reasons[name] = f"perf: {'; '.join(problems)}"
    if not chosen:
        return _absent(reasons)
    try:
        meter = CacheMeter(perf, os.getpid() if job_pid is None else job_pid, chosen)
    except OSError as error:
        return AbsentMeter("perf", wanted, f"perf: {error}")
    meter.info.components.update(_unavailable(reasons))
    return meter


def _absent(reasons: Mapping[str, str]) -> Meter:
    meter = AbsentMeter("perf", (), "")
    meter.info.components.update(_unavailable(reasons))
    return meter


def _unavailable(reasons: Mapping[str, str]) -> dict[str, ComponentInfo]:
    return {name: ComponentInfo("unavailable", "perf", reason) for name, reason in reasons.items()}


def _problem(perf: str, event: str) -> str | None:
    """Why an event cannot be counted, on one line; None if it can."""
    command = [perf, "stat", "-x", _SEPARATOR, "-e", event, "--", "true"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            env=_ENVIRONMENT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if done.returncode != 0:
        if "event syntax error" in done.stderr:
            return "unknown to perf on this machine"
        said = [line for line in lines if line != "Error:"]
        return said[0] if said else f"exit {done.returncode}"
    counts = [found for line in lines if (found := parse_count(line, timed=False))]
    if not counts or counts[0].number is None:
        return "not supported by this CPU or virtual machine"
    return None
