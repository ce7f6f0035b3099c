"""What a cluster's job sets up before its rule runs: Snakemake starts anew in it."""

from collections.abc import MutableMapping

from codewatt.energy.cpu_share import JOB_CPUS
from codewatt.run_lock import OWNER


def prepare_job(environment: MutableMapping[str, str]) -> None:
    """Change the environment of what the job starts.

    - Models were fetched before: a node without a network must not wait for one.
    - The job is its scheduler's to end, and not to watch the Snakemake that submitted it.
    - The processors of the job's node stand in Slurm's variables of the job, not of its step.
    """
    environment.pop(OWNER, None)
    environment.setdefault("HF_HUB_OFFLINE", "1")
    if held := environment.get("SLURM_JOB_CPUS_PER_NODE"):
        environment[JOB_CPUS] = held
