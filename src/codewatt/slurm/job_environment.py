"""The environment variables of a Slurm job, set before its rule runs."""

from collections.abc import MutableMapping

from codewatt.run_lock import OWNER

#: SLURM_JOB_CPUS_PER_NODE of the job: the job step that runs the rule has fewer CPUs and lacks it.
JOB_CPUS = "CODEWATT_JOB_CPUS"


def prepare_job(environment: MutableMapping[str, str]) -> None:
    """Change the environment of what the job starts.

    - Models were downloaded before: a node without a network must not wait for one.
    - Slurm ends the job; it must not watch the Snakemake that submitted it, which is elsewhere.
    - The CPUs of the job on its node are kept, since those of its step may be fewer.
    """
    environment.pop(OWNER, None)
    environment.setdefault("HF_HUB_OFFLINE", "1")
    if held := environment.get("SLURM_JOB_CPUS_PER_NODE"):
        environment[JOB_CPUS] = held
