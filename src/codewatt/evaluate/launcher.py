"""The judge's end of the launcher: one process of its own that is the parent of all sandboxes.

See `launcher_process.py` for why. Sandboxes of one process share it; it is started with the first
one and ends with this process, however that ends.
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
from codewatt.evaluate.bubblewrap import interpreter

if TYPE_CHECKING:  # run as a script; named here for code_digests.py
    from codewatt.evaluate import launcher_process  # noqa: F401

_SCRIPT = Path(__file__).with_name("launcher_process.py")
_MESSAGE_BYTES = 1 << 16
_OPEN_FILES = 8192


class Started:
    """A process that the launcher has started; it is the launcher that reaps it."""

    def __init__(self, pid: int, handle: int) -> None:
        self.pid = pid
        self._handle = handle

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended within so many seconds."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(max(0.0, timeout_s) * 1000))

    def kill(self) -> None:
        """Kill it, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def close(self) -> None:
        """Give back the descriptor."""
        os.close(self._handle)


def _allow_open_files() -> None:
    """Have as many open files as 128 sandboxes take; the usual limit, 1024, is for old programs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Launcher:
    """A running launcher. `start` may be called by several threads."""

    def __init__(self) -> None:
        _allow_open_files()
        self.owner = os.getpid()
        self._turn = threading.Lock()
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [interpreter(), "-I", "-S", "-B", str(_SCRIPT)]
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

    def start(self, argv: Sequence[str], descriptors: Sequence[int]) -> Started:
        """Start a program without environment, in "/", in a session of its own.

        Args:
            argv: the program (an absolute path) and its arguments.
            descriptors: what its descriptors 2, 3, 4, ... are.

        Raises:
            CodewattError: the program cannot be executed, or the launcher has been killed.
        """
        message = json.dumps({"argv": list(argv)}).encode()
        handles: list[int] = []
        with self._turn:
            try:
                socket.send_fds(self._link, [message], list(descriptors))
                answer, handles, _, _ = socket.recv_fds(self._link, _MESSAGE_BYTES, 1)
            except OSError as error:
                raise CodewattError(f"sandbox: it cannot be started: {error}") from None
        if not answer:
            raise CodewattError("sandbox: it cannot be started: the launcher was killed")
        told = json.loads(answer)
        if not handles:
            raise CodewattError(f"sandbox: it did not start: {argv[0]}: {told['error']}")
        os.set_inheritable(handles[0], False)
        return Started(told["pid"], handles[0])

    def alive(self) -> bool:
        """Whether it can start anything."""
        return self.owner == os.getpid() and self._process.poll() is None

    def close(self) -> None:
        """End it, with everything that it has started."""
        self._link.close()
        if self.owner == os.getpid():
            self._process.wait()


_shared: Launcher | None = None
_sharing = threading.Lock()


def launcher() -> Launcher:
    """This process's launcher, started if there is none."""
    global _shared
    with _sharing:
        if _shared is None or not _shared.alive():
            if _shared is not None:
                _shared.close()
            _shared = Launcher()
            atexit.register(_shared.close)
        return _shared
