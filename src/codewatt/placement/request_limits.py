"""Warnings about jobs that need more than the maxima of the site file: every retry fails."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from codewatt.config.site import Machine
from codewatt.config.study import Study
from codewatt.placement.job_requests import ModelJob, first_attempt, model_job_nodes, site_file_key

#: Snakemake's resource, the site file's key for its maximum, and the unit of both.
_LIMITED = (("mem_mb", "max_mem_mb", "MB"), ("runtime", "max_runtime_min", "min"))


class _Shortfall(NamedTuple):
    """Jobs of one rule that need more than a maximum of the site file.

    Attributes:
        needed, id: largest need, and the id of that job.
        allowed: the maximum.
        jobs: number of jobs that need more.
    """

    needed: int
    id: str
    allowed: int
    jobs: int


def requests_above_limit(
    study: Study,
    machine: Machine,
    jobs: Iterable[tuple[ModelJob, Mapping[str, int] | None]],
    overridden: Mapping[str, Collection[str]],
) -> list[str]:
    """Warnings, one for each rule and each maximum that jobs of the rule exceed.

    Args:
        jobs: the jobs of a run, each with its size (`JobSizes.size`); a job of unknown size is not
            compared.
        overridden: rule -> resources that come from set-resources instead of the site file.
    """
    planned: Counter[str] = Counter()
    found: dict[tuple[str, str, str], _Shortfall] = {}
    for job, size in jobs:
        planned[job.stage] += 1
        if size is None:
            continue
        nodes = model_job_nodes(study, machine, job)
        first = first_attempt(nodes, size)
        for (resource, name, unit), needed in zip(_LIMITED, first, strict=True):
            allowed = getattr(nodes, name)
            if allowed is None or needed <= allowed or resource in overridden.get(job.stage, ()):
                continue
            key = (job.stage, f"{site_file_key(machine, job, nodes)}.{name}", unit)
            before = found.get(key, _Shortfall(0, "", allowed, 0))
            largest = max((before.needed, before.id), (needed, job.id))
            found[key] = _Shortfall(*largest, allowed, before.jobs + 1)
    return [
        f"{rule}: {short.jobs} of {planned[rule]} jobs are estimated to need more than "
        f"{short.allowed} {unit}, up to {short.needed} ({short.id}), but every attempt requests "
        f"{short.allowed}; raise {key}"
        for (rule, key, unit), short in sorted(found.items())
    ]
