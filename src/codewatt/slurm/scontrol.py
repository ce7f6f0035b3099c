"""The commands of Slurm that codewatt calls: scontrol, sacctmgr, squeue and scancel.

Nodes are read as JSON from Slurm 23.02 on, and as text from older versions or where the JSON
plugin is not installed. Jobs, partitions and the configuration are read as text: the JSON form of
a job lacks the sum of its GRES, that of a partition lacks whether it is the default one.
"""

import getpass
import json
import re
import shutil
import subprocess
from typing import Any

from codewatt.errors import CodewattError

_TIMEOUT_S = 120
_FIRST_WITH_JSON = (23, 2)


def run_slurm(*command: str) -> str:
    """Run one of Slurm's commands and return what it prints.

    Raises:
        CodewattError: the command is not installed, fails or does not answer in two minutes.
    """
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_S
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        reason = " ".join((getattr(error, "stderr", None) or str(error)).split())
        raise CodewattError(f"{' '.join(command)}: {reason}") from None


def require_slurm() -> None:
    """Check that Slurm's commands are installed here.

    Raises:
        CodewattError: they are not.
    """
    if shutil.which("scontrol") is None:
        raise CodewattError("scontrol: not found; run this where sbatch works (a login node)")


def show_configuration() -> str:
    """`scontrol show config`: one 'key = value' a line."""
    return run_slurm("scontrol", "show", "config")


def show_partitions() -> str:
    """`scontrol show partition -o`: one partition a line."""
    return run_slurm("scontrol", "show", "partition", "-o")


def show_nodes(*names: str) -> str:
    """`scontrol show node -o`: one node a line; all nodes if no name is given."""
    return run_slurm("scontrol", "show", "node", "-o", *names)


def show_nodes_as_json(*names: str) -> list[dict[str, Any]] | None:
    """`scontrol show node --json`: the list of nodes; None where Slurm cannot write JSON."""
    try:
        if _version() < _FIRST_WITH_JSON:
            return None
        nodes = json.loads(run_slurm("scontrol", "show", "node", *names, "--json"))["nodes"]
    except (CodewattError, ValueError, KeyError, TypeError):
        return None
    return nodes if isinstance(nodes, list) and nodes else None


def show_job(job_id: str) -> str:
    """`scontrol show job -d -o`: a job and what it holds on each node, on one line."""
    return run_slurm("scontrol", "show", "job", "-d", "-o", job_id)


def user_accounts(configuration: str) -> tuple[str, ...] | None:
    """The Slurm accounts of this user; None where the cluster has no accounting database.

    Args:
        configuration: see `show_configuration`.
    """
    if "accounting_storage/slurmdbd" not in configuration or shutil.which("sacctmgr") is None:
        return None
    user = f"user={getpass.getuser()}"
    try:
        output = run_slurm("sacctmgr", "-nP", "show", "associations", user, "format=Account")
    except CodewattError:
        return None
    return tuple(dict.fromkeys(output.split()))


def _version() -> tuple[int, int]:
    """Year and month of Slurm's version: (23, 2) for 'slurm 23.02.7'."""
    found = re.search(r"(\d+)\.(\d+)", run_slurm("scontrol", "--version"))
    return (int(found[1]), int(found[2])) if found else (0, 0)
