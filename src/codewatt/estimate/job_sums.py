"""Sums over a plan's jobs: of a model, of what all share, of the study; and its wall time."""

from collections.abc import Iterable
from dataclasses import dataclass

from codewatt.config.carbon_intensity import emissions_kg
from codewatt.estimate.job_plan import Job, Plan
from codewatt.estimate.list_schedule import makespan_s
from codewatt.sizing.estimate_assumptions import assumed_value
from codewatt.units import BYTES_PER_GB, J_PER_KWH, S_PER_H

_LOCAL = ("download_model", "judge_depth")  # run where Snakemake itself runs


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


def sum_jobs(jobs: Iterable[Job], plan: Plan, host_w: float, g_per_kwh: float) -> Totals:
    """Sum jobs.

    Args:
        host_w: of a machine's CPU packages and memory.
        g_per_kwh: of its grid.
    """
    chosen = list(jobs)
    sized = [(job, size) for job in chosen if (size := job.expected_size) is not None]
    held = [size for job, size in sized if plan.gpus and job.computes]
    gpu_j = sum(size.gpu_j for _, size in sized)
    metered_s = sum(size.metered_s for job, size in sized if job.metered)
    node_j = gpu_j + host_w * metered_s
    billed = gpu_j if plan.grid.study.energy.boundary == "gpu" else node_j
    return Totals(
        jobs=len(chosen),
        unknown=len(chosen) - len(sized),
        job_h=sum(size.job_s for _, size in sized) / S_PER_H,
        gpu_h=sum(size.job_s for size in held) / S_PER_H,
        gpu_kwh=gpu_j / J_PER_KWH,
        node_kwh=node_j / J_PER_KWH,
        co2_kg=emissions_kg(billed, g_per_kwh),
        disk_gb=sum(size.disk_bytes for _, size in sized) / BYTES_PER_GB,
    )


def wall_h(jobs: Iterable[Job], plan: Plan, gpus: int) -> float:
    """Hours from start to end.

    On one machine (`gpus` 1) jobs follow each other, as a measured job takes all of its cores.
    With more, jobs that compute are spread over the cards, each after what it needs; all others
    run beside them elsewhere (`schedule.makespan_s`).
    """
    if gpus == 1 or not plan.gpus:
        return sum(_job_s(job, 0.0) for job in jobs) / S_PER_H
    more_s = assumed_value("cluster_job_s")
    return makespan_s(list(jobs), gpus, lambda job: _job_s(job, more_s)) / S_PER_H


def _job_s(job: Job, more_s: float) -> float:
    """A job that is not known takes no time; more_s: Slurm's, of each job that it runs."""
    if (size := job.expected_size) is None:
        return 0.0
    return size.job_s + (0.0 if job.rule in _LOCAL else more_s)
