"""The trusted program inside the sandbox: runs one untrusted program and reports its outputs.

Run as a script by a bare interpreter (`python -P -s -S -B runner.py FD`); it imports nothing but
the standard library, `guard` and `outputs`, which lie beside it. The judge outside sends a request
(a JSON file on descriptor FD) and reads one line a test from a pipe per suite. What the program
should have answered never comes in here, so a program that takes this process over can forge
nothing but its own answers.

A process of its own for every suite, forked before the untrusted code is seen, as EvalPlus has.
On the pipe, each line one of:
    ^               the suite starts; the program has not run yet
    JSON            what a call returned, in the tagged encoding of `outputs`
    #SHA256 LENGTH  the same, if it is longer than the suite's "digest_over" (bytes)
    SECONDS JSON    an output, with the call's duration (asked for by "timed")
    !NAME           a call raised; the suite ends
    ?NAME           the program itself raised while it was loaded; the suite ends
    .               every input was called
"""

from __future__ import annotations  # not inherited by programs: see dont_inherit

import contextlib
import faulthandler
import gc
import importlib
import io
import json
import os
import resource
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # a module less to load, for every program
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, NoReturn

# Beside this file in the sandbox, where it is no part of a package and programs do not see it.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
_guard: Any = importlib.import_module("guard")
_outputs: Any = importlib.import_module("outputs")
del sys.path[0], sys.modules["guard"], sys.modules["outputs"]

# The loop below uses these, and not what the program may have put in their place.
_encode, _name = _outputs.encode, _outputs.name_of
_write, _exit, _clock = os.write, os._exit, time.perf_counter
_setitimer, _signal = signal.setitimer, signal.signal
_sha256: Any = None
_REAL, _ALRM = signal.ITIMER_REAL, signal.SIGALRM

# EvalPlus 0.3.1 calls the program's function 28 frames deep, with 3 more entries through C that the
# interpreter's recursion limit counts too. A recursion that just fits there, or just does not, must
# begin as deep here.
FRAMES = 31


class TimeoutException(Exception):
    """A call ran out of its time."""


# ---------------------------------------------------------------- EvalPlus's surroundings


class WriteOnlyStringIO(io.StringIO):
    """What a program prints goes nowhere, and reading its input fails, as in EvalPlus."""

    def read(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise OSError

    def readline(self, *args: Any, **kwargs: Any) -> NoReturn:  # type: ignore[override]
        raise OSError

    def readlines(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise OSError

    def readable(self, *args: Any, **kwargs: Any) -> bool:
        return False


def reliability_guard(memory_bytes: int) -> None:
    """EvalPlus's limits and its list of functions that a program does not find (`guard`)."""
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_STACK):
        _limit(kind, memory_bytes)
    faulthandler.disable()
    os.environ["OMP_NUM_THREADS"] = "1"
    _guard.take_away()


def _limit(kind: int, value: int) -> None:
    """Set a resource limit, both soft and hard, never above the hard limit that is there."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _on_alarm(signum: int, frame: FrameType | None) -> NoReturn:
    raise TimeoutException("Timed out!")


def _line(text: str, digest_over: int | None) -> bytes:
    """An output as it is sent: in full, or as its digest."""
    line = text.encode("utf-8", "surrogatepass")
    if digest_over is not None and len(line) > digest_over:
        return b"#%s %d" % (_sha256(line).hexdigest().encode(), len(line))
    return line


def _send(descriptor: int, line: bytes) -> None:
    """Write a line whole; a program that closed the pipe has ended its own run."""
    line += b"\n"
    try:
        while line:
            line = line[_write(descriptor, line) :]
    except OSError:
        _exit(1)


def _swallow() -> None:
    sys.stdout = sys.stderr = sys.stdin = WriteOnlyStringIO()


def run_suite(request: dict[str, Any], suite: dict[str, Any]) -> None:
    """Load the program and call it with each input of the suite, to the first that raises."""
    descriptor, limits, timed = suite["fd"], suite["limits_s"], request["timed"]
    inputs, digest_over = suite["inputs"], suite["digest_over"]
    streams = sys.stdout, sys.stderr, sys.stdin
    _send(descriptor, b"^")
    reliability_guard(request["memory_bytes"])
    space: dict[str, Any] = {}
    try:
        _swallow()
        exec(compile(request["code"], "<string>", "exec", dont_inherit=True), space)
        function = space[request["entry_point"]]
    except BaseException as error:
        _send(descriptor, b"?" + _name(error).encode())
        return
    finally:
        sys.stdout, sys.stderr, sys.stdin = streams
    for index, arguments in enumerate(inputs):
        start = _clock()
        try:
            if limits is not None:
                _setitimer(_REAL, limits[index])
                _signal(_ALRM, _on_alarm)
            try:
                _swallow()
                try:
                    output = function(*arguments)
                finally:
                    sys.stdout, sys.stderr, sys.stdin = streams
            finally:
                _setitimer(_REAL, 0)
        except BaseException as error:
            _send(descriptor, b"!" + _name(error).encode())
            return
        taken = _clock() - start
        line = _line(_encode(output), digest_over)
        _send(descriptor, b"%.9f " % taken + line if timed else line)
    _send(descriptor, b".")


def _at_depth(frames: int, function: Callable[..., None], *arguments: Any) -> None:
    """Call a function so that it runs `frames` frames below this one."""
    if frames <= 1:
        return function(*arguments)
    return _at_depth(frames - 1, function, *arguments)


def _depth() -> int:
    frame: FrameType | None = sys._getframe()
    depth = 0
    while frame:
        frame, depth = frame.f_back, depth + 1
    return depth


# ---------------------------------------------------------------- the process that stays trusted


def _become_harmless(request: dict[str, Any]) -> None:
    """Give up root (where the sandbox has no user namespace) and set limits for all below."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # if memory runs out, the kernel takes this and not the judge
    if request["uid"] is not None:
        os.setgroups([])
        os.setresgid(request["uid"], request["uid"], request["uid"])
        os.setresuid(request["uid"], request["uid"], request["uid"])
    for name, value in request["rlimits"].items():
        _limit(getattr(resource, name), value)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)


def _wait(child: int, control: int, index: int) -> None:
    """Until the suite's process ends, or the judge has seen enough of it."""
    watched = os.pidfd_open(child)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(control, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if watched in ready:
            break
        order = os.read(control, 1)
        if not order or order[0] == index:
            break
    os.close(watched)


def _end_all() -> None:
    """Kill and reap everything in this PID namespace but its init and this process."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def main() -> None:
    with open(int(sys.argv[1]), encoding="utf-8") as stream:
        request = json.load(stream)
    _become_harmless(request)
    sys.path.extend(request["paths"])
    if any(suite["digest_over"] is not None for suite in request["suites"]):
        global _sha256
        _sha256 = importlib.import_module("hashlib").sha256
    for name in request["preload"]:  # loaded once instead of by every suite's process
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()
    suites = request["suites"]
    for index, suite in enumerate(suites):
        child = os.fork()
        if child == 0:
            for other in (request["control_fd"], *(s["fd"] for s in suites[index + 1 :])):
                os.close(other)
            os.mkdir(f"/tmp/{index}")
            os.chdir(f"/tmp/{index}")
            _at_depth(FRAMES - 2 - _depth(), run_suite, request, suite)
            _exit(0)
        os.close(suite["fd"])
        _wait(child, request["control_fd"], index)
        _end_all()


if __name__ == "__main__":
    main()
