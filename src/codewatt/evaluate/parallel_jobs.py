"""Parallel jobs of a judge: worker threads that each run one sandbox at a time."""

import os
import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from codewatt.cpu_quota import usable_processors
from codewatt.errors import CodewattError

MAX_JOBS = 128

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class WorkStopped(Exception):
    """Raised in a worker whose work was cancelled."""


def check_jobs(jobs: int) -> None:
    """Check a number of parallel sandboxes.

    Raises:
        CodewattError: it is below 1 or above `MAX_JOBS`.
    """
    if not 1 <= jobs <= MAX_JOBS:
        raise CodewattError(f"jobs: expected 1 to {MAX_JOBS}, found {jobs}")


def jobs_for_cores(cores: int) -> int:
    """Number of parallel sandboxes for a number of cores."""
    return min(cores, MAX_JOBS)


def default_jobs() -> int:
    """Default number of parallel sandboxes: one for each usable core.

    In a Slurm job at most the number of cores that Slurm allocated.
    """
    cores = usable_processors()
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        if (given := os.environ.get(name, "")).isdigit() and int(given) > 0:
            cores = min(cores, int(given))
    return jobs_for_cores(cores)


_POLL_S = 0.2


def _next_result(done: "queue.SimpleQueue[Item]") -> Item:
    """The next result, waiting with a timeout so that Ctrl-C is handled.

    The kernel may deliver a signal to another thread; Python handles it in this one, which an
    unlimited wait would never let run.
    """
    while True:
        try:
            return done.get(timeout=_POLL_S)
        except queue.Empty:
            continue


def run_workers(
    items: Sequence[Item],
    work: Callable[[int, Item, threading.Event], Answer],
    jobs: int,
    on_done: Callable[[int, Answer], None],
) -> None:
    """Call `work(slot, item, stop)` for every item, in `jobs` threads.

    If a worker or `on_done` raises, or the user interrupts, `stop` is set. Workers check it every
    0.05 s, and this function raises after the last worker has ended.

    Args:
        items: the items.
        work: returns the answer to an item; raises `WorkStopped` once `stop` is set.
        jobs: number of threads.
        on_done: called in this thread with (index, answer), in the order of completion.
    """
    stop = threading.Event()
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Answer | None, BaseException | None]] = queue.SimpleQueue()
    for index in range(len(items)):
        todo.put(index)

    def worker(slot: int) -> None:
        index = -1
        try:
            while not stop.is_set():
                index = todo.get_nowait()
                done.put((index, work(slot, items[index], stop), None))
        except queue.Empty:
            pass
        except BaseException as error:
            done.put((index, None, error))

    threads = [
        threading.Thread(target=worker, args=(slot,), name=f"judge-{slot}")
        for slot in range(min(jobs, len(items)))
    ]
    started: list[threading.Thread] = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
        for _ in items:
            index, answer, error = _next_result(done)
            if error is not None:
                raise error
            on_done(index, answer)  # type: ignore[arg-type]
    finally:
        stop.set()
        for thread in started:
            thread.join()
