"""A run that was killed can be started again by the same command.

Snakemake's lock outlives a Snakemake that was killed, and so do its jobs. Here the running process
also holds a lock of the kernel's, which ends with it: whoever gets that one, on the same host,
knows that Snakemake's lock is stale. Jobs watch the process that started them and end with it.
"""

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
_held: list[IO[str]] = []  # kept open for the life of the process


def forget_killed_run(directory: str | Path) -> None:
    """Remove Snakemake's lock of a directory if the run that made it is gone.

    Not every shared file system has locks that other hosts see: a run of another host is left to
    Snakemake's own lock and its message.
    """
    state = Path(directory) / ".snakemake"
    if not (state / "locks").is_dir():
        return
    with (state / "codewatt.lock").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # it is running: Snakemake's own lock has the word
        handle.seek(0)
        if handle.read().partition(":")[0] not in ("", socket.gethostname()):
            return
        shutil.rmtree(state / "locks", ignore_errors=True)


def hold_run(directory: str | Path) -> None:
    """Mark this process as the directory's running Snakemake, for as long as it lives.

    Raises:
        CodewattError: another one is, at other files, which Snakemake itself would allow; but then
            nobody could tell whose a job is that a killed one left behind.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"
    handle = (Path(directory) / ".snakemake" / "codewatt.lock").open("a+")
    for last in (*[False] * 20, True):  # a dry run may look at the lock for a moment
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if last:
                handle.seek(0)
                host, _, pid = handle.read().partition(":")
                raise CodewattError(
                    f"{directory}: a run is at work here (host {host}, process "
                    f"{pid.partition(':')[0]}); wait for it, or run this in another copy"
                ) from None
            time.sleep(0.1)
    handle.truncate(0)
    handle.write(owner)
    handle.flush()
    _held.append(handle)
    os.environ[OWNER] = owner


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
