"""A sandbox for one untrusted program: no network, no files except Python's, hard limits.

Untrusted programs never run outside a sandbox. A sandbox is always killed as a whole.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from codewatt.errors import CodewattError
from codewatt.evaluate.sandbox.bubblewrap import (
    PYTHON_FLAGS,
    bubblewrap_arguments,
    compiled_runner_file,
    is_machine_root,
    package_paths,
    process_limit_is_per_namespace,
    python_interpreter,
    sandbox_uid,
)
from codewatt.evaluate.sandbox.launcher import LaunchedProcess, shared_launcher
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.seccomp import seccomp_filter
from codewatt.evaluate.sandbox.usage_watch import UsageWatch
from codewatt.units import BYTES_PER_MIB, MS_PER_S

if TYPE_CHECKING:  # read as files, not imported; named here because code_digests.py follows imports
    from codewatt.benchmarks import argument_types  # noqa: F401
    from codewatt.evaluate.sandbox.inside import (  # noqa: F401
        evalplus_guard,
        large_outputs,
        output_encoder,
        sandboxed_runner,
    )

RUNNER_FILES = (
    *("evaluate/sandbox/inside/sandboxed_runner", "evaluate/sandbox/inside/evalplus_guard"),
    *("evaluate/sandbox/inside/output_encoder", "evaluate/sandbox/inside/large_outputs"),
    "benchmarks/argument_types",
)
"""Modules of codewatt that are copied into the sandbox as files."""

_PACKAGE = Path(__file__).parents[2]

PIPE_BYTES = BYTES_PER_MIB
_FIRST_DESCRIPTOR = 2  # standard error; the others follow in the order of `Sandbox._inside`


@dataclass(frozen=True)
class SuiteInputs:
    """Inputs of one test suite, and how its outputs are sent.

    Attributes:
        inputs: one argument list for each call.
        call_limits_s: time limit of each call (s); None for no limits.
        digest_over: encoded outputs longer than this (bytes) are sent as digests; None for never.
        digest_too_large: whether outputs with too many items for an encoding are sent as digests.
    """

    inputs: list[list[Any]]
    call_limits_s: list[float] | None = None
    digest_over: int | None = None
    digest_too_large: bool = False


@dataclass(frozen=True)
class SandboxRequest:
    """What a sandbox runs: a program with the inputs of one suite after another.

    Attributes:
        code: source code of the program.
        entry_point: name of the function that is called.
        suites: inputs of each suite.
        timed: whether the duration of each call is sent with its output.
        preload: modules that are imported once before the first suite.
        argument_types: type of each argument (`codewatt.benchmarks.argument_types`).
        iterate_outputs: whether an output without an encoding, such as a generator, is sent as the
            set of its items.
    """

    code: str
    entry_point: str
    suites: list[SuiteInputs]
    timed: bool = False
    preload: tuple[str, ...] = ()
    argument_types: tuple[str, ...] = ()
    iterate_outputs: bool = False


@dataclass
class Sandbox:
    """A running sandbox. Use it as a context manager: leaving it kills all processes inside.

    Args:
        request: what to run.
        limits: resource limits.
        slot: number of the judge's worker; two running sandboxes never have the same slot.
        jobs: number of sandboxes that may run at the same time.
    """

    request: SandboxRequest
    limits: Limits
    slot: int = 0
    jobs: int = 1
    _results: list[int] = field(default_factory=list, init=False)
    _open: set[int] = field(default_factory=set, init=False)
    _inside: list[int] = field(default_factory=list, init=False)
    _process: LaunchedProcess | None = field(default=None, init=False)
    _root: tuple[int, int] | None = field(default=None, init=False)
    _usage: UsageWatch | None = field(default=None, init=False)

    def __enter__(self) -> "Sandbox":
        try:
            self._start()
        except OSError as error:
            self._close()
            raise CodewattError(f"sandbox: cannot be started: {error}") from None
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
        """Read what the suite's process wrote: b"" at its end, None after the timeout (s)."""
        descriptor = self._results[suite]
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(max(0.0, timeout_s) * MS_PER_S):
            return None
        return os.read(descriptor, PIPE_BYTES)

    def end_suite(self, suite: int) -> None:
        """Kill the processes of a suite, so that the next suite starts."""
        with contextlib.suppress(OSError):
            os.write(self._control, bytes([suite]))

    @property
    def usage(self) -> UsageWatch:
        """Reads the usage of all processes."""
        if self._usage is None:
            self._usage = UsageWatch(self._first_process, self.limits, self.jobs)
        return self._usage

    def check_limits(self) -> str | None:
        """Read the usage if it is due, and return the total that was exceeded, if any."""
        found = self.usage.read()
        return None if found is None else self.usage.exceeded_limit(found)

    def startup_error(self) -> str:
        """Why the sandbox did not start: the last line that bubblewrap or Python printed."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(self.limits.start_s)
        os.set_blocking(self._errors, False)
        with contextlib.suppress(BlockingIOError):
            lines = os.read(self._errors, 4000).decode(errors="replace").strip().splitlines()
            return lines[-1] if lines else "no message"
        return "no message"

    def _start(self) -> None:
        self._errors, errors = self._pipe()
        self._pass_descriptor(errors)
        request = self._pass_descriptor(
            self._memory_file(json.dumps(self._runner_request()).encode())
        )
        filters = self._pass_descriptor(self._memory_file(seccomp_filter()))
        self._info, info = self._pipe()
        command = [*bubblewrap_arguments(self.limits.tmpfs_bytes), "--seccomp", str(filters)]
        for name in RUNNER_FILES:
            bytecode = compiled_runner_file(str(_PACKAGE / f"{name}.py"))
            descriptor = self._pass_descriptor(self._memory_file(bytecode))
            command += ["--perms", "0444", "--ro-bind-data", str(descriptor)]
            command += [f"/runner/{Path(name).name}.pyc"]
        command += [
            "--remount-ro",
            "/",
            "--info-fd",
            str(self._pass_descriptor(info)),
            "--",
            python_interpreter(),
        ]
        command += [*PYTHON_FLAGS, "/runner/sandboxed_runner.pyc", str(request)]
        self._process = shared_launcher().start(command, self._inside)
        for descriptor in self._inside:
            self._close_descriptor(descriptor)

    def _pass_descriptor(self, descriptor: int) -> int:
        """Pass a descriptor to the sandbox; returns its number there."""
        self._inside.append(descriptor)
        return _FIRST_DESCRIPTOR + len(self._inside) - 1

    def _runner_request(self) -> dict[str, Any]:
        """The request as `sandboxed_runner` reads it; opens the pipes that it names."""
        control, self._control = self._pipe()
        results = []
        for _ in self.request.suites:
            outside, inside = self._pipe()
            with contextlib.suppress(OSError):  # the kernel limits the larger pipes of a user
                fcntl.fcntl(inside, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            self._results.append(outside)
            results.append(self._pass_descriptor(inside))
        limits = self.limits
        rlimits = {
            "RLIMIT_NOFILE": limits.files,
            "RLIMIT_FSIZE": limits.tmpfs_bytes,
            "RLIMIT_CORE": 0,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_MEMLOCK": 0,
        }
        suites = self.request.suites
        if (
            cpu_s := limits.kernel_cpu_limit_s([suite.call_limits_s for suite in suites])
        ) is not None:
            rlimits["RLIMIT_CPU"] = cpu_s
        if is_machine_root() or process_limit_is_per_namespace():
            rlimits["RLIMIT_NPROC"] = limits.processes
        return {
            "code": self.request.code,
            "entry_point": self.request.entry_point,
            "timed": self.request.timed,
            "preload": self.request.preload,
            "argument_types": self.request.argument_types,
            "iterate_outputs": self.request.iterate_outputs,
            "paths": package_paths(),
            "memory_bytes": limits.memory_bytes,
            "rlimits": rlimits,
            "uid": sandbox_uid(self.slot),
            "control_fd": self._pass_descriptor(control),
            "suites": [
                {
                    "inputs": suite.inputs,
                    "limits_s": suite.call_limits_s,
                    "digest_over": suite.digest_over,
                    "digest_too_large": suite.digest_too_large,
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

    def _close_descriptor(self, descriptor: int) -> None:
        self._open.discard(descriptor)
        os.close(descriptor)

    def _first_process(self) -> int | None:
        init = self._namespace_init()
        return None if init is None else init[0]

    def _namespace_init(self, patience_s: float = 0.0) -> tuple[int, int] | None:
        """(process ID, process descriptor) of the first process inside; all others end with it."""
        if self._root is None:
            poll = select.poll()
            poll.register(self._info, select.POLLIN)
            with contextlib.suppress(OSError, ValueError, KeyError):
                if poll.poll(patience_s * MS_PER_S) and (text := os.read(self._info, 4096)):
                    pid = json.loads(text)["child-pid"]
                    self._root = pid, os.pidfd_open(pid)
        return self._root

    def _close(self) -> None:
        """Kill all processes, wait until they have ended, close all descriptors."""
        if self._process is not None:
            # Wait for it even if the sandbox has just been started: bubblewrap reports it at once.
            init = self._namespace_init(self.limits.start_s)
            with contextlib.suppress(OSError):
                if init is not None:
                    # The first process of a PID namespace ends after all other processes in it.
                    signal.pidfd_send_signal(init[1], signal.SIGKILL)
            # bubblewrap ends after it has reaped that process.
            self._process.wait(self.limits.start_s if init is not None else 0)
            self._process.kill()
            self._process.wait(self.limits.start_s)
            self._process.close()
            if init is not None:
                os.close(init[1])
        if self._usage is not None:
            self._usage.close()
        for descriptor in list(self._open):
            self._close_descriptor(descriptor)
