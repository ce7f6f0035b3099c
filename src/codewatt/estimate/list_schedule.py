"""Wall time of jobs on several GPUs, by list scheduling (longest remaining path first)."""

import heapq
from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter

from codewatt.estimate.job_plan import Job


def makespan_s(jobs: Sequence[Job], cards: int, seconds: Callable[[Job], float]) -> float:
    """Seconds from the start of the first job to the end of the last.

    A job starts when the jobs that it needs have ended; a job that runs a model also waits for a
    free GPU. Of the jobs that wait for a GPU, the one with the longest remaining path starts first:
    its own duration plus that of the longest chain of jobs that depend on it.

    Args:
        jobs: the jobs, with all jobs that they need.
        cards: number of GPUs.
        seconds: duration of a job (s).

    Raises:
        KeyError: a job needs one that is not in `jobs`.
    """
    number_of = {(job.rule, job.id): number for number, job in enumerate(jobs)}
    needs = [[number_of[key] for key in job.needs] for job in jobs]
    needs_one = [[number_of[key] for key in job.needs_one] for job in jobs]
    behind, behind_one = _inverted(needs), _inverted(needs_one)
    durations_s = [seconds(job) for job in jobs]
    remaining_s = durations_s.copy()
    order = TopologicalSorter({n: [*needs[n], *needs_one[n]] for n in range(len(jobs))})
    for number in reversed([*order.static_order()]):
        after = (*behind[number], *behind_one[number])
        remaining_s[number] += max((remaining_s[other] for other in after), default=0.0)

    missing = [len(all_of) + bool(one_of) for all_of, one_of in zip(needs, needs_one, strict=True)]
    has_one = [False] * len(jobs)
    ready = [number for number, count in enumerate(missing) if count == 0]
    waiting: list[tuple[float, int]] = []  # jobs that wait for a GPU, by -(remaining path in s)
    running: list[tuple[float, int]] = []  # running jobs, by the time of their end
    now_s, free = 0.0, cards
    while ready or waiting or running:
        for number in ready:
            if jobs[number].computes:
                heapq.heappush(waiting, (-remaining_s[number], number))
            else:
                heapq.heappush(running, (now_s + durations_s[number], number))
        while waiting and free:
            _, number = heapq.heappop(waiting)
            heapq.heappush(running, (now_s + durations_s[number], number))
            free -= 1
        now_s, done = heapq.heappop(running)
        free += jobs[done].computes
        first = [other for other in behind_one[done] if not has_one[other]]
        ready = []
        for other in first:
            has_one[other] = True
        for other in (*behind[done], *first):
            missing[other] -= 1
            if missing[other] == 0:
                ready.append(other)
    return now_s


def _inverted(needs: Sequence[Sequence[int]]) -> list[list[int]]:
    """For each job, the jobs that need it."""
    behind: list[list[int]] = [[] for _ in needs]
    for number, before in enumerate(needs):
        for other in before:
            behind[other].append(number)
    return behind
