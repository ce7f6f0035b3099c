"""The CPU share of a job: which part of the machine's logical CPUs it holds.

The energy counters of CPU and DRAM count the whole machine. A job that holds some of its CPUs is
billed for that share of the energy. The share is an attribution, not a measurement.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from codewatt.cpu_quota import CGROUPS, OWN_CGROUPS, cpu_quota
from codewatt.energy.job_energy_record import CpuShareRecord
from codewatt.slurm.job_environment import JOB_CPUS
from codewatt.slurm.slurm_nodes import read_node_cpus

_RECORDED = ("SLURM_JOB_ID", "SLURM_CPUS_ON_NODE", "SLURM_JOB_NODELIST", "SLURM_JOB_PARTITION")


def job_cpu_share(
    environment: Mapping[str, str] | None = None,
    processors: int | None = None,
    affinity: int | None = None,
    cgroup: Path = CGROUPS,
    own_cgroups: Path = OWN_CGROUPS,
    slurm_processors: int | None = None,
) -> CpuShareRecord:
    """The number of logical CPUs that this process's job holds, and its CPU share.

    In a Slurm job, the share is the number of CPUs of the job divided by the number of CPUs that
    Slurm has for jobs on the node, even if the job step may run on fewer CPUs: no other job can
    use them. Both numbers are Slurm's, because Slurm may count cores where Linux counts threads,
    and may reserve some CPUs for itself.

    If Slurm does not report them, the smallest of three numbers is taken: the CPU affinity of the
    process (sched_getaffinity), the CPU quota of its cgroup, and SLURM_CPUS_ON_NODE.

    Args:
        environment: environment variables; None: those of this process.
        processors: number of logical CPUs of the machine; None: detected.
        affinity: number of CPUs in the affinity; None: that of this process.
        cgroup, own_cgroups: see `cpu_quota.usable_processors`.
        slurm_processors: number of CPUs that Slurm has for jobs on this node; None: read from
            Slurm.

    Returns:
        All fields of the record.
    """
    environment = os.environ if environment is None else environment
    processors = processors or os.cpu_count()
    held: dict[str, float] = {"affinity": affinity or len(os.sched_getaffinity(0))}
    if (quota := cpu_quota(cgroup, own_cgroups)) is not None:
        held["cgroup quota"] = quota
    slurm_processors = slurm_processors or read_node_cpus(environment)
    step_cpus = re.match(r"[0-9]+", environment.get("SLURM_CPUS_ON_NODE", ""))
    if job_cpus := re.match(r"[0-9]+", environment.get(JOB_CPUS, "")) or step_cpus:
        if slurm_processors and processors:
            held = {"slurm": processors * min(int(job_cpus[0]) / slurm_processors, 1.0)}
        elif processors and int(job_cpus[0]) >= processors:
            held = {"slurm": processors}
        elif step_cpus and int(step_cpus[0]) > 0:
            held["slurm"] = int(step_cpus[0])
    source = min(held, key=lambda name: held[name])
    share = None if processors is None else min(held[source] / processors, 1.0)
    return {
        "processors_held": held[source],
        "processors": processors,
        "share": share,
        "source": "whole machine" if share == 1.0 else source,
        "slurm_processors": slurm_processors,
        "slurm": {name: environment[name] for name in _RECORDED if name in environment},
    }
