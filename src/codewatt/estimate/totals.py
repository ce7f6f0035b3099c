"""Sums over a plan's jobs: of a model, of what all share, of the study; and its wall time."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from codewatt.energy.carbon import emissions_kg
from codewatt.estimate.plan import Job, Plan
from codewatt.sizing.assumptions import value

_J_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Totals:
    """What some jobs take together.

    Attributes:
        jobs: how many; `unknown` of them could not be sized and count in nothing else.
        job_h: of all jobs, one after the other.
        gpu_h: of those that hold a GPU.
        gpu_kwh: of GPUs while metered.
        node_kwh: the same with the machine's CPU and memory, while any metered job runs.
        co2_kg: of the study's boundary.
        disk_gb: what they leave, models' files included.
    """

    jobs: int
    unknown: int
    job_h: float
    gpu_h: float
    gpu_kwh: float
    node_kwh: float
    co2_kg: float
    disk_gb: float


def totals_of(jobs: Iterable[Job], plan: Plan, host_w: float, g_per_kwh: float) -> Totals:
    """Sum jobs.

    Args:
        host_w: of a machine's CPU packages and memory.
        g_per_kwh: of its grid.
    """
    chosen = list(jobs)
    sized = [(job, size) for job in chosen if (size := job.counted) is not None]
    held = [size for job, size in sized if plan.gpus and job.computes]
    gpu_j = sum(size.gpu_j for _, size in sized)
    metered_s = sum(size.metered_s for job, size in sized if job.metered)
    node_j = gpu_j + host_w * metered_s
    billed = gpu_j if plan.grid.study.energy.boundary == "gpu" else node_j
    return Totals(
        jobs=len(chosen),
        unknown=len(chosen) - len(sized),
        job_h=sum(size.job_s for _, size in sized) / 3600,
        gpu_h=sum(size.job_s for size in held) / 3600,
        gpu_kwh=gpu_j / _J_PER_KWH,
        node_kwh=node_j / _J_PER_KWH,
        co2_kg=emissions_kg(billed, g_per_kwh),
        disk_gb=sum(size.disk_bytes for _, size in sized) / 1e9,
    )


def wall_h(jobs: Iterable[Job], plan: Plan, gpus: int) -> float:
    """Hours from start to end.

    On one machine (`gpus` 1) jobs follow each other, as a measured job takes all of its cores.
    With more, GPU jobs are spread over the cards, the longest first and a variant's cells after
    the variant; judging goes on beside them elsewhere, so that only that of the last cell counts.
    """
    sized = [job for job in jobs if job.size is not None]
    if gpus == 1 or not plan.gpus:
        return sum(_job_s(job, 0.0) for job in sized) / 3600
    more_s = value("cluster_job_s")
    first = [
        _job_s(job, 0.0)
        for job in sized
        if job.rule in ("download_model", "fetch_model", "train_nano")
    ]
    last = max((_job_s(job, more_s) for job in sized if job.rule == "evaluate"), default=0.0)
    tables = [job for job in sized if job.rule in ("aggregate", "plot", "summarise")]
    rest_s = last + value("plain_job_s") + more_s + sum(_job_s(job, more_s) for job in tables)
    return (max(first, default=0.0) + _spread_s(sized, gpus, more_s) + rest_s) / 3600


def _job_s(job: Job, more_s: float) -> float:
    size = job.counted
    assert size is not None
    return size.job_s + more_s


def _spread_s(jobs: list[Job], gpus: int, more_s: float) -> float:
    """A list schedule of the GPU jobs: layer scores, then variants, then what runs a variant."""
    makes = {j.variant: _job_s(j, more_s) for j in jobs if j.rule == "quantise"}
    cells: dict[str | None, list[float]] = {}
    free = [0.0] * gpus
    for job in jobs:
        if job.rule == "score_layers":
            heapq.heappush(free, heapq.heappop(free) + _job_s(job, more_s))
        elif job.rule in ("generate", "measure_recovery"):
            cells.setdefault(job.variant, []).append(_job_s(job, more_s))
    order = sorted(makes, key=lambda v: makes[v] + sum(cells.get(v, [])), reverse=True)
    ready: list[tuple[float, float]] = []  # (when its variant is there, -duration)
    for variant in order:
        done = heapq.heappop(free) + makes[variant]
        heapq.heappush(free, done)
        ready += [(done, -seconds) for seconds in cells.get(variant, [])]
    for there, negative in sorted(ready, key=lambda pair: (pair[1], pair[0])):
        start = max(heapq.heappop(free), there)
        heapq.heappush(free, start - negative)
    return max(free)
