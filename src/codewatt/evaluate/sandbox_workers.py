"""A few threads that each drive one sandbox at a time, and that end together."""

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


class Stopped(Exception):
    """The work was called off while a worker was at it."""


def check_jobs(jobs: int) -> None:
    """Refuse a number of sandboxes at a time that cannot be."""
    if not 1 <= jobs <= MAX_JOBS:
        raise CodewattError(f"jobs: expected 1 to {MAX_JOBS}, found {jobs}")


def jobs_on(cores: int) -> int:
    """How many sandboxes at a time a job with so many cores drives."""
    return min(cores, MAX_JOBS)


def default_jobs() -> int:
    """How many sandboxes at a time this process drives, if nobody says how many.

    One a core that it may use, and no more than Slurm gave its job.
    """
    cores = usable_processors()
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        if (given := os.environ.get(name, "")).isdigit() and int(given) > 0:
            cores = min(cores, int(given))
    return jobs_on(cores)


_LOOK_S = 0.2


def _next(done: "queue.SimpleQueue[Item]") -> Item:
    """The next item, with a look at signals while there is none.

    The kernel may hand an interrupt to another thread; Python acts on it in this one, which would
    sleep on in a wait without end.
    """
    while True:
        try:
            return done.get(timeout=_LOOK_S)
        except queue.Empty:
            continue


def run_workers(
    items: Sequence[Item],
    work: Callable[[int, Item, threading.Event], Answer],
    jobs: int,
    on_done: Callable[[int, Answer], None],
) -> None:
    """Call `work(slot, item, stop)` for every item, in `jobs` threads.

    `on_done(index, answer)` is called in this thread, in the order in which answers come. When it
    or a worker raises, or the user interrupts, `stop` is set; workers look at it every few
    hundredths of a second, and this function leaves, raising, only after the last has ended.
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
            index, answer, error = _next(done)
            if error is not None:
                raise error
            on_done(index, answer)  # type: ignore[arg-type]
    finally:
        stop.set()
        for thread in started:
            thread.join()
