"""Slurm jobs of a Snakemake that was killed: they keep running, and a restart submits them again.

Only one Snakemake at a time runs in a directory (`run_lock.hold_run`). So every job that was
submitted from the directory and is still in the queue when Snakemake starts is orphaned. Its output
counts as incomplete and is made again, so the job is cancelled before anything starts.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from codewatt.error_messages import printable
from codewatt.errors import CodewattError
from codewatt.slurm.scontrol import run_slurm

_TIMEOUT_S = 600
_POLL_S = 1.0
#: The Slurm executor writes the rule's name into the comment of each job.
_COMMENT = "rule_"


def cancel_orphaned_jobs(
    directory: str | Path, command: Callable[..., str] = run_slurm
) -> list[str]:
    """Cancel the orphaned jobs of a directory and wait until the last has ended.

    Args:
        command: runs one of Slurm's commands and returns what it prints.

    Returns:
        The ids of the cancelled jobs.

    Raises:
        CodewattError: Slurm does not answer, or a job does not end within ten minutes.
    """
    found = orphaned_jobs(directory, command)
    if not found:
        return []
    message = f"cancelling {len(found)} Slurm jobs of a killed run: {' '.join(found)}"
    print(f"codewatt: {printable(message)}", file=sys.stderr)
    command("scancel", *found)
    deadline = time.monotonic() + _TIMEOUT_S
    while left := orphaned_jobs(directory, command):
        if time.monotonic() > deadline:
            raise CodewattError(
                f"Slurm jobs {' '.join(left)} of a killed run have not ended {_TIMEOUT_S} s after "
                f"they were cancelled; end them (scancel {' '.join(left)}), then start again"
            )
        time.sleep(_POLL_S)
    return found


def orphaned_jobs(directory: str | Path, command: Callable[..., str] = run_slurm) -> list[str]:
    """Ids of the Slurm executor's jobs in the queue that were submitted from a directory."""
    output = command("squeue", "--me", "--noheader", "--format=%i|%k|%Z")
    here = Path(directory).resolve()
    rows = (line.split("|", 2) for line in output.splitlines() if line.count("|") >= 2)
    return [
        job for job, comment, where in rows
        if comment.startswith(_COMMENT) and Path(where).resolve() == here
    ]  # fmt: skip
