"""What BigCodeBench changes in the process of a program, so that verdicts equal upstream's.

Upstream (bigcodebench 0.2.5, `bigcodebench/eval/utils.py`) wraps functions that start or signal
processes: signals to other processes and commands that contain "kill" are ignored, and a message
is printed. Some tests depend on it. Printed text is discarded, reading stdin raises, and
`builtins.exit` and `builtins.quit` are None.

This makes verdicts equal to upstream's. It is not a security barrier; the sandbox is. Runs inside
the sandbox, with the benchmark's Python (3.10 or later), so it imports only the standard library.
"""

from __future__ import annotations

import builtins
import faulthandler
import io
import os
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_SIGNALLED = ("kill", "killall")


class WriteOnlyStringIO(io.StringIO):
    """A stream that keeps printed text to itself and raises when it is read."""

    def read(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise OSError

    def readline(self, *args: Any, **kwargs: Any) -> NoReturn:  # type: ignore[override]
        raise OSError

    def readlines(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise OSError

    def readable(self, *args: Any, **kwargs: Any) -> bool:
        return False


def install_guard() -> None:
    """Make this process one in which upstream runs a program; cannot be undone."""
    faulthandler.disable()
    time.tzset()
    builtins.exit = builtins.quit = None  # type: ignore[assignment]
    children: set[int] = set()
    _wrap_signals(children)
    _wrap_commands()
    _wrap_popen(children)
    sys.stdout = sys.stderr = sys.stdin = WriteOnlyStringIO()


def _wrap_signals(children: set[int]) -> None:
    """os.kill and os.killpg reach this process and its children only.

    Upstream counts children of `subprocess` only. There `multiprocessing.Pool.terminate` cannot end
    its processes and hangs or not, depending on a race (BigCodeBench/205 and /363).
    """
    kill, killpg = os.kill, os.killpg
    own, own_group = os.getpid(), os.getpgid(0)

    def safe_kill(pid: int, sig: int) -> None:
        try:
            os.getpgid(pid)
        except ProcessLookupError:
            return
        if pid == own or pid in children or pid in _multiprocessing_children():
            kill(pid, sig)
        else:
            print(f"Prevented attempt to kill PID {pid} with signal {sig}")

    def safe_killpg(pgid: int, sig: int) -> None:
        if pgid == own_group or pgid in {os.getpgid(pid) for pid in children}:
            killpg(pgid, sig)
        else:
            print(f"Prevented attempt to kill PGID {pgid} with signal {sig}")

    os.kill, os.killpg = safe_kill, safe_killpg


def _multiprocessing_children() -> set[int]:
    """Process IDs of the processes that `multiprocessing` started in this process."""
    module = sys.modules.get("multiprocessing.process")
    processes = getattr(module, "_children", ())
    return {process.pid for process in list(processes)}


def _wrap_commands() -> None:
    """Commands that contain "kill" are not run, and exec functions do nothing."""
    system, popen = os.system, os.popen
    call, check_output, run = subprocess.call, subprocess.check_output, subprocess.run

    def signals(command: Any) -> bool:
        return any(word in command for word in _SIGNALLED)

    def safe_system(command: Any) -> int:
        print(f"Intercepted system command: {command}")
        return 0 if signals(command) else system(command)

    def safe_popen(command: Any) -> Any:
        print(f"Intercepted os.popen command: {command}")
        return popen("echo Intercepted" if signals(command) else command)

    def safe_call(command: Any, *args: Any, **kwargs: Any) -> int:
        print(f"Intercepted subprocess call: {command}")
        return 0 if signals(command) else call(command, *args, **kwargs)

    def safe_check_output(command: Any, *args: Any, **kwargs: Any) -> Any:
        print(f"Intercepted command: {command}")
        return b"" if "ps" in command else check_output(command, *args, **kwargs)

    def safe_run(*args: Any, **kwargs: Any) -> Any:
        print(f"Intercepted subprocess run command: {args}")
        if signals(args[0]):
            return subprocess.CompletedProcess(args, 0, b"", b"")
        return run(*args, **_with_pipes(kwargs))

    def safe_exec(*args: Any, **kwargs: Any) -> None:
        print(f"Intercepted exec command: {args}")

    os.system, os.popen = safe_system, safe_popen  # type: ignore[assignment]
    os.execv = os.execvp = os.execvpe = safe_exec  # type: ignore[assignment]
    subprocess.call, subprocess.check_output = safe_call, safe_check_output  # type: ignore
    subprocess.run = safe_run  # type: ignore[assignment]


def _wrap_popen(children: set[int]) -> None:
    """Children of `subprocess` print into pipes, lead a process group, and end by SIGTERM."""

    class SafePopen(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            print(f"Intercepted Popen command: {args}")
            # A group, not a session as upstream: the sandbox permits no new sessions.
            kwargs["preexec_fn"] = os.setpgrp
            super().__init__(*args, **kwargs)
            children.add(self.pid)

        def communicate(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().communicate(*args, **kwargs)
            except subprocess.TimeoutExpired:
                print("Timeout expired, intercepted and returning None")
                return None, None

        def kill(self) -> None:
            print(f"Intercepted kill call for PID {self.pid}")
            os.kill(self.pid, signal.SIGTERM)

        def terminate(self) -> None:
            print(f"Intercepted terminate call for PID {self.pid}")
            os.kill(self.pid, signal.SIGTERM)

    def popen(*args: Any, **kwargs: Any) -> Any:
        return SafePopen(*args, **_with_pipes(kwargs))

    subprocess.Popen = popen  # type: ignore[assignment, misc]


def _with_pipes(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The options of a child whose output goes into pipes unless the caller chose otherwise."""
    if kwargs.get("capture_output"):
        return {key: value for key, value in kwargs.items() if key not in ("stdout", "stderr")}
    return {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kwargs}
