"""Helper processes with limits on memory and CPU time, for work on values that may be hostile.

A helper answers one request after another. One that passes a limit is ended by the kernel, its
request is refused, and the next request starts a new one. Requests and answers are bytes; what
they mean is up to the module that the helper runs.
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

_LOOK_S = 0.05
_READ_BYTES = 1 << 16
_RENEW_OVER = 4 << 20
"""Bytes. After a longer request a helper ends, as its memory may be in pieces."""

_ANSWERED, _REFUSED, _NO_MEMORY = b"=", b"!", b"m"


class Refused(Exception):
    """A request was not answered; the message says why."""


class LimitedProcess:
    """One helper process, started when it is first needed. Not for several threads at once.

    Args:
        module: what it runs; its `main` calls `serve`.
        memory_bytes: address space for the work on requests, beside what the modules take.
    """

    def __init__(self, module: str, memory_bytes: int) -> None:
        self._module = module
        self._memory_bytes = memory_bytes
        self._process: subprocess.Popen[bytes] | None = None

    def ask(
        self, size: int, pieces: Iterable[bytes], cpu_s: float, idle: Callable[[], None]
    ) -> tuple[bytes, float]:
        """Send a request and wait for its answer.

        Args:
            size: bytes of the request, which `pieces` are together.
            cpu_s: CPU time that the answer may take.
            idle: called every 50 ms while there is no answer; what it raises ends the helper.

        Returns:
            The answer, and the CPU time (s) that it took.

        Raises:
            Refused: the request is refused, or its answer passed a limit.
            CodewattError: the helper does not start.
        """
        try:
            process = self._started(idle)
            with contextlib.suppress(BrokenPipeError):
                assert process.stdin is not None
                process.stdin.write(b"%d %.3f\n" % (size, cpu_s))
                for piece in pieces:
                    process.stdin.write(piece)
                process.stdin.flush()
            head = self._line(process, idle)
            if not head:
                raise Refused(self._death(process, cpu_s))
            mark, count, taken = head.split()
            answer = self._exactly(process, int(count), idle)
        except BaseException:
            self.close()
            raise
        if size > _RENEW_OVER or mark == _NO_MEMORY:
            self.close()
        if mark == _NO_MEMORY:
            raise Refused(f"it takes more than {self._memory_bytes >> 20} MiB of memory")
        if mark == _REFUSED:
            raise Refused(answer.decode(errors="replace"))
        return answer, float(taken)

    def close(self) -> None:
        """End the helper, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):
                    stream.close()

    def _started(self, idle: Callable[[], None]) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, str(self._memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={
                    **os.environ,
                    # Threads of numerical libraries reserve much address space.
                    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")},
                    "TOKENIZERS_PARALLELISM": "false",
                },
            )
            if (said := self._line(self._process, idle)) != b"ready\n":
                raise CodewattError(
                    f"{self._module}: the helper process did not start: "
                    f"{said.decode(errors='replace').strip() or 'it ended without a message'}"
                )
        return self._process

    def _line(self, process: subprocess.Popen[bytes], idle: Callable[[], None]) -> bytes:
        """A line of the answer; b"" if the helper has ended."""
        self._wait(process, idle)
        assert process.stdout is not None
        return process.stdout.readline()

    def _exactly(
        self, process: subprocess.Popen[bytes], count: int, idle: Callable[[], None]
    ) -> bytes:
        assert process.stdout is not None
        return process.stdout.read(count)

    def _wait(self, process: subprocess.Popen[bytes], idle: Callable[[], None]) -> None:
        assert process.stdout is not None
        poll = select.poll()
        poll.register(process.stdout, select.POLLIN)
        while not poll.poll(_LOOK_S * 1000):
            idle()

    def _death(self, process: subprocess.Popen[bytes], cpu_s: float) -> str:
        status = process.wait()
        if status == -signal.SIGPROF:
            return f"it takes more than {cpu_s:.3g} s of CPU time"
        if status == -signal.SIGKILL:
            return "it takes more memory than the machine has"
        return f"it ended the helper process (exit status {status})"


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Answer requests from stdin until it is closed. Call after all imports.

    Args:
        answer: raises ValueError to refuse a request.
    """
    requests, out = sys.stdin.buffer, _reserved_stdout()
    _limit_memory(int(sys.argv[1]))
    out.write(b"ready\n")
    out.flush()
    while head := requests.readline():
        size, cpu_s = head.split()
        request = requests.read(int(size))
        if len(request) != int(size):
            break  # whoever asked has ended
        before = time.process_time()
        # At the end of its time the kernel ends this process, whatever it is doing.
        signal.setitimer(signal.ITIMER_PROF, max(float(cpu_s), 0.001))
        try:
            mark, said = _ANSWERED, answer(request)
        except MemoryError:
            mark, said = _NO_MEMORY, b""
        except ValueError as error:
            mark, said = _REFUSED, str(error).encode(errors="replace")
        finally:
            del request
        signal.setitimer(signal.ITIMER_PROF, 0)
        out.write(b"%s %d %.6f\n" % (mark, len(said), time.process_time() - before) + said)
        out.flush()


def _reserved_stdout() -> BinaryIO:
    """The stream of answers, which nothing that is printed by a library can disturb."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return open(kept, "wb")


def _limit_memory(memory_bytes: int) -> None:
    with open("/proc/self/statm") as stream:
        taken = int(stream.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = taken + memory_bytes
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, wanted))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
