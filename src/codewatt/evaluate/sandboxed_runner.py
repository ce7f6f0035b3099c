"""The trusted program inside the sandbox: runs one untrusted program and reports its outputs.

Run as a script by a bare interpreter (`python -P -s -S -B sandboxed_runner.py FD`); it imports
nothing but the standard library, `evalplus_guard` and `output_encoder`, which lie beside it. The
judge outside sends a request (a JSON file on descriptor FD) and reads one line a test from a pipe
per suite. What the program
should have answered never comes in here, so a program that takes this process over can forge
nothing but its own answers.

A process of its own for every suite, forked before the untrusted code is seen, as EvalPlus has.
The next suite starts here only if the one before it left no trace, which most do not; else this
process ends, and the judge gives the next suite a sandbox of its own.

The time limit of a call is kept here as EvalPlus keeps it, by an exception in the call, but counts
no time for which the program had no core. A program can disarm it; the judge outside keeps it too.

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

import _ctypes
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
_guard: Any = importlib.import_module("evalplus_guard")
_outputs: Any = importlib.import_module("output_encoder")
del sys.path[0], sys.modules["evalplus_guard"], sys.modules["output_encoder"]

# The loop below uses these, and not what the program may have put in their place.
_encode, _name = _outputs.encode, _outputs.name_of
_write, _exit, _clock = os.write, os._exit, time.perf_counter
_setitimer, _signal = signal.setitimer, signal.signal
_open, _read, _close, _pread, _list = os.open, os.read, os.close, os.pread, os.listdir
_sha256: Any = None
_REAL, _ALRM = signal.ITIMER_REAL, signal.SIGALRM

_READ_AGAIN_S = 0.005
_PR_SET_DUMPABLE = 4
_CLOCK_REALTIME_COARSE = 5  # what file systems take their times from

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


class _Call:
    """The call that is running: how long it may take, and what it had when it began."""

    def __init__(self) -> None:
        self._own = _open("/proc/self/schedstat", os.O_RDONLY)
        self._limit_s = self._start_s = self._read_s = 0.0
        self._waited = b""

    def begin(self, start_s: float, limit_s: float) -> None:
        self._start_s, self._limit_s = start_s, limit_s
        if start_s - self._read_s > _READ_AGAIN_S:  # reading it for each call would take longest
            self._waited, self._read_s = _pread(self._own, 64, 0), start_s
        _setitimer(_REAL, limit_s)
        _signal(_ALRM, self._on_alarm)

    def _on_alarm(self, signum: int, frame: FrameType | None) -> None:
        try:
            left_s = self._limit_s - (_clock() - self._start_s) + self._waited_s()
        except (RecursionError, MemoryError):  # the program's own
            left_s = 0.0
        if left_s < 0.001:
            raise TimeoutException("Timed out!")
        _setitimer(_REAL, left_s)

    def _waited_s(self) -> float:
        """For how long the program could have run in this call and had no core.

        Of other threads and processes, which a call seldom finds there, their whole lives count.
        """
        try:
            waited_ns = -int(self._waited.split()[1])
            for process in _list("/proc"):
                if process.isdigit() and int(process) > 2:  # the namespace's init, and the runner
                    for thread in _list(f"/proc/{process}/task"):
                        waited_ns += _waited_ns(f"/proc/{process}/task/{thread}/schedstat")
            return max(0, waited_ns) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0


def _waited_ns(path: str) -> int:
    try:
        descriptor = _open(path, os.O_RDONLY)
    except OSError:
        return 0  # it has just ended
    try:
        return int(_read(descriptor, 64).split()[1])
    finally:
        _close(descriptor)


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
    call = _Call() if limits is not None else None
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
            if call is not None:
                call.begin(start, limits[index])
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
    # The CPU time of a suite would show in this process's own, to the suite after it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGCONT, _on_continue)
    if request["uid"] is not None:
        os.setgroups([])
        os.setresgid(request["uid"], request["uid"], request["uid"])
        os.setresuid(request["uid"], request["uid"], request["uid"])
    for name, value in request["rlimits"].items():
        _limit(getattr(resource, name), value)
    # Nobody inside looks into this process; what it forks inherits that.
    library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
    prctl = _ctypes.dlsym(library, "prctl")
    if _ctypes.call_function(prctl, (_PR_SET_DUMPABLE, 0, 0, 0, 0)):
        raise OSError("PR_SET_DUMPABLE failed")


_continued: list[int] = []


def _on_continue(signum: int, frame: FrameType | None) -> None:
    _continued.append(signum)


class _Traces:
    """What a suite would leave to the next one in the same sandbox: files, processes, signals.

    Only /tmp can be written to, and the kernel numbers its files in their order (on Linux 5.9 and
    later; before that, every suite is taken to have left something).
    """

    def __init__(self) -> None:
        self._pid = self._inode = 0
        self._stamps: tuple[int, ...] = ()

    def folder(self, index: int) -> bool:
        """Make the next suite's folder; False if the suite before it has changed anything."""
        if index > 0:
            if self._stamps != self._look(index - 1) or _continued:
                return False
            os.rmdir(f"/tmp/{index - 1}")
        os.mkdir(f"/tmp/{index}")
        inode, before = os.stat(f"/tmp/{index}").st_ino, self._inode
        self._inode = inode
        self._stamps = self._look(index)
        # A change within the clock's own step would get the same time.
        while time.clock_gettime_ns(_CLOCK_REALTIME_COARSE) <= max(self._stamps):
            time.sleep(0.001)
        return index == 0 or inode == before + 1

    def process(self, child: int) -> bool:
        """Whether nobody has been started since the last suite's process."""
        before, self._pid = self._pid, child
        return before in (0, child - 1)

    def _look(self, index: int) -> tuple[int, ...]:
        found: list[int] = []
        for path in ("/tmp", f"/tmp/{index}"):
            told = os.stat(path)
            found += [told.st_ctime_ns, told.st_mtime_ns, told.st_nlink]
        return tuple(found)


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
    suites, traces = request["suites"], _Traces()
    for index, suite in enumerate(suites):
        if not traces.folder(index):
            return
        go, start = os.pipe()
        child = os.fork()
        if child == 0:
            for other in (request["control_fd"], start, *(s["fd"] for s in suites[index + 1 :])):
                os.close(other)
            if not os.read(go, 1):
                _exit(0)
            os.close(go)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGCONT, signal.SIG_DFL)
            os.dup2(1, 2)  # what this process itself says goes to the judge, nothing else does
            os.chdir(f"/tmp/{index}")
            _at_depth(FRAMES - 2 - _depth(), run_suite, request, suite)
            _exit(0)
        if not traces.process(child):
            return
        os.write(start, b"1")
        os.close(go)
        os.close(start)
        os.close(suite["fd"])
        _wait(child, request["control_fd"], index)
        _end_all()


if __name__ == "__main__":
    main()
