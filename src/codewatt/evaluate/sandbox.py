"""One sandbox a program: bubblewrap with no network, no files but Python's, and hard limits.

It is killed as a whole, and nothing is ever run without one.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from codewatt.evaluate.bubblewrap import (
    PYTHON_FLAGS,
    arguments_of,
    compiled,
    counts_processes_by_namespace,
    drops_root,
    interpreter,
    python_paths,
    uid_of,
)
from codewatt.evaluate.limits import Limits
from codewatt.evaluate.seccomp import seccomp_filter

RUNNER_FILES = ("runner", "guard", "outputs")
"""What runs inside a sandbox."""

_WATCH_S = 0.05
_PIPE_BYTES = 1 << 20


@dataclass(frozen=True)
class Suite:
    """The inputs of one suite, and how its outputs are sent.

    Attributes:
        inputs: one argument list a call.
        call_times_s: the time limit of each call; None for no limits.
        digest_over: encoded outputs longer than this (bytes) come as digests; None for none.
    """

    inputs: list[list[Any]]
    call_times_s: list[float] | None = None
    digest_over: int | None = None


@dataclass(frozen=True)
class Request:
    """What a sandbox is to run: a program, against one suite after another."""

    code: str
    entry_point: str
    suites: list[Suite]
    timed: bool = False
    preload: tuple[str, ...] = ()


@dataclass
class Sandbox:
    """A running sandbox. Use as a context manager: leaving it kills all that is in it.

    Args:
        request: what to run.
        limits: what it may use.
        slot: which of the judge's workers this is; two of one judge never share one.
        jobs: how many sandboxes may run at once.
    """

    request: Request
    limits: Limits
    slot: int = 0
    jobs: int = 1
    _results: list[int] = field(default_factory=list, init=False)
    _open: set[int] = field(default_factory=set, init=False)
    _root: tuple[int, int] | None = field(default=None, init=False)
    _watched_s: float = field(default=0.0, init=False)

    def __enter__(self) -> "Sandbox":
        try:
            self._start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def read(self, suite: int, timeout_s: float) -> bytes | None:
        """What the suite's process has written: b"" at its end, None if nothing came in time."""
        descriptor = self._results[suite]
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(max(0.0, timeout_s) * 1000):
            return None
        return os.read(descriptor, _PIPE_BYTES)

    def end_suite(self, suite: int) -> None:
        """Have the processes of a suite killed, so that the next one starts."""
        with contextlib.suppress(OSError):
            os.write(self._control, bytes([suite]))

    def overdrawn(self) -> str | None:
        """Which total the processes have passed together, looked up at most every 50 ms."""
        now = time.monotonic()
        if now - self._watched_s < _WATCH_S:
            return None
        self._watched_s = now
        init = self._init()
        if init is None:
            return None
        processes = _descendants(init[0], self.limits.processes)
        if len(processes) > self.limits.processes + 4:
            return f"more than {self.limits.processes} processes"
        total = self.limits.total_memory(self.jobs)
        if sum(map(_resident_bytes, processes)) > total:
            return f"more than {total >> 20} MiB of memory"
        return None

    def failure(self) -> str:
        """Why it did not start, in one line: what bubblewrap or Python said."""
        assert self._process.stderr is not None
        self._process.kill()
        said = self._process.stderr.read(4000).decode(errors="replace").strip().splitlines()
        return said[-1] if said else "no message"

    def _start(self) -> None:
        request = self._memory_file(json.dumps(self._wire()).encode())
        filters = self._memory_file(seccomp_filter())
        self._info, info = self._pipe()
        command = [*arguments_of(self.limits.tmpfs_bytes), "--seccomp", str(filters)]
        files = {name: self._memory_file(compiled(name)) for name in RUNNER_FILES}
        for name, descriptor in files.items():
            command += ["--perms", "0444", "--ro-bind-data", str(descriptor)]
            command += [f"/runner/{name}.pyc"]
        command += ["--remount-ro", "/", "--info-fd", str(info), "--", interpreter()]
        command += [*PYTHON_FLAGS, "/runner/runner.pyc", str(request)]
        inside = [request, filters, info, *files.values(), self._control_inside]
        inside += self._results_inside
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=inside,
            env={},
            cwd="/",
            start_new_session=True,
        )
        for descriptor in inside:
            self._shut(descriptor)

    def _wire(self) -> dict[str, Any]:
        """The request as the runner reads it, with the pipes that it names opened."""
        self._control_inside, self._control = self._pipe()
        self._results_inside = []
        for _ in self.request.suites:
            outside, inside = self._pipe()
            with contextlib.suppress(OSError):  # a user's share of larger pipes can be used up
                fcntl.fcntl(inside, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            self._results.append(outside)
            self._results_inside.append(inside)
        limits = self.limits
        rlimits = {
            "RLIMIT_NOFILE": limits.files,
            "RLIMIT_FSIZE": limits.tmpfs_bytes,
            "RLIMIT_CORE": 0,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_MEMLOCK": 0,
        }
        if drops_root() or counts_processes_by_namespace():
            rlimits["RLIMIT_NPROC"] = limits.processes
        return {
            "code": self.request.code,
            "entry_point": self.request.entry_point,
            "timed": self.request.timed,
            "preload": self.request.preload,
            "paths": python_paths(),
            "memory_bytes": limits.memory_bytes,
            "rlimits": rlimits,
            "uid": uid_of(self.slot),
            "control_fd": self._control_inside,
            "suites": [
                {
                    "inputs": suite.inputs,
                    "limits_s": suite.call_times_s,
                    "digest_over": suite.digest_over,
                    "fd": descriptor,
                }
                for suite, descriptor in zip(self.request.suites, self._results_inside, strict=True)
            ],
        }

    def _pipe(self) -> tuple[int, int]:
        pair = os.pipe()
        self._open.update(pair)
        return pair

    def _memory_file(self, content: bytes) -> int:
        descriptor = os.memfd_create("codewatt")
        self._open.add(descriptor)
        with open(descriptor, "wb", closefd=False) as stream:
            stream.write(content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def _shut(self, descriptor: int) -> None:
        self._open.discard(descriptor)
        os.close(descriptor)

    def _init(self, patience_s: float = 0.0) -> tuple[int, int] | None:
        """(PID, PID descriptor) of the first process inside; all others die with it."""
        if self._root is None:
            poll = select.poll()
            poll.register(self._info, select.POLLIN)
            with contextlib.suppress(OSError, ValueError, KeyError):
                if poll.poll(patience_s * 1000) and (text := os.read(self._info, 4096)):
                    pid = json.loads(text)["child-pid"]
                    self._root = pid, os.pidfd_open(pid)
        return self._root

    def _close(self) -> None:
        """Kill everything, wait until it is gone, close all descriptors."""
        process = getattr(self, "_process", None)
        if process is not None:
            # Even if it has hardly begun: bubblewrap says at once who is inside.
            init = self._init(self.limits.start_s)
            with contextlib.suppress(OSError):
                if init is not None:
                    # The end of a PID namespace's init waits for all processes in it.
                    signal.pidfd_send_signal(init[1], signal.SIGKILL)
            # bubblewrap itself reaps it and ends; killed outright, it would leave a zombie to
            # the machine's first process, which in a container may never reap it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.limits.start_s if init is not None else 0)
            process.kill()
            process.wait()
            process.stderr.close()
            if init is not None:
                os.close(init[1])
        for descriptor in list(self._open):
            self._shut(descriptor)


def _descendants(pid: int, most: int) -> list[int]:
    """A process and all below it; cut short once there are clearly more than `most`."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children") as stream:
                    found.extend(map(int, stream.read().split()))
        if len(found) > most + 8:
            break
    return found


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0  # it has just ended
