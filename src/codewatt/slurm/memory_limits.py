"""Jobs that need more than their nodes' maximum: every try would lack it, so it is said before."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from codewatt.config.site import Machine
from codewatt.config.study import Study
from codewatt.slurm.job_resources import ModelJob, first_try, model_nodes, nodes_key

#: Snakemake's resource, the site file's key of its maximum, and their unit.
_LIMITED = (("mem_mb", "max_mem_mb", "MB"), ("runtime", "max_runtime_min", "min"))


class _Cut(NamedTuple):
    """Jobs of a rule under one maximum: the largest of them, and how many there are."""

    needed: int
    id: str
    allowed: int
    jobs: int


def cuts(
    study: Study,
    machine: Machine,
    jobs: Iterable[tuple[ModelJob, Mapping[str, int] | None]],
    overridden: Mapping[str, Collection[str]],
) -> list[str]:
    """A line for each rule and maximum that is less than what some of the rule's jobs need.

    Args:
        jobs: those of a run, each with its size (`Sizes.of`); one whose size is not known needs
            nothing that could be compared.
        overridden: rule -> resources that do not come from the site file, but from set-resources.
    """
    planned: Counter[str] = Counter()
    found: dict[tuple[str, str, str], _Cut] = {}
    for job, size in jobs:
        planned[job.stage] += 1
        if size is None:
            continue
        nodes = model_nodes(study, machine, job)
        first = first_try(nodes, size)
        for (resource, name, unit), needed in zip(_LIMITED, first, strict=True):
            allowed = getattr(nodes, name)
            if allowed is None or needed <= allowed or resource in overridden.get(job.stage, ()):
                continue
            key = (job.stage, f"{nodes_key(machine, job, nodes)}.{name}", unit)
            before = found.get(key, _Cut(0, "", allowed, 0))
            largest = max((before.needed, before.id), (needed, job.id))
            found[key] = _Cut(*largest, allowed, before.jobs + 1)
    return [
        f"{rule}: {cut.jobs} of {planned[rule]} jobs need more than {cut.allowed} {unit}, up to "
        f"{cut.needed} ({cut.id}), and will ask for {cut.allowed} at every try: raise {key}"
        for (rule, key, unit), cut in sorted(found.items())
    ]
