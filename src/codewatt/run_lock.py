"""A run that was killed can be started again by the same command.

Snakemake's lock outlives a Snakemake that was killed, and so do its jobs. Here the running process
also holds a lock of the kernel's, which ends with it, and writes into the locked file who it is:
whoever gets the lock, on the same host, knows that Snakemake's lock is stale. Not every file system
has locks that other hosts see, and some have none: a run of another host that did not empty its
file may live, and is left to the user. Jobs watch the process that started them and end with it.
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

OWNER = "CODEWATT_RUN"  # host:pid:start of the Snakemake that jobs belong to
_POLL_S = 0.5
#: What flock(2) answers on a file system without locks, such as Lustre without its option flock.
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_held: list[IO[str]] = []  # kept open for the life of the process


def forget_killed_run(directory: str | Path) -> None:
    """Remove Snakemake's lock of a directory if the run that made it is gone.

    A run of another host is left to Snakemake's own lock and its message.
    """
    state = Path(directory) / ".snakemake"
    if not (state / "locks").is_dir():
        return
    with (state / "codewatt.lock").open("a+") as handle:
        if _locked(handle):
            handle.seek(0)
            owner = handle.read()
            if owner.partition(":")[0] in ("", socket.gethostname()) and not _lives(owner):
                shutil.rmtree(state / "locks", ignore_errors=True)


def hold_run(directory: str | Path, results: str | Path) -> None:
    """Mark this process as the running Snakemake of a directory and of a study's results.

    The mark lasts for as long as the process lives; when it ends by itself, it is taken away.

    Args:
        directory: where Snakemake runs.
        results: the study's results, which another copy of the project may write as well.

    Raises:
        CodewattError: another one is, at other files, which Snakemake itself would allow; but then
            nobody could tell whose a job is that a killed one left behind. Or one of another host
            was, and does not say that it ended.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"
    atexit.register(_let_go, os.getpid())  # of what is held by then, if the second is refused too
    places = (Path(directory) / ".snakemake" / "codewatt.lock", Path(results) / ".codewatt.lock")
    for file in places:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = file.open("a+")
        _take(handle, file)
        handle.truncate(0)
        handle.write(owner)
        handle.flush()
        _held.append(handle)
    os.environ[OWNER] = owner


def _take(handle: IO[str], file: Path) -> None:
    for last in (*[False] * 20, True):  # a dry run may look at the lock for a moment
        locked = _locked(handle)
        handle.seek(0)
        owner = handle.read()
        host, _, rest = owner.partition(":")
        process = rest.partition(":")[0]
        if not locked or _lives(owner):
            if last:
                raise CodewattError(
                    f"{file.parent}: a run is at work here (host {host}, process {process}); wait "
                    "for it, or run this in another copy, with other results"
                )
            time.sleep(0.1)
        elif host not in ("", socket.gethostname()):
            raise CodewattError(
                f"{file.parent}: a run of host {host} (process {process}) did not say that it "
                f"ended, and from here nobody can tell; if it is gone: rm {file}"
            )
        else:
            return


def _locked(handle: IO[str]) -> bool:
    """Whether the kernel gave us its lock of a file; also where the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise CodewattError(f"{handle.name}: it cannot be locked: {error.strerror}") from None
    return True  # without locks what the file says must do


def _lives(owner: str) -> bool:
    """Whether the owner in a file is a process of this host that runs, and not this one."""
    host, _, rest = owner.partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit() or int(pid) == os.getpid():
        return False
    return str(_started(int(pid))) == started


def _let_go(pid: int) -> None:
    """At the end of the process that holds them; its forks end as well, and hold nothing."""
    if os.getpid() == pid:
        for handle in _held:
            handle.truncate(0)


def end_with_run() -> None:
    """In a job: end, with all children, when the Snakemake that it belongs to is gone.

    A job on another host than that Snakemake (a cluster's) is its scheduler's to end.
    """
    host, _, rest = os.environ.get(OWNER, "").partition(":")
    if host != socket.gethostname():
        return
    pid, started = map(int, rest.split(":"))
    threading.Thread(target=_watch, args=(pid, started), daemon=True).start()


def _watch(pid: int, started: int) -> None:
    while _started(pid) == started:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])
