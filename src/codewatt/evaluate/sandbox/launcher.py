"""Starts sandboxes through the launcher, a separate process that is the parent of all sandboxes.

`launcher_process.py` explains why it is needed. All sandboxes of this process share one launcher.
It starts with the first sandbox and ends with this process, even if this process is killed.
"""

import atexit
import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from codewatt.errors import CodewattError
from codewatt.evaluate.sandbox.bubblewrap import python_interpreter
from codewatt.units import MS_PER_S

if TYPE_CHECKING:  # run as a script; named here because code_digests.py follows imports
    from codewatt.evaluate.sandbox import launcher_process  # noqa: F401

_SCRIPT = Path(__file__).with_name("launcher_process.py")
_MESSAGE_BYTES = 1 << 16
_OPEN_FILES = 8192


class LaunchedProcess:
    """A process that the launcher started. The launcher also reaps it."""

    def __init__(self, pid: int, handle: int) -> None:
        self.pid = pid
        self._handle = handle

    def wait(self, timeout_s: float) -> bool:
        """Wait for the process to end; whether it did within the timeout (s)."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(max(0.0, timeout_s) * MS_PER_S))

    def kill(self) -> None:
        """Kill the process if it still exists."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def close(self) -> None:
        """Close the process descriptor."""
        os.close(self._handle)


def _raise_open_file_limit() -> None:
    """Allow as many open files as 128 sandboxes need; the usual soft limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Launcher:
    """A running launcher process. Several threads may call `start`."""

    def __init__(self) -> None:
        _raise_open_file_limit()
        self.owner = os.getpid()
        self._lock = threading.Lock()
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [python_interpreter(), "-I", "-S", "-B", str(_SCRIPT)]
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(self.owner)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={},
            )

    def start(self, argv: Sequence[str], descriptors: Sequence[int]) -> LaunchedProcess:
        """Start a program with an empty environment, in "/", in a new session.

        Args:
            argv: the program (an absolute path) and its arguments.
            descriptors: file descriptors that the program gets as 2, 3, 4, ...

        Raises:
            CodewattError: the program cannot be executed, or the launcher was killed.
        """
        message = json.dumps({"argv": list(argv)}).encode()
        handles: list[int] = []
        with self._lock:
            try:
                socket.send_fds(self._link, [message], list(descriptors))
                answer, handles, _, _ = socket.recv_fds(self._link, _MESSAGE_BYTES, 1)
            except OSError as error:
                raise CodewattError(f"sandbox: cannot be started: {error}") from None
        if not answer:
            raise CodewattError("sandbox: cannot be started: the launcher process was killed")
        reply = json.loads(answer)
        if not handles:
            raise CodewattError(f"sandbox: did not start: {argv[0]}: {reply['error']}")
        os.set_inheritable(handles[0], False)
        return LaunchedProcess(reply["pid"], handles[0])

    def alive(self) -> bool:
        """Whether the launcher belongs to this process and is still running."""
        return self.owner == os.getpid() and self._process.poll() is None

    def close(self) -> None:
        """End the launcher and every process that it started."""
        self._link.close()
        if self.owner == os.getpid():
            self._process.wait()


_shared: Launcher | None = None
_shared_lock = threading.Lock()


def shared_launcher() -> Launcher:
    """The launcher of this process; started if there is none."""
    global _shared
    with _shared_lock:
        if _shared is None or not _shared.alive():
            if _shared is not None:
                _shared.close()
            _shared = Launcher()
            atexit.register(_shared.close)
        return _shared
