"""Locks of a run, so that a killed run can be started again with the same command.

If Snakemake is killed, its own lock and its jobs remain. Therefore the Snakemake process also holds
a file lock (flock), which the kernel releases when the process ends, and writes its host and
process id into the locked file. If a process on the same host obtains this lock, Snakemake's own
lock is stale. Some file systems have no file locks, or locks that only one host sees. So if the
file names another host, a run may be active there, and the user must decide. Jobs watch the
Snakemake process that started them, and end when it has ended.
"""

import atexit
import errno
import fcntl
import os
import shutil
import signal
import socket
import threading
import time
from pathlib import Path
from typing import IO

from codewatt.errors import CodewattError

#: Environment variable of jobs: host, process id and start time of their Snakemake process.
OWNER = "CODEWATT_RUN"
_POLL_S = 0.5
#: What flock(2) answers on a file system without locks, such as Lustre without its option flock.
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_held: list[IO[str]] = []  # kept open for the life of the process


def forget_killed_run(directory: str | Path) -> None:
    """Remove Snakemake's lock from a directory if the run that created it has ended.

    The lock of a run on another host stays; Snakemake then reports it.
    """
    state = Path(directory) / ".snakemake"
    if not (state / "locks").is_dir():
        return
    with (state / "codewatt.lock").open("a+") as handle:
        if _locked(handle):
            handle.seek(0)
            owner = handle.read()
            if owner.partition(":")[0] in ("", socket.gethostname()) and not _is_running(owner):
                shutil.rmtree(state / "locks", ignore_errors=True)


def hold_run(directory: str | Path, results: str | Path) -> None:
    """Mark this process as the active run in a directory and for a study's results.

    The process keeps the locks until it ends. At a normal end it also empties the lock files.

    Args:
        directory: where Snakemake runs.
        results: the study's results, which another copy of the project may write as well.

    Raises:
        CodewattError: another run is active in the directory or on the results, or a run on
            another host has not recorded its end. Snakemake itself allows two runs that write
            different files; but then it is unknown which of the two a job belongs to.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}:{_start_ticks(os.getpid())}"
    # Before the locks are taken: if the second one is refused, the first file is emptied too.
    atexit.register(_release, os.getpid())
    places = (Path(directory) / ".snakemake" / "codewatt.lock", Path(results) / ".codewatt.lock")
    for file in places:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = file.open("a+")
        _acquire(handle, file)
        handle.truncate(0)
        handle.write(owner)
        handle.flush()
        _held.append(handle)
    os.environ[OWNER] = owner


def _acquire(handle: IO[str], file: Path) -> None:
    for last in (*[False] * 20, True):  # a dry run may look at the lock for a moment
        locked = _locked(handle)
        handle.seek(0)
        owner = handle.read()
        host, _, rest = owner.partition(":")
        process = rest.partition(":")[0]
        if not locked or _is_running(owner):
            if last:
                raise CodewattError(
                    f"{file.parent}: another run is active here (host {host}, process "
                    f"{process}); wait "
                    "until it ends, or use another working directory and other results"
                )
            time.sleep(0.1)
        elif host not in ("", socket.gethostname()):
            raise CodewattError(
                f"{file.parent}: a run on host {host} (process {process}) has not recorded its "
                "end, "
                f"and this host cannot see whether it is active; if it has ended: rm {file}"
            )
        else:
            return


def _locked(handle: IO[str]) -> bool:
    """Try to lock a file; returns whether this process has the lock, True without file locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise CodewattError(f"{handle.name}: it cannot be locked: {error.strerror}") from None
    return True  # without locks, the content of the file decides


def _is_running(owner: str) -> bool:
    """Whether the owner in a lock file is another process of this host that is running."""
    host, _, rest = owner.partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit() or int(pid) == os.getpid():
        return False
    return str(_start_ticks(int(pid))) == started


def _release(pid: int) -> None:
    """Empty the lock files at the end of the process `pid`; its forks do nothing."""
    if os.getpid() == pid:
        for handle in _held:
            handle.truncate(0)


def end_with_run() -> None:
    """Kill this process, which is a job, when the Snakemake that started it has ended.

    This needs both on the same host. On a cluster, the scheduler ends the job.
    """
    host, _, rest = os.environ.get(OWNER, "").partition(":")
    if host != socket.gethostname():
        return
    pid, started = map(int, rest.split(":"))
    threading.Thread(target=_watch, args=(pid, started), daemon=True).start()


def _watch(pid: int, started: int) -> None:
    while _start_ticks(pid) == started:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is no such process.

    From /proc (proc(5), field 22): psutil gives the time of day, which a clock adjustment moves.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])
