"""One sandbox a program: bubblewrap with no network, no files but Python's, and hard limits.

It is killed as a whole, and nothing is ever run without one.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from codewatt.errors import CodewattError
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
from codewatt.evaluate.launcher import Started, launcher
from codewatt.evaluate.resource_limits import Limits
from codewatt.evaluate.resource_usage import Meter, Usage
from codewatt.evaluate.seccomp import seccomp_filter

if TYPE_CHECKING:  # it runs inside; verdicts depend on it as on what is imported (code_digests.py)
    from codewatt.evaluate import evalplus_guard, sandboxed_runner  # noqa: F401

RUNNER_FILES = ("sandboxed_runner", "evalplus_guard", "output_encoder")
"""What runs inside a sandbox."""

PIPE_BYTES = 1 << 20
_UNKNOWN_S = 0.05
_FIRST_DESCRIPTOR = 2  # standard error, then what `Sandbox._inside` counts


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
    _inside: list[int] = field(default_factory=list, init=False)
    _process: Started | None = field(default=None, init=False)
    _root: tuple[int, int] | None = field(default=None, init=False)
    _meter: Meter | None = field(default=None, init=False)
    _next_look_s: float = field(default=0.0, init=False)

    def __enter__(self) -> "Sandbox":
        try:
            self._start()
        except OSError as error:
            self._close()
            raise CodewattError(f"sandbox: it cannot be started: {error}") from None
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
        return os.read(descriptor, PIPE_BYTES)

    def end_suite(self, suite: int) -> None:
        """Have the processes of a suite killed, so that the next one starts."""
        with contextlib.suppress(OSError):
            os.write(self._control, bytes([suite]))

    def look(self) -> Usage | None:
        """What its processes use; None if they were looked at just now, or have not begun."""
        now = time.monotonic()
        if now < self._next_look_s:
            return None
        if (init := self._init()) is None:
            self._next_look_s = now + _UNKNOWN_S
            return None
        if self._meter is None:
            self._meter = Meter(
                init[0],
                self.limits.tmpfs_bytes,
                self.limits.total_memory(self.jobs),
                self.limits.processes,
            )
        usage = self._meter.read()
        end = time.monotonic()
        # Programs cannot have the judge do nothing but look at them.
        self._next_look_s = end + max(self._meter.look_in_s(), end - now)
        return usage

    def look_in_s(self) -> float:
        """Seconds until the next look is due, so that totals are not passed by much."""
        return max(0.0, self._next_look_s - time.monotonic())

    def exceeded(self, usage: Usage) -> str | None:
        """Which total the processes have passed together."""
        if usage.processes > self.limits.processes + 4:
            return f"more than {self.limits.processes} processes"
        total = self.limits.total_memory(self.jobs)
        if usage.memory_bytes > total:
            return f"more than {total >> 20} MiB of memory"
        return None

    def overdrawn(self) -> str | None:
        """Which total the processes have passed, if it is time to look."""
        usage = self.look()
        return None if usage is None else self.exceeded(usage)

    def failure(self) -> str:
        """Why it did not start, in one line: what bubblewrap or Python said."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(self.limits.start_s)
        os.set_blocking(self._errors, False)
        with contextlib.suppress(BlockingIOError):
            said = os.read(self._errors, 4000).decode(errors="replace").strip().splitlines()
            return said[-1] if said else "no message"
        return "no message"

    def _start(self) -> None:
        self._errors, errors = self._pipe()
        self._give(errors)
        request = self._give(self._memory_file(json.dumps(self._wire()).encode()))
        filters = self._give(self._memory_file(seccomp_filter()))
        self._info, info = self._pipe()
        command = [*arguments_of(self.limits.tmpfs_bytes), "--seccomp", str(filters)]
        for name in RUNNER_FILES:
            descriptor = self._give(self._memory_file(compiled(name)))
            command += ["--perms", "0444", "--ro-bind-data", str(descriptor)]
            command += [f"/runner/{name}.pyc"]
        command += ["--remount-ro", "/", "--info-fd", str(self._give(info)), "--", interpreter()]
        command += [*PYTHON_FLAGS, "/runner/sandboxed_runner.pyc", str(request)]
        self._process = launcher().start(command, self._inside)
        for descriptor in self._inside:
            self._shut(descriptor)

    def _give(self, descriptor: int) -> int:
        """Have the sandbox get a descriptor; its number there."""
        self._inside.append(descriptor)
        return _FIRST_DESCRIPTOR + len(self._inside) - 1

    def _wire(self) -> dict[str, Any]:
        """The request as the runner reads it, with the pipes that it names opened."""
        control, self._control = self._pipe()
        results = []
        for _ in self.request.suites:
            outside, inside = self._pipe()
            with contextlib.suppress(OSError):  # a user's share of larger pipes can be used up
                fcntl.fcntl(inside, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            self._results.append(outside)
            results.append(self._give(inside))
        limits = self.limits
        rlimits = {
            "RLIMIT_NOFILE": limits.files,
            "RLIMIT_FSIZE": limits.tmpfs_bytes,
            "RLIMIT_CORE": 0,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_MEMLOCK": 0,
        }
        suites = self.request.suites
        if (cpu_s := limits.cpu_backstop_s([suite.call_times_s for suite in suites])) is not None:
            rlimits["RLIMIT_CPU"] = cpu_s
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
            "control_fd": self._give(control),
            "suites": [
                {
                    "inputs": suite.inputs,
                    "limits_s": suite.call_times_s,
                    "digest_over": suite.digest_over,
                    "fd": descriptor,
                }
                for suite, descriptor in zip(suites, results, strict=True)
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
        if self._process is not None:
            # Even if it has hardly begun: bubblewrap says at once who is inside.
            init = self._init(self.limits.start_s)
            with contextlib.suppress(OSError):
                if init is not None:
                    # The end of a PID namespace's init waits for all processes in it.
                    signal.pidfd_send_signal(init[1], signal.SIGKILL)
            # bubblewrap ends when it has reaped that.
            self._process.wait(self.limits.start_s if init is not None else 0)
            self._process.kill()
            self._process.wait(self.limits.start_s)
            self._process.close()
            if init is not None:
                os.close(init[1])
        if self._meter is not None:
            self._meter.close()
        for descriptor in list(self._open):
            self._shut(descriptor)
