"""The trusted script inside the sandbox: runs one untrusted program and reports its outputs.

Runs in a bare interpreter (`python -P -s -S -B sandboxed_runner.py FD`); it imports only the
standard library and the files beside it (`sandbox.RUNNER_FILES`).
The judge outside sends a request (a JSON file on descriptor FD) and reads one line for each test
from a pipe for each suite. Expected outputs never enter the sandbox, so a program that takes over
this process can forge only its own outputs.

As in EvalPlus, every suite runs in its own process, forked before the untrusted code is loaded.
The next suite starts here only if the suite before it left no trace; most do not. Otherwise this
process ends, and the judge starts a new sandbox for the next suite.

The time limit of a call is enforced here as in EvalPlus, by an exception in the call, but time
without a core does not count. A program can disable it; the judge enforces the limit as well.

Each line on the pipe is one of:
    ^               the suite starts; the program has not run yet
    JSON            output of a call, as `output_encoder` encodes it
    #SHA256 LENGTH  digest of an output that is longer than the suite's "digest_over" (bytes), or,
                    if its "digest_too_large" is set, of one that is too large for `encode`
    SECONDS JSON    duration of a call and its output (if "timed" is set)
    !NAME           a call raised an exception of type NAME; the suite ends
    ?NAME           loading the program raised an exception of type NAME; the suite ends
    .               all inputs were called
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
if TYPE_CHECKING:  # saves an import in every sandbox
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, NoReturn

# Files beside this one in the sandbox; programs must not be able to import them.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
_guard: Any = importlib.import_module("evalplus_guard")
_outputs: Any = importlib.import_module("output_encoder")
_arguments: Any = importlib.import_module("argument_types")
_large: Any = importlib.import_module("large_outputs")
del sys.path[0], sys.modules["evalplus_guard"], sys.modules["output_encoder"]
del sys.modules["argument_types"], sys.modules["large_outputs"]

# Kept here because a program may replace them in their modules.
_encode, _name = _outputs.encode, _outputs.type_name
_write, _exit, _clock = os.write, os._exit, time.perf_counter
_setitimer, _signal = signal.setitimer, signal.signal
_open, _read, _close, _pread, _list = os.open, os.read, os.close, os.pread, os.listdir
_sha256: Any = None
_REAL, _ALRM = signal.ITIMER_REAL, signal.SIGALRM

_READ_AGAIN_S = 0.005
_PR_SET_DUMPABLE = 4
_CLOCK_REALTIME_COARSE = 5  # the clock of file timestamps

# EvalPlus 0.3.1 calls the program's function at a stack depth of 28 frames plus 3 entries through
# C, which the recursion limit counts as well. The same depth here gives the same verdict on a
# recursion that just fits.
FRAMES = 31


class TimeoutException(Exception):
    """A call exceeded its time limit."""


# ---------------------------------------------------------------- EvalPlus's environment


class WriteOnlyStringIO(io.StringIO):
    """As in EvalPlus, printed text is discarded and reading stdin fails."""

    def read(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise OSError

    def readline(self, *args: Any, **kwargs: Any) -> NoReturn:  # type: ignore[override]
        raise OSError

    def readlines(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise OSError

    def readable(self, *args: Any, **kwargs: Any) -> bool:
        return False


def reliability_guard(memory_bytes: int) -> None:
    """EvalPlus's memory limits and its guard (`evalplus_guard`)."""
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_STACK):
        _limit(kind, memory_bytes)
    faulthandler.disable()
    os.environ["OMP_NUM_THREADS"] = "1"
    _guard.install_guard()


def _limit(kind: int, value: int) -> None:
    """Set a soft and hard resource limit, at most the present hard limit."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


class _CallTimer:
    """Enforces the time limit of the running call."""

    def __init__(self) -> None:
        self._own = _open("/proc/self/schedstat", os.O_RDONLY)
        self._limit_s = self._start_s = self._read_s = 0.0
        self._waited = b""

    def begin(self, start_s: float, limit_s: float) -> None:
        self._start_s, self._limit_s = start_s, limit_s
        if start_s - self._read_s > _READ_AGAIN_S:  # too slow to read for each call
            self._waited, self._read_s = _pread(self._own, 64, 0), start_s
        _setitimer(_REAL, limit_s)
        _signal(_ALRM, self._on_alarm)

    def _on_alarm(self, signum: int, frame: FrameType | None) -> None:
        try:
            left_s = self._limit_s - (_clock() - self._start_s) + self._core_wait_s()
        except (RecursionError, MemoryError):  # caused by the program
            left_s = 0.0
        if left_s < 0.001:
            raise TimeoutException("Timed out!")
        _setitimer(_REAL, left_s)

    def _core_wait_s(self) -> float:
        """Time of this call during which the program waited for a core (s).

        For other threads and processes, which are rare here, their whole lifetime counts.
        """
        try:
            waited_ns = -int(self._waited.split()[1])
            for process in _list("/proc"):
                if process.isdigit() and int(process) > 2:  # the namespace's init, and the runner
                    for thread in _list(f"/proc/{process}/task"):
                        waited_ns += _core_wait_ns(f"/proc/{process}/task/{thread}/schedstat")
            return max(0, waited_ns) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0


def _core_wait_ns(path: str) -> int:
    try:
        descriptor = _open(path, os.O_RDONLY)
    except OSError:
        return 0  # the thread has just ended
    try:
        return int(_read(descriptor, 64).split()[1])
    finally:
        _close(descriptor)


def _output_line(text: str, digest_over: int | None) -> bytes:
    """The line for an output: the whole output or its digest."""
    line = text.encode("utf-8", "surrogatepass")
    if digest_over is not None and len(line) > digest_over:
        return b"#%s %d" % (_sha256(line).hexdigest().encode(), len(line))
    return line


def _send(descriptor: int, line: bytes) -> None:
    """Write a whole line; if the program closed the pipe, end its process."""
    line += b"\n"
    try:
        while line:
            line = line[_write(descriptor, line) :]
    except OSError:
        _exit(1)


def _discard_streams() -> None:
    sys.stdout = sys.stderr = sys.stdin = WriteOnlyStringIO()


def run_suite(request: dict[str, Any], suite: dict[str, Any]) -> None:
    """Load the program and call it with each input of the suite until a call raises."""
    descriptor, limits, timed = suite["fd"], suite["limits_s"], request["timed"]
    inputs, digest_over = suite["inputs"], suite["digest_over"]
    streams = sys.stdout, sys.stderr, sys.stdin
    _send(descriptor, b"^")
    reliability_guard(request["memory_bytes"])
    space: dict[str, Any] = {}
    call = _CallTimer() if limits is not None else None
    try:
        _discard_streams()
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
                _discard_streams()
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
        text = _encode(output)
        if request["iterate_outputs"] and text.startswith('{"opaque":'):
            text = _large.encode_items(output, text, _encode)
        line = _output_line(text, digest_over)
        if suite["digest_too_large"] and text == _large.TOO_LARGE:
            line = _large.digest_in_pieces(output, _encode, _sha256) or line
        _send(descriptor, b"%.9f " % taken + line if timed else line)
    _send(descriptor, b".")


def _at_depth(frames: int, function: Callable[..., None], *arguments: Any) -> None:
    """Call a function `frames` stack frames below this one."""
    if frames <= 1:
        return function(*arguments)
    return _at_depth(frames - 1, function, *arguments)


def _depth() -> int:
    frame: FrameType | None = sys._getframe()
    depth = 0
    while frame:
        frame, depth = frame.f_back, depth + 1
    return depth


# ---------------------------------------------------------------- the trusted process


def _drop_privileges(request: dict[str, Any]) -> None:
    """Give up root (if there is no user namespace) and set limits for all child processes."""
    # Otherwise the CPU time of a suite would be visible to the next suite in this process's own.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGCONT, _on_continue)
    if request["uid"] is not None:
        os.setgroups([])
        os.setresgid(request["uid"], request["uid"], request["uid"])
        os.setresuid(request["uid"], request["uid"], request["uid"])
    for name, value in request["rlimits"].items():
        _limit(getattr(resource, name), value)
    # No process inside can read this process; forked processes inherit that.
    library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
    prctl = _ctypes.dlsym(library, "prctl")
    if _ctypes.call_function(prctl, (_PR_SET_DUMPABLE, 0, 0, 0, 0)):
        raise OSError("PR_SET_DUMPABLE failed")


_continued: list[int] = []


def _on_continue(signum: int, frame: FrameType | None) -> None:
    _continued.append(signum)


class _SuiteTraces:
    """Detects what a suite leaves to the next one in the same sandbox: files, processes, signals.

    Only /tmp is writable, and the kernel numbers its files in order (Linux 5.9 and later; on older
    kernels every suite is assumed to have left something).
    """

    def __init__(self) -> None:
        self._pid = self._inode = 0
        self._stamps: tuple[int, ...] = ()

    def make_folder(self, index: int) -> bool:
        """Make the directory of the next suite; False if the suite before it left a change."""
        if index > 0:
            if self._stamps != self._timestamps(index - 1) or _continued:
                return False
            os.rmdir(f"/tmp/{index - 1}")
        os.mkdir(f"/tmp/{index}")
        inode, before = os.stat(f"/tmp/{index}").st_ino, self._inode
        self._inode = inode
        self._stamps = self._timestamps(index)
        # A change within one step of the clock would get the same timestamp.
        while time.clock_gettime_ns(_CLOCK_REALTIME_COARSE) <= max(self._stamps):
            time.sleep(0.001)
        return index == 0 or inode == before + 1

    def is_next_process(self, child: int) -> bool:
        """Whether no process was started after the process of the last suite."""
        before, self._pid = self._pid, child
        return before in (0, child - 1)

    def _timestamps(self, index: int) -> tuple[int, ...]:
        found: list[int] = []
        for path in ("/tmp", f"/tmp/{index}"):
            stats = os.stat(path)
            found += [stats.st_ctime_ns, stats.st_mtime_ns, stats.st_nlink]
        return tuple(found)


def _wait_for_suite(watched: int, control: int, index: int) -> None:
    """Wait until the suite's process ends or the judge ends the suite; close its descriptor."""
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


def _kill_all() -> None:
    """Kill and reap all processes of this PID namespace except its first and this one."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def main() -> None:
    """Run the suites of the request one after another."""
    with open(int(sys.argv[1]), encoding="utf-8") as stream:
        request = json.load(stream)
    _drop_privileges(request)
    sys.path.extend(request["paths"])
    if any(s["digest_over"] is not None or s["digest_too_large"] for s in request["suites"]):
        global _sha256
        _sha256 = importlib.import_module("hashlib").sha256
    for name in request["preload"]:  # imported once instead of in every suite's process
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()
    suites, traces = request["suites"], _SuiteTraces()
    for suite in suites if request["argument_types"] else ():
        suite["inputs"] = [
            _arguments.convert_arguments(arguments, request["argument_types"])
            for arguments in suite["inputs"]
        ]
    for index, suite in enumerate(suites):
        if not traces.make_folder(index):
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
            os.dup2(1, 2)  # only messages of this process itself reach the judge
            os.chdir(f"/tmp/{index}")
            _at_depth(FRAMES - 2 - _depth(), run_suite, request, suite)
            _exit(0)
        if not traces.is_next_process(child):
            return
        # Before it starts: SIGCHLD is ignored, so a process that ended is gone at once.
        watched = os.pidfd_open(child)
        os.write(start, b"1")
        os.close(go)
        os.close(start)
        os.close(suite["fd"])
        _wait_for_suite(watched, request["control_fd"], index)
        _kill_all()


if __name__ == "__main__":
    main()
