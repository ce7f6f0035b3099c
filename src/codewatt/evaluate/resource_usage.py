"""What the processes of one sandbox use together, read from outside: CPU time, memory, number.

Nothing here needs privileges or cgroups, and nothing in the sandbox can change what is read. It is
no limit by itself: somebody has to look (see `Meter.look_in_s`).
"""

import contextlib
import os
from dataclasses import dataclass

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_INODE_BYTES = 1024  # of the kernel's memory: a tmpfs inode and its name (slabinfo: 0.7 to 0.9 KiB)
_SOCKET_BYTES = 208 << 10  # what a unix socket can hold (net.core.wmem_default)

_LONGEST_S = 0.05
_SHORTEST_S = 0.004
_FASTEST_BYTES_PER_S = 8 << 30  # a few cores that do nothing but touch new pages


@dataclass(frozen=True)
class Usage:
    """What the processes of a sandbox, the ended ones included, have used since it was started.

    Attributes:
        cpu_s: CPU time (seconds) of all processes and threads.
        waited_s: time (seconds) for which threads could have run and had no core, summed over
            threads; 0 on a kernel that does not count it (CONFIG_SCHED_INFO).
        memory_bytes: what they hold at this moment: resident and swapped pages (each shared page
            once, if it matters), page tables, files and inodes of the private /tmp.
        processes: how many processes and threads there are.
    """

    cpu_s: float
    waited_s: float
    memory_bytes: int
    processes: int


class Meter:
    """Reads the usage of all processes in a PID namespace.

    Args:
        init: the namespace's first process.
        tmpfs_bytes: the size of its /tmp.
        memory_limit: what they may hold; looks are more frequent near it.
        process_limit: processes beyond this are not all looked at.
    """

    def __init__(self, init: int, tmpfs_bytes: int, memory_limit: int, process_limit: int) -> None:
        self._init = init
        self._tmpfs_bytes = tmpfs_bytes
        self._memory_limit = memory_limit
        self._most = process_limit + 8
        self._tmp: int | None = None
        self._gone_cpu_s = self._last_cpu_s = self._waited_s = 0.0
        self._waits: dict[tuple[int, int], int] = {}
        self._left_bytes = memory_limit

    def read(self) -> Usage:
        """The usage now. Takes about 0.2 ms for a program of one process."""
        cpu_s, resident = 0.0, 0
        waits: dict[tuple[int, int], int] = {}
        processes, threads = self._tree()
        for pid in processes:
            cpu_s += _cpu_s(pid)
            resident += _held_bytes(pid)
            for thread in threads[pid]:
                waits[pid, thread] = _waited_ns(pid, thread)
        # What a process has used goes to its parent when that waits for it; if the parent ignores
        # its children, it is gone from all counts.
        self._gone_cpu_s += max(0.0, self._last_cpu_s - cpu_s)
        self._last_cpu_s = cpu_s
        self._waited_s += (
            sum(max(0, ns - self._waits.get(who, 0)) for who, ns in waits.items()) / 1e9
        )
        self._waits = waits
        memory = resident + self._tmp_bytes() + _socket_bytes(self._init)
        if memory > self._memory_limit:
            # Processes that share pages: count each page once, which takes longer to read.
            memory += sum(map(_proportional_bytes, processes)) - resident
        self._left_bytes = max(0, self._memory_limit - memory)
        return Usage(
            cpu_s + self._gone_cpu_s, self._waited_s, memory, sum(map(len, threads.values()))
        )

    def look_in_s(self) -> float:
        """When to read again (seconds), so that the limit cannot be passed by much."""
        return min(_LONGEST_S, max(_SHORTEST_S, self._left_bytes / _FASTEST_BYTES_PER_S))

    def close(self) -> None:
        """Let go of the sandbox's /tmp."""
        if self._tmp is not None:
            os.close(self._tmp)
            self._tmp = None

    def _tree(self) -> tuple[list[int], dict[int, list[int]]]:
        """The processes, and the threads of each; cut short where there are far too many."""
        found = [self._init]
        threads: dict[int, list[int]] = {}
        count = 0
        for pid in found:
            threads[pid] = []
            with contextlib.suppress(OSError, ValueError):
                threads[pid] = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
                for thread in threads[pid]:
                    found.extend(map(int, _text(f"/proc/{pid}/task/{thread}/children").split()))
            count += len(threads[pid])
            if max(count, len(found)) > self._most:
                break
        for pid in found[len(threads) :]:
            threads[pid] = [pid]
        return found, threads

    def _tmp_bytes(self) -> int:
        """What the files in the private /tmp take, and their inodes, which no size limits."""
        with contextlib.suppress(OSError):
            if self._tmp is None:
                folder = os.open(f"/proc/{self._init}/root/tmp", os.O_PATH | os.O_DIRECTORY)
                told = os.fstatvfs(folder)
                # Before the sandbox has changed its root, that is another file system.
                if not 0 <= told.f_blocks * told.f_frsize - self._tmpfs_bytes < _PAGE:
                    os.close(folder)
                    return 0
                self._tmp = folder
            told = os.fstatvfs(self._tmp)
            used = (told.f_blocks - told.f_bfree) * told.f_frsize
            return used + (told.f_files - told.f_ffree) * _INODE_BYTES
        return 0


def _text(path: str) -> str:
    """The content of a file of the kernel's, with as few calls as possible."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 16).decode("ascii", "replace")
    finally:
        os.close(descriptor)


def _cpu_s(pid: int) -> float:
    """CPU time of a process and of the children that it has waited for (man 5 proc, stat)."""
    with contextlib.suppress(OSError, ValueError):
        fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS_PER_S
    return 0.0


def _waited_ns(pid: int, thread: int) -> int:
    """How long a thread was ready to run and did not (Documentation/scheduler/sched-stats)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(_text(f"/proc/{pid}/task/{thread}/schedstat").split()[1])
    return 0


def _held_bytes(pid: int) -> int:
    """Resident and swapped pages, and page tables."""
    return _number_of(f"/proc/{pid}/status", ("VmRSS:", "VmSwap:", "VmPTE:")) << 10


def _proportional_bytes(pid: int) -> int:
    """The same with each shared page divided by the processes that map it."""
    mapped = _number_of(f"/proc/{pid}/smaps_rollup", ("Pss:", "SwapPss:"))
    if not mapped:
        return _held_bytes(pid)  # it cannot be read, or the process has just ended
    return (mapped + _number_of(f"/proc/{pid}/status", ("VmPTE:",))) << 10


def _number_of(path: str, names: tuple[str, ...]) -> int:
    """The sum of some lines of a file of the kernel's; those of memory are in KiB."""
    total = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _text(path).splitlines():
            if line.startswith(names):
                total += int(line.split()[1])
    return total


def _socket_bytes(init: int) -> int:
    """What the sandbox's sockets may hold, sent to another one included: none of it is resident.

    Only unix sockets can be made there, and its network namespace lists them. Pipes are not
    counted: the kernel limits what all pipes of a user hold (pipe-user-pages-soft, 64 MiB).
    """
    with contextlib.suppress(OSError), open(f"/proc/{init}/net/unix", "rb") as stream:
        return max(0, stream.read().count(b"\n") - 1) * _SOCKET_BYTES
    return 0
