"""Runs untrusted programs with their unit tests, in processes forked from a warm fork server.

`inside/unittest_server.py` is the server. It imports the libraries once; each program starts from
its memory within some 30 ms, in namespaces of its own. Where the kernel does not let the server
make namespaces, each program gets a sandbox with a server of its own, which costs the start of
Python and the program's imports each time.
"""

import contextlib
import json
import os
import secrets
import select
import signal
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from codewatt.errors import CodewattError
from codewatt.evaluate.sandbox.bubblewrap import (
    is_machine_root,
    process_limit_is_per_namespace,
    sandbox_uid,
)
from codewatt.evaluate.sandbox.launcher import LaunchedProcess, shared_launcher
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.seccomp import seccomp_filter
from codewatt.evaluate.sandbox.unittest_view import (
    FOLDER,
    HOME,
    Interpreter,
    fork_server_arguments,
    own_files,
    paths_below_tmp,
)
from codewatt.evaluate.sandbox.usage_watch import UsageWatch
from codewatt.units import BYTES_PER_MIB, MS_PER_S

if TYPE_CHECKING:  # read as files, not imported; named here because code_digests.py follows imports
    from codewatt.evaluate.sandbox.inside import (  # noqa: F401
        bigcodebench_guard,
        unittest_program,
        unittest_server,
    )

_RUNNER_FILES = ("unittest_server", "unittest_program", "bigcodebench_guard")
_FIRST_DESCRIPTOR = 2  # standard error; the others follow
_READ_BYTES = 1 << 16
#: Where all programs have one user ID: what one of them may start before the judge ends it, so that
#: the others can start processes all the same.
_SPARE_PROCESSES = 4096
_STACK_BYTES = 10 * BYTES_PER_MIB  # as upstream


class ForkedProgram:
    """One program with its tests. A context manager: leaving it kills all its processes."""

    def __init__(
        self, first: int, report: int, nonce: str, limits: Limits, jobs: int, server: "ForkServer"
    ) -> None:
        self.nonce = nonce
        self._first, self._report, self._limits = first, report, limits
        self._server = server
        pid = _process_id(first)
        self.usage = UsageWatch(lambda: pid, limits, jobs)

    def __enter__(self) -> "ForkedProgram":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self._first, signal.SIGKILL)
        # The first process of a PID namespace ends after all other processes in it.
        _wait(self._first, self._limits.start_s)
        self.usage.close()
        os.close(self._first)
        os.close(self._report)
        if not self._server.isolates:
            self._server.close()

    def read(self, timeout_s: float) -> bytes | None:
        """What the program's process reported: b"" at its end, None after the timeout (s)."""
        return os.read(self._report, _READ_BYTES) if _wait(self._report, timeout_s) else None

    def read_byte(self, timeout_s: float) -> bytes | None:
        """The next byte, as `read` does."""
        return os.read(self._report, 1) if _wait(self._report, timeout_s) else None


class ForkServer:
    """A running fork server. Several threads may call `fork`. A context manager.

    Args:
        interpreter: the Python environment of the programs.
        preload: modules that are imported once, in this order; missing ones are left out.
        limits: resource limits of each program.
        jobs: number of programs that may run at the same time.
        isolates: whether the server gives each program namespaces of its own; otherwise it runs
            one program and ends.

    Raises:
        CodewattError: the server does not start.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        preload: Sequence[str],
        limits: Limits,
        jobs: int,
        isolates: bool = True,
    ) -> None:
        self.isolates = isolates
        self._interpreter, self._preload = interpreter, list(preload)
        self._limits, self._jobs = limits, jobs
        self._lock = threading.Lock()
        self._process: LaunchedProcess | None = None
        self._start()

    def __enter__(self) -> "ForkServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def fork(self, code: str, test: str, slot: int, cpu_s: int) -> ForkedProgram:
        """Start a program with its tests.

        Args:
            code: source code of the program.
            test: source code of its tests.
            slot: number of the judge's worker; two running programs never have the same slot.
            cpu_s: CPU time after which the kernel ends a process (s).

        Raises:
            CodewattError: the server was killed and does not start again, or cannot fork.
        """
        nonce = secrets.token_hex(16)
        order = {"nonce": nonce, "uid": sandbox_uid(slot), "cpu_s": cpu_s}
        request = _memory_file(json.dumps({"code": code, "test": test}).encode())
        report, inside = os.pipe()
        try:
            with self._lock:
                try:
                    reply, handles = self._ask(order, [request, inside])
                except OSError:
                    if not self.isolates:
                        raise
                    self.close()  # killed, perhaps for lack of memory on the machine
                    self._start()
                    reply, handles = self._ask(order, [request, inside])
            if not handles:
                raise CodewattError(f"sandbox: a program did not start: {reply['error']}")
            os.set_inheritable(handles[0], False)
            return ForkedProgram(handles[0], report, nonce, self._limits, self._jobs, self)
        except OSError as error:
            os.close(report)
            raise CodewattError(f"sandbox: a program did not start: {error}") from None
        except BaseException:
            os.close(report)
            raise
        finally:
            os.close(request)
            os.close(inside)

    def close(self) -> None:
        """End the server and everything that it started."""
        if self._process is not None:
            self._link.close()
            self._process.kill()
            self._process.wait(self._limits.start_s)
            self._process.close()
            os.close(self._errors)
            self._process = None

    def _ask(self, order: dict[str, Any], files: list[int]) -> tuple[dict[str, Any], list[int]]:
        socket.send_fds(self._link, [json.dumps(order).encode()], files)
        return self._answer()

    def _answer(self) -> tuple[dict[str, Any], list[int]]:
        if not _wait(self._link.fileno(), self._limits.start_s):
            raise OSError("the fork server does not answer")
        answer, handles, _, _ = socket.recv_fds(self._link, _READ_BYTES, 1)
        if not answer:
            raise OSError("the fork server has ended")
        return json.loads(answer), list(handles)

    def _start(self) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors, errors = os.pipe()
        files = {f"/runner/{name}.py": _source(name) for name in _RUNNER_FILES} | own_files()
        config = json.dumps(self._config()).encode()
        inside = [errors, os.dup(theirs.fileno()), _memory_file(config)]
        theirs.close()
        command = list(fork_server_arguments(self._interpreter, self.isolates))
        for path, content in files.items():
            command += ["--perms", "0444", "--ro-bind-data", str(_FIRST_DESCRIPTOR + len(inside))]
            command += [path]
            inside.append(_memory_file(content))
        command += ["--remount-ro", "/", "--", str(self._interpreter.executable), "-s", "-B"]
        command += ["/runner/unittest_server.py", str(_FIRST_DESCRIPTOR + 1)]
        command += [str(_FIRST_DESCRIPTOR + 2)]
        try:
            self._process = shared_launcher().start(command, inside)
        finally:
            for descriptor in inside:
                os.close(descriptor)
        try:
            self._answer()
        except OSError as error:
            reason = self._last_error_line() or str(error)
            self.close()
            raise CodewattError(f"sandbox: did not start: {reason}") from None

    def _config(self) -> dict[str, Any]:
        """What the server must know, as `unittest_server` reads it."""
        limits = self._limits
        rlimits = {
            "RLIMIT_AS": limits.memory_bytes,
            "RLIMIT_DATA": limits.memory_bytes,
            "RLIMIT_STACK": _STACK_BYTES,
            "RLIMIT_NOFILE": limits.files,
            "RLIMIT_FSIZE": limits.tmpfs_bytes,
            "RLIMIT_CORE": 0,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_MEMLOCK": 0,
        }
        if is_machine_root():
            rlimits["RLIMIT_NPROC"] = limits.processes
        elif process_limit_is_per_namespace():  # all programs have one user ID
            rlimits["RLIMIT_NPROC"] = limits.processes * self._jobs + _SPARE_PROCESSES
        return {
            "isolates": self.isolates,
            "preload": self._preload,
            "home": HOME,
            "kept_paths": paths_below_tmp(self._interpreter),
            "folder": FOLDER,
            "tmpfs_bytes": limits.tmpfs_bytes,
            "rlimits": rlimits,
            "seccomp": seccomp_filter(unit_tests=True).hex(),
        }

    def _last_error_line(self) -> str:
        """The last line that bubblewrap or Python printed; "" if there is none."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(self._limits.start_s)
        os.set_blocking(self._errors, False)
        with contextlib.suppress(OSError):
            lines = os.read(self._errors, _READ_BYTES).decode(errors="replace").strip()
            return lines.splitlines()[-1] if lines else ""
        return ""


def _source(name: str) -> bytes:
    return (Path(__file__).parent / "inside" / f"{name}.py").read_bytes()


def _memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("codewatt")
    with open(descriptor, "wb", closefd=False) as stream:
        stream.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _wait(descriptor: int, timeout_s: float) -> bool:
    """Wait until a descriptor can be read; whether it can within the timeout (s)."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0.0, timeout_s) * MS_PER_S))


def _process_id(handle: int) -> int:
    """The process ID of a process descriptor, in this process's PID namespace."""
    for line in Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Pid":
            return int(value)
    raise OSError("the process has ended")
