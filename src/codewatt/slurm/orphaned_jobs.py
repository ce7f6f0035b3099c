"""Jobs of a Snakemake that was killed: they run on, and its next start would submit them again.

Whoever holds the directory's lock (`interruption.hold_run`) is its only Snakemake, so that every
job which the executor ever submitted from there, and which is still in the queue, is a leftover.
What it was making counts as incomplete and is made anew: it is cancelled before anything starts.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from codewatt.error_messages import printable
from codewatt.errors import CodewattError

_PATIENCE_S = 600
_POLL_S = 1.0
#: How the executor's jobs are known: it writes the rule's name into the comment.
_COMMENT = "rule_"


def cancel_leftovers(
    directory: str | Path, ask: Callable[[list[str]], str] | None = None
) -> list[str]:
    """Cancel such jobs of a directory and wait until the last is gone. Returns their ids.

    Args:
        ask: runs a command and returns what it prints; subprocess unless given.

    Raises:
        CodewattError: Slurm does not answer, or a job does not end.
    """
    ask = ask or _run
    found = leftovers(directory, ask)
    if not found:
        return []
    print(
        "codewatt: "
        + printable(f"{len(found)} jobs of a run that was killed are cancelled: {' '.join(found)}"),
        file=sys.stderr,
    )
    ask(["scancel", *found])
    deadline = time.monotonic() + _PATIENCE_S
    while left := leftovers(directory, ask):
        if time.monotonic() > deadline:
            raise CodewattError(f"jobs {' '.join(left)} of a killed run do not end: scancel them")
        time.sleep(_POLL_S)
    return found


def leftovers(directory: str | Path, ask: Callable[[list[str]], str]) -> list[str]:
    """Ids of the executor's jobs in the queue that were submitted from a directory."""
    told = ask(["squeue", "--me", "--noheader", "--format=%i|%k|%Z"])
    here = Path(directory).resolve()
    rows = (line.split("|", 2) for line in told.splitlines() if line.count("|") >= 2)
    return [
        job for job, comment, where in rows
        if comment.startswith(_COMMENT) and Path(where).resolve() == here
    ]  # fmt: skip


def _run(command: list[str]) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=120
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        reason = " ".join((getattr(error, "stderr", None) or str(error)).split())
        raise CodewattError(f"{command[0]}: {reason}") from None
