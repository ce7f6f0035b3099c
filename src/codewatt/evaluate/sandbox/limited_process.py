"""Helper processes with limits on memory and CPU time, for work on values that may be hostile.

A helper process answers one request after another. The kernel ends a helper that exceeds a limit;
its request is refused, and the next request starts a new helper. Requests and answers are bytes
whose meaning is defined by the module that the helper runs.
"""

import contextlib
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import BinaryIO

from codewatt.errors import CodewattError
from codewatt.units import BYTES_PER_MIB, MS_PER_S

_POLL_S = 0.05
_READ_BYTES = 1 << 16
_RESTART_OVER_BYTES = 4 << 20
"""After a longer request the helper is restarted, because its memory may be fragmented."""

_ANSWERED, _REFUSED, _NO_MEMORY = b"=", b"!", b"m"


class RequestRefused(Exception):
    """A request was not answered; the message is the reason."""


class LimitedProcess:
    """One helper process, started with the first request. Not safe for several threads at once.

    Args:
        module: dotted name of the module that it runs; its `main` calls `serve_requests`.
        memory_bytes: address space for requests, in addition to that of the loaded modules.
    """

    def __init__(self, module: str, memory_bytes: int) -> None:
        self._module = module
        self._memory_bytes = memory_bytes
        self._process: subprocess.Popen[bytes] | None = None

    def request(
        self, size: int, pieces: Iterable[bytes], cpu_s: float, while_waiting: Callable[[], None]
    ) -> tuple[bytes, float]:
        """Send a request and wait for its answer.

        Args:
            size: length of the request (bytes), the sum over `pieces`.
            pieces: the request.
            cpu_s: limit on the CPU time of the answer (s).
            while_waiting: called every 50 ms until there is an answer; an exception ends the
                helper.

        Returns:
            The answer and its CPU time (s).

        Raises:
            RequestRefused: the helper refused the request or exceeded a limit.
            CodewattError: the helper did not start.
        """
        try:
            process = self._running_process(while_waiting)
            with contextlib.suppress(BrokenPipeError):
                assert process.stdin is not None
                process.stdin.write(b"%d %.3f\n" % (size, cpu_s))
                for piece in pieces:
                    process.stdin.write(piece)
                process.stdin.flush()
            head = self._read_line(process, while_waiting)
            if not head:
                raise RequestRefused(self._exit_reason(process, cpu_s))
            mark, count, taken = head.split()
            answer = self._read_bytes(process, int(count), while_waiting)
        except BaseException:
            self.close()
            raise
        if size > _RESTART_OVER_BYTES or mark == _NO_MEMORY:
            self.close()
        if mark == _NO_MEMORY:
            raise RequestRefused(
                f"more than {self._memory_bytes // BYTES_PER_MIB} MiB of memory are needed"
            )
        if mark == _REFUSED:
            raise RequestRefused(answer.decode(errors="replace"))
        return answer, float(taken)

    def close(self) -> None:
        """End the helper process if it is running."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):
                    stream.close()

    def _running_process(self, while_waiting: Callable[[], None]) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, str(self._memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={
                    **os.environ,
                    # Each thread of a numerical library reserves much address space.
                    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")},
                    "TOKENIZERS_PARALLELISM": "false",
                },
            )
            if (reply := self._read_line(self._process, while_waiting)) != b"ready\n":
                raise CodewattError(
                    f"{self._module}: the helper process did not start: "
                    f"{reply.decode(errors='replace').strip() or 'it printed no message'}"
                )
        return self._process

    def _read_line(
        self, process: subprocess.Popen[bytes], while_waiting: Callable[[], None]
    ) -> bytes:
        """One line of the answer; b"" if the helper ended."""
        self._wait(process, while_waiting)
        assert process.stdout is not None
        return process.stdout.readline()

    def _read_bytes(
        self, process: subprocess.Popen[bytes], count: int, while_waiting: Callable[[], None]
    ) -> bytes:
        assert process.stdout is not None
        return process.stdout.read(count)

    def _wait(self, process: subprocess.Popen[bytes], while_waiting: Callable[[], None]) -> None:
        assert process.stdout is not None
        poll = select.poll()
        poll.register(process.stdout, select.POLLIN)
        while not poll.poll(_POLL_S * MS_PER_S):
            while_waiting()

    def _exit_reason(self, process: subprocess.Popen[bytes], cpu_s: float) -> str:
        status = process.wait()
        if status == -signal.SIGPROF:
            return f"more than {cpu_s:.3g} s of CPU time are needed"
        if status == -signal.SIGKILL:
            return "more memory than the machine has is needed"
        return f"the helper process ended with exit status {status}"


def serve_requests(answer: Callable[[bytes], bytes]) -> None:
    """Answer requests from stdin until it is closed. Call this after all imports.

    Args:
        answer: returns the answer to a request; raises ValueError to refuse it.
    """
    requests, out = sys.stdin.buffer, _reserved_stdout()
    _limit_address_space(int(sys.argv[1]))
    out.write(b"ready\n")
    out.flush()
    while head := requests.readline():
        size, cpu_s = head.split()
        request = requests.read(int(size))
        if len(request) != int(size):
            break  # the requesting process has ended
        before = time.process_time()
        # When the CPU time is over, the kernel ends this process, whatever it is doing.
        signal.setitimer(signal.ITIMER_PROF, max(float(cpu_s), 0.001))
        try:
            mark, reply = _ANSWERED, answer(request)
        except MemoryError:
            mark, reply = _NO_MEMORY, b""
        except ValueError as error:
            mark, reply = _REFUSED, str(error).encode(errors="replace")
        finally:
            del request
        signal.setitimer(signal.ITIMER_PROF, 0)
        out.write(b"%s %d %.6f\n" % (mark, len(reply), time.process_time() - before) + reply)
        out.flush()


def _reserved_stdout() -> BinaryIO:
    """The stream of answers; output that a library prints goes to stderr instead."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return open(kept, "wb")


def _limit_address_space(memory_bytes: int) -> None:
    with open("/proc/self/statm") as stream:
        taken = int(stream.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = taken + memory_bytes
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, wanted))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
