"""Which part of the machine's processors a job holds: what its share of CPU and DRAM rests on.

The counters of CPU and DRAM are the whole machine's. A job that holds some of its processors is
billed for a share of them, by their number; that share is an attribution, not a measurement.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codewatt.cpu_quota import CGROUPS, OWN_CGROUPS, cpu_quota

_SCONTROL_TIMEOUT_S = 60
_NAMES = ("SLURM_JOB_ID", "SLURM_CPUS_ON_NODE", "SLURM_JOB_NODELIST", "SLURM_JOB_PARTITION")
#: SLURM_JOB_CPUS_PER_NODE of the job; Snakemake's job step runs on fewer and no longer has it.
JOB_CPUS = "CODEWATT_JOB_CPUS"


def job_allocation(
    environment: Mapping[str, str] | None = None,
    processors: int | None = None,
    affinity: int | None = None,
    cgroup: Path = CGROUPS,
    own_cgroups: Path = OWN_CGROUPS,
    slurm_processors: int | None = None,
) -> dict[str, Any]:
    """What this process's job holds of the machine's logical processors.

    In a job of Slurm that tells how many processors its node has for jobs, the job holds its part
    of those, whatever its step may run on: nobody else can have them. Slurm may count cores where
    Linux counts threads, or keep some for itself, so that only its own two numbers compare.

    Elsewhere the smallest of three counts is taken: the processors that the kernel lets the process
    run on (sched_getaffinity), its cgroup's quota (cpu.max), and Slurm's SLURM_CPUS_ON_NODE.

    Args:
        environment, processors, affinity: of this process, unless given.
        cgroup, own_cgroups: where cgroups are mounted, and where Linux names this process's.
        slurm_processors: of this node for jobs, as Slurm counts; asked of it unless given.

    Returns:
        {"processors_held", "processors", "share" (0 to 1), "source", "slurm", "slurm_processors"};
        share is None where the machine's processors cannot be counted, slurm_processors where
        Slurm did not say them.
    """
    environment = os.environ if environment is None else environment
    processors = processors or os.cpu_count()
    held: dict[str, float] = {"affinity": affinity or len(os.sched_getaffinity(0))}
    if (quota := cpu_quota(cgroup, own_cgroups)) is not None:
        held["cgroup quota"] = quota
    slurm_processors = slurm_processors or _slurm_processors(environment)
    of_step = re.match(r"[0-9]+", environment.get("SLURM_CPUS_ON_NODE", ""))
    if of_job := re.match(r"[0-9]+", environment.get(JOB_CPUS, "")) or of_step:
        if slurm_processors and processors:
            held = {"slurm": processors * min(int(of_job[0]) / slurm_processors, 1.0)}
        elif processors and int(of_job[0]) >= processors:
            held = {"slurm": processors}
        elif of_step and int(of_step[0]) > 0:
            held["slurm"] = int(of_step[0])
    source = min(held, key=lambda name: held[name])
    share = None if processors is None else min(held[source] / processors, 1.0)
    return {
        "processors_held": held[source],
        "processors": processors,
        "share": share,
        "source": "whole machine" if share == 1.0 else source,
        "slurm_processors": slurm_processors,
        "slurm": {name: environment[name] for name in _NAMES if name in environment},
    }


def _slurm_processors(environment: Mapping[str, str]) -> int | None:
    """The processors that Slurm has for jobs on this node; None outside of it or without answer."""
    if not (node := environment.get("SLURMD_NODENAME")):
        return None
    command = ["scontrol", "show", "node", "-o", node]
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_SCONTROL_TIMEOUT_S
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return read_processors(told)


def read_processors(told: str) -> int | None:
    """`scontrol show node -o`, read: CPUEfctv, less what Slurm keeps for itself, else CPUTot."""
    for name in ("CPUEfctv", "CPUTot"):
        if (found := re.search(rf"\s{name}=([0-9]+)\b", told)) and int(found[1]) > 0:
            return int(found[1])
    return None
