"""Sums over the jobs of a plan, and the study's wall time."""

from collections.abc import Iterable
from dataclasses import dataclass

from codewatt.config.carbon_intensity import emissions_kg
from codewatt.estimate.job_plan import Job, Plan
from codewatt.estimate.list_schedule import makespan_s
from codewatt.sizing.estimate_assumptions import assumed_value
from codewatt.units import BYTES_PER_GB, J_PER_KWH, S_PER_H

_LOCAL = ("download_model", "judge_depth")  # rules that run on the machine of Snakemake itself


@dataclass(frozen=True)
class Totals:
    """Estimated cost of several jobs together.

    Attributes:
        jobs: number of jobs.
        unknown: number of jobs of unknown size, which do not count in the following sums.
        job_h: sum of the jobs' durations (h).
        gpu_h: the same of jobs that use a GPU (h).
        gpu_kwh: GPU energy of metered jobs (kWh).
        node_kwh: node energy (GPUs, CPU and memory) of metered jobs (kWh).
        co2_kg: emissions of the energy inside the study's boundary (kg CO2e).
        disk_gb: size of all output files, with those of models (GB).
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
    """Sum the costs of jobs.

    Args:
        jobs: the jobs.
        plan: the plan that they belong to.
        host_w: power of a machine's CPU packages and memory (W).
        g_per_kwh: carbon intensity of the electricity (gCO2e/kWh).
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
    """Time from the start of the first job to the end of the last (h).

    With one GPU (or only CPUs) jobs run one after another, because a measured job uses all cores of
    the machine. With several GPUs, jobs that run a model are scheduled on the GPUs, and all other
    jobs run at the same time elsewhere (`list_schedule.makespan_s`).
    """
    if gpus == 1 or not plan.gpus:
        return sum(_job_s(job, 0.0) for job in jobs) / S_PER_H
    more_s = assumed_value("cluster_job_s")
    return makespan_s(list(jobs), gpus, lambda job: _job_s(job, more_s)) / S_PER_H


def _job_s(job: Job, more_s: float) -> float:
    """Duration of a job (s), 0 if unknown; more_s: extra time of each job under Slurm."""
    if (size := job.expected_size) is None:
        return 0.0
    return size.job_s + (0.0 if job.rule in _LOCAL else more_s)
