"""The judge ends all workers and sandboxes, however it ends itself."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from codewatt.evaluate.parallel_jobs import run_workers
from codewatt.evaluate.verdicts import Verdict
from tests.support.patience import PATIENCE_S, wait_until

Judged = Callable[..., list[Verdict]]


def test_an_error_in_a_worker_or_a_callback_ends_all_of_them() -> None:
    before = threading.active_count()

    def work(slot: int, item: int, stop: threading.Event) -> int:
        if item == 1:
            raise KeyError(item)
        while item > 1 and not stop.wait(0.01):
            pass
        return item

    with pytest.raises(KeyError):
        run_workers([0, 1, 2, 3], work, 3, lambda index, answer: None)
    with pytest.raises(ZeroDivisionError):
        run_workers([0, 2, 3], work, 3, lambda index, answer: 1 // 0)  # type: ignore[arg-type]
    assert threading.active_count() == before


def test_an_interrupted_judge_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C while four programs hang: gone with all processes."""
    script = tmp_path / "hang.py"
    script.write_text(
        textwrap.dedent("""
        import signal
        from codewatt.benchmarks.tasks import FunctionTask, read_tasks, write_tasks
        from codewatt.evaluate.outputs.expected_outputs import ExpectedSuite
        from codewatt.evaluate.judge import judge
        from codewatt.evaluate.verdicts import Program
        task = FunctionTask("T", "", "f", "", [[1]], [], 0.0)
        answers = {"base": ExpectedSuite([b"1"], [9.0], None), "plus": ExpectedSuite([], [], None)}
        # A shell's background jobs, and what they start, are deaf to it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("start", flush=True)
        judge([task], {"T": answers}, [Program("T", f"while True: {n}") for n in range(9)], jobs=4)
        """)
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    wait_until(lambda: len(_below(process.pid)) >= 4, "four programs")
    below = _below(process.pid)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert b"KeyboardInterrupt" in said
    assert not [pid for pid in below if os.path.exists(f"/proc/{pid}")]


JUDGE = """
from codewatt.benchmarks.tasks import FunctionTask
from codewatt.evaluate.outputs.expected_outputs import ExpectedSuite
from codewatt.evaluate.judge import judge
from codewatt.evaluate.verdicts import Program
task = FunctionTask("T", "", "f", "", [[1]], [], 0.0)
answers = {"base": ExpectedSuite([b"1"], [0.0], None), "plus": ExpectedSuite([], [], None)}
ends = [Program("T", f"def f(x): return {n}") for n in range(900)]
loops = [Program("T", f"while True: {n}") for n in range(100)]
print("start", flush=True)
judge([task], {"T": answers}, [p for ten in zip(*[iter(ends)] * 9, loops) for p in ten], jobs=16)
"""


def test_a_killed_judge_leaves_nothing(tmp_path: Path) -> None:
    """Killed many times, while sandboxes start, run and end; each names a folder of this test's."""
    for number in range(8):
        judge_process = subprocess.Popen(
            [sys.executable, "-c", JUDGE],
            stdout=subprocess.PIPE,
            env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
        )
        assert judge_process.stdout is not None
        judge_process.stdout.readline()
        wait_until(lambda: _naming(tmp_path), "a sandbox", step_s=0.01)
        time.sleep(0.02 * number)
        judge_process.kill()
        judge_process.communicate()
        wait_until(lambda: not _naming(tmp_path), "the end of its processes")


def _naming(folder: Path) -> list[str]:
    """Processes with a folder in their arguments."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if str(folder).encode() in (process / "cmdline").read_bytes():
                    found.append(process.name)
    return found


def _below(pid: int) -> set[int]:
    found, todo = set(), [pid]
    while todo:
        for children in Path(f"/proc/{todo.pop()}/task").glob("*/children"):
            todo += map(int, children.read_text().split())
        found.update(todo)
    return found
