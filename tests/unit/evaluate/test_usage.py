"""What the judge reads of a sandbox, compared with what a program says of itself."""

import resource
import time
from collections.abc import Callable

import pytest

from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.resource_usage import Usage
from codewatt.evaluate.sandbox.sandbox import Sandbox, SandboxRequest, SuiteInputs
from tests.support.patience import PATIENCE_S

LIMITS = Limits(total_memory_bytes=400 << 20)


def usage_of(code: str, until: Callable[[Usage, Sandbox], bool]) -> Usage:
    """The first usage of a running program that a condition holds for."""
    deadline = time.monotonic() + PATIENCE_S
    request = SandboxRequest(
        f"import _thread, io, mmap, posix, signal, time\n{code}", "look", [SuiteInputs([[]])]
    )
    with Sandbox(request, LIMITS) as sandbox:
        while time.monotonic() < deadline:
            said = sandbox.read(0, 0.02)
            assert said in (None, b"^\n"), said
            usage = sandbox.usage.read()
            if usage is not None and until(usage, sandbox):
                return usage
    pytest.fail("it never got there")


# The last thing that a program does: two more threads show that it has done everything else. One
# would not do: a child that still works makes one more as well.
REST = (
    "    for _ in range(2): _thread.start_new_thread(time.sleep, (6000,))\n    time.sleep(6000)\n"
)
EMPTY = "def look():\n" + REST


def settled(processes: int = 5) -> Callable[[Usage, Sandbox], bool]:
    """Whether there are so many processes and threads, and two looks have found the same."""
    seen: list[Usage] = []

    def same(usage: Usage, sandbox: Sandbox) -> bool:
        seen.append(usage)
        last = {(u.cpu_s, u.memory_bytes, u.processes) for u in seen[-2:]}
        return len(seen) > 1 and len(last) == 1 and usage.processes == processes

    return same


@pytest.mark.clock
def test_cpu_time_of_processes_that_have_ended_counts() -> None:
    """Of children that were waited for, and of those that nobody waits for."""
    burn = "    end = time.process_time() + 0.3\n    while time.process_time() < end: pass\n"
    waited = f"def burn():\n{burn}def look():\n    burn()\n" + (
        "    if (child := posix.fork()) == 0:\n        burn()\n        posix._exit(0)\n"
        "    try: posix.waitpid(child, 0)\n    except OSError: pass\n" + REST
    )
    ignored = waited.replace(
        "def look():\n", "def look():\n    signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    )
    base = usage_of(EMPTY, settled()).cpu_s
    assert usage_of(waited, settled()).cpu_s - base == pytest.approx(0.6, abs=0.15)
    # What such a child has used since the last look at it is lost.
    assert 0.28 < usage_of(ignored, settled()).cpu_s - base < 0.75


@pytest.mark.parametrize(
    ("hold", "mib"),
    [
        ("held = bytearray(b'x' * (120 << 20))", 120),
        ("io.FileIO('/tmp/file', 'w').write(b'x' * (40 << 20))", 40),
        ("[posix.mkdir('/tmp/m%d' % n) for n in range(1 << 15)]", 32),  # a KiB each
    ],
)
def test_what_is_held_is_counted(hold: str, mib: int) -> None:
    base = usage_of(EMPTY, settled()).memory_bytes
    more = usage_of(f"def look():\n    {hold}\n{REST}", settled()).memory_bytes
    assert (more - base) / 2**20 == pytest.approx(mib, abs=6)


def test_shared_pages_are_counted_once_where_it_matters() -> None:
    """Five processes with the same 120 MiB hold 120 MiB, though their sizes add up to 600."""
    share = "    held = bytearray(b'x' * (120 << 20))\n    for _ in range(4):\n"
    code = f"def look():\n{share}        if posix.fork() == 0: break\n{REST}"
    usage = usage_of(code, settled(2 + 5 * 3))
    assert 120 <= usage.memory_bytes / 2**20 < 220


def test_a_program_that_passes_the_limit_is_seen() -> None:
    code = "def look():\n    held = []\n    while True: held.append(bytearray(b'x' * (8 << 20)))\n"
    usage = usage_of(code, lambda usage, sandbox: sandbox.usage.exceeded_limit(usage) is not None)
    assert usage.memory_bytes > 400 << 20


def test_the_more_is_held_the_sooner_the_next_look() -> None:
    waits: list[float] = []

    def near(usage: Usage, sandbox: Sandbox) -> bool:
        assert sandbox.usage.reader is not None
        waits.append(sandbox.usage.reader.next_read_in_s())
        return usage.memory_bytes > 330 << 20

    usage_of("def look():\n    held = bytearray(b'x' * (340 << 20))\n" + REST, near)
    assert waits[-1] < max(waits)
    assert waits[-1] <= (70 << 20) / (8 << 30)


def test_the_last_resort_is_the_kernels_limit_on_cpu_time() -> None:
    limits = Limits(suite_time_s=60, grace_s=2)
    assert limits.kernel_cpu_limit_s([[1.0] * 5, [1.0] * 500]) == 2 * 62 + 10
    assert limits.kernel_cpu_limit_s([[1.0], None]) is None
    assert resource.getrlimit(resource.RLIMIT_CPU)[0] == resource.RLIM_INFINITY
