"""Reads what all processes of one sandbox use, from outside: CPU time, memory, process count.

This needs no privileges and no cgroups, and no program in the sandbox can change what is read.
It does not enforce a limit: the judge must read often enough (`UsageReader.next_read_in_s`). psutil
is not used: one read takes 0.2 ms here, and happens up to 250 times a second.
"""

import contextlib
import os
from dataclasses import dataclass

from codewatt.units import NS_PER_S

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_INODE_BYTES = 1024  # of the kernel's memory: a tmpfs inode and its name (slabinfo: 0.7 to 0.9 KiB)
_SOCKET_BYTES = 208 << 10  # what a unix socket can hold (net.core.wmem_default)

_MAX_INTERVAL_S = 0.05
_MIN_INTERVAL_S = 0.004
_MAX_BYTES_PER_S = 8 << 30  # a few cores that only touch new pages


@dataclass(frozen=True)
class Usage:
    """Usage of all processes of a sandbox since its start, including ended processes.

    Attributes:
        cpu_s: CPU time of all processes and threads (s).
        core_wait_s: time during which threads were ready to run but had no core, summed over
            threads (s); 0 on a kernel without CONFIG_SCHED_INFO.
        memory_bytes: memory at this moment: resident and swapped pages, page tables, files and
            inodes of the private /tmp. Near the limit each shared page counts once.
        processes: number of processes and threads.
    """

    cpu_s: float
    core_wait_s: float
    memory_bytes: int
    processes: int


class UsageReader:
    """Reads the usage of all processes in a PID namespace.

    Args:
        init: process ID of the namespace's first process.
        tmpfs_bytes: size of its /tmp.
        memory_limit: memory limit of all processes (bytes); reads are more frequent near it.
        process_limit: limit on processes; far more of them are not all read.
    """

    def __init__(self, init: int, tmpfs_bytes: int, memory_limit: int, process_limit: int) -> None:
        self._init = init
        self._tmpfs_bytes = tmpfs_bytes
        self._memory_limit = memory_limit
        self._max_threads = process_limit + 8
        self._tmp: int | None = None
        self._lost_cpu_s = self._last_cpu_s = self._core_wait_s = 0.0
        self._thread_wait_ns: dict[tuple[int, int], int] = {}
        self._left_bytes = memory_limit

    def read(self) -> Usage:
        """Read the usage; takes about 0.2 ms for a program of one process."""
        cpu_s, resident = 0.0, 0
        waits: dict[tuple[int, int], int] = {}
        processes, threads = self._process_tree()
        for pid in processes:
            cpu_s += _cpu_s(pid)
            resident += _resident_bytes(pid)
            for thread in threads[pid]:
                waits[pid, thread] = _core_wait_ns(pid, thread)
        # The CPU time of an ended process is added to its parent if that waits for it. If the
        # parent ignores its children, the time is lost from all counters.
        self._lost_cpu_s += max(0.0, self._last_cpu_s - cpu_s)
        self._last_cpu_s = cpu_s
        self._core_wait_s += (
            sum(max(0, ns - self._thread_wait_ns.get(who, 0)) for who, ns in waits.items())
            / NS_PER_S
        )
        self._thread_wait_ns = waits
        memory = resident + self._tmp_bytes() + _socket_bytes(self._init)
        if memory > self._memory_limit:
            # Processes may share pages: count each page once, which takes longer to read.
            memory += sum(map(_proportional_bytes, processes)) - resident
        self._left_bytes = max(0, self._memory_limit - memory)
        return Usage(
            cpu_s + self._lost_cpu_s, self._core_wait_s, memory, sum(map(len, threads.values()))
        )

    def next_read_in_s(self) -> float:
        """Seconds until the next read, so that the limit cannot be exceeded by much."""
        return min(_MAX_INTERVAL_S, max(_MIN_INTERVAL_S, self._left_bytes / _MAX_BYTES_PER_S))

    def close(self) -> None:
        """Close the descriptor of the sandbox's /tmp."""
        if self._tmp is not None:
            os.close(self._tmp)
            self._tmp = None

    def _process_tree(self) -> tuple[list[int], dict[int, list[int]]]:
        """Process IDs and the threads of each process; incomplete if there are far too many."""
        found = [self._init]
        threads: dict[int, list[int]] = {}
        count = 0
        for pid in found:
            threads[pid] = []
            with contextlib.suppress(OSError, ValueError):
                threads[pid] = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
                for thread in threads[pid]:
                    found.extend(
                        map(int, _read_proc_file(f"/proc/{pid}/task/{thread}/children").split())
                    )
            count += len(threads[pid])
            if max(count, len(found)) > self._max_threads:
                break
        for pid in found[len(threads) :]:
            threads[pid] = [pid]
        return found, threads

    def _tmp_bytes(self) -> int:
        """Bytes of the files in the private /tmp, and of their inodes, which have no size limit."""
        with contextlib.suppress(OSError):
            if self._tmp is None:
                folder = os.open(f"/proc/{self._init}/root/tmp", os.O_PATH | os.O_DIRECTORY)
                stats = os.fstatvfs(folder)
                # Until the sandbox has changed its root, this is another file system.
                if not 0 <= stats.f_blocks * stats.f_frsize - self._tmpfs_bytes < _PAGE:
                    os.close(folder)
                    return 0
                self._tmp = folder
            stats = os.fstatvfs(self._tmp)
            used = (stats.f_blocks - stats.f_bfree) * stats.f_frsize
            return used + (stats.f_files - stats.f_ffree) * _INODE_BYTES
        return 0


def _read_proc_file(path: str) -> str:
    """Content of a file in /proc, with as few system calls as possible."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 16).decode("ascii", "replace")
    finally:
        os.close(descriptor)


def _cpu_s(pid: int) -> float:
    """CPU time of a process and of the children it has waited for (s; man 5 proc, stat)."""
    with contextlib.suppress(OSError, ValueError):
        fields = _read_proc_file(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS_PER_S
    return 0.0


def _core_wait_ns(pid: int, thread: int) -> int:
    """Time that a thread waited for a core (ns; Documentation/scheduler/sched-stats)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(_read_proc_file(f"/proc/{pid}/task/{thread}/schedstat").split()[1])
    return 0


def _resident_bytes(pid: int) -> int:
    """Resident pages, swapped pages and page tables of a process (bytes)."""
    return _sum_fields(f"/proc/{pid}/status", ("VmRSS:", "VmSwap:", "VmPTE:")) << 10


def _proportional_bytes(pid: int) -> int:
    """Like `_resident_bytes`, with each shared page divided by the number of its processes."""
    mapped = _sum_fields(f"/proc/{pid}/smaps_rollup", ("Pss:", "SwapPss:"))
    if not mapped:
        return _resident_bytes(pid)  # not readable, or the process has just ended
    return (mapped + _sum_fields(f"/proc/{pid}/status", ("VmPTE:",))) << 10


def _sum_fields(path: str, names: tuple[str, ...]) -> int:
    """Sum of the numbers in some lines of a file in /proc; memory is in KiB."""
    total = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _read_proc_file(path).splitlines():
            if line.startswith(names):
                total += int(line.split()[1])
    return total


def _socket_bytes(init: int) -> int:
    """Bytes that the sandbox's sockets may buffer, which no process's resident size includes.

    A sandbox can only create unix sockets, and its network namespace lists them. Pipes are not
    counted: the kernel limits all pipes of a user together (pipe-user-pages-soft, 64 MiB).
    """
    with contextlib.suppress(OSError), open(f"/proc/{init}/net/unix", "rb") as stream:
        return max(0, stream.read().count(b"\n") - 1) * _SOCKET_BYTES
    return 0
