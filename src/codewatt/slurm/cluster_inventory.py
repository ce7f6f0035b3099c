"""What a Slurm cluster offers: partitions, nodes and accounts, as scontrol and sacctmgr tell."""

import getpass
import re
import shutil
import subprocess
from dataclasses import dataclass, replace

from codewatt.errors import CodewattError

_TIMEOUT_S = 60
#: States in which no job starts on a node until somebody acts. One that is powered down for want
#: of jobs is not among them: Slurm starts it.
_LOST = frozenset(
    ("DOWN", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "FUTURE", "INVAL", "INVALID_REG")
)
#: What sinfo and scontrol write behind a state: not responding, powered off, in maintenance ...
_FLAGS = "*~#!%$@^-"


@dataclass(frozen=True)
class Partition:
    """A partition; None: no limit."""

    name: str
    default: bool
    state: str
    max_runtime_min: int | None
    max_mem_mb: int | None
    accounts: tuple[str, ...]
    """Those that may use it, in lower case, as Slurm keeps them; empty: all."""
    denied_accounts: tuple[str, ...] = ()
    """Those that may not; of no effect beside `accounts`."""
    max_cpus: int | None = None
    """Of all its jobs on a node together."""

    def lets_in(self, account: str) -> bool:
        """Whether jobs of the account may use it."""
        name = account.lower()
        return name in self.accounts if self.accounts else name not in self.denied_accounts

    def share(self, node: "Node") -> "Node":
        """What a job in this partition can have of a node."""
        return replace(
            node,
            cpus=node.cpus if self.max_cpus is None else min(node.cpus, self.max_cpus),
            mem_mb=node.mem_mb if self.max_mem_mb is None else min(node.mem_mb, self.max_mem_mb),
        )


@dataclass(frozen=True)
class Node:
    """A node; gpus: type ('' where Slurm knows none) -> number."""

    name: str
    partitions: tuple[str, ...]
    cpus: int
    mem_mb: int
    gpus: dict[str, int]
    features: tuple[str, ...]
    state: str

    @property
    def lost(self) -> bool:
        """Whether no job can start on it until somebody acts."""
        return not _LOST.isdisjoint(word.rstrip(_FLAGS) for word in self.state.upper().split("+"))


@dataclass(frozen=True)
class Offers:
    """A cluster. accounts: the user's; None where there is no accounting to ask."""

    partitions: tuple[Partition, ...]
    nodes: tuple[Node, ...]
    accounts: tuple[str, ...] | None
    min_job_age_s: int | None = None

    def partition(self, name: str) -> Partition | None:
        """The partition of that name."""
        return next((each for each in self.partitions if each.name == name), None)

    def gpu_types(self) -> tuple[str, ...]:
        """Every type of GPU, in the order of the nodes."""
        return tuple(dict.fromkeys(kind for node in self.nodes for kind in node.gpus))


def read_offers() -> Offers:
    """Ask the cluster that this machine submits to.

    Raises:
        CodewattError: there is no Slurm here, or it does not answer.
    """
    if shutil.which("scontrol") is None:
        raise CodewattError("scontrol: not found; run this where sbatch works (a login node)")
    configuration = _ask("scontrol", "show", "config")
    age = re.search(r"^MinJobAge\s*=\s*(\d+)", configuration, re.MULTILINE)
    return Offers(
        partitions=read_partitions(_ask("scontrol", "show", "partition", "-o")),
        nodes=read_nodes(_ask("scontrol", "show", "node", "-o")),
        accounts=_accounts(configuration),
        min_job_age_s=int(age[1]) if age else None,
    )


def read_partitions(told: str) -> tuple[Partition, ...]:
    """`scontrol show partition -o`, a line a partition."""
    return tuple(
        Partition(
            name=name,
            default=_value(line, "Default") == "YES",
            state=_value(line, "State"),
            max_runtime_min=minutes(_value(line, "MaxTime")),
            max_mem_mb=_number(_value(line, "MaxMemPerNode")),
            accounts=_named_accounts(_value(line, "AllowAccounts")),
            denied_accounts=_named_accounts(_value(line, "DenyAccounts")),
            max_cpus=_number(_value(line, "MaxCPUsPerNode")),
        )
        for line in told.splitlines()
        if (name := _value(line, "PartitionName"))
    )


def read_nodes(told: str) -> tuple[Node, ...]:
    """`scontrol show node -o`, a line a node."""
    return tuple(
        Node(
            name=name,
            partitions=tuple(_value(line, "Partitions").split(",")),
            cpus=_number(_value(line, "CPUEfctv") or _value(line, "CPUTot")) or 0,
            mem_mb=_number(_value(line, "RealMemory")) or 0,
            gpus=_gpus(_value(line, "Gres")),
            features=tuple(filter(None, _value(line, "AvailableFeatures").split(","))),
            state=_value(line, "State"),
        )
        for line in told.splitlines()
        if (name := _value(line, "NodeName"))
    )


def minutes(text: str) -> int | None:
    """Slurm's days-hours:minutes:seconds (or fewer parts, or minutes); None if unlimited."""
    if not re.fullmatch(r"(\d+-)?\d+(:\d+){0,2}", text):
        return None
    days, dash, clock = text.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if dash:  # days-hours[:minutes[:seconds]]
        hours, mins = (*parts, 0)[:2]
    elif len(parts) == 3:
        hours, mins = parts[:2]
    else:  # minutes[:seconds]
        hours, mins = 0, parts[0]
    return (int(days or 0) * 24 + hours) * 60 + mins


def _gpus(gres: str) -> dict[str, int]:
    """Type -> number of a node's gpu entries: gpu:l40s:4(S:0-1),lscratch:1."""
    found: dict[str, int] = {}
    for entry in re.sub(r"\([^)]*\)", "", gres).split(","):
        name, *parts = entry.split(":")
        if name == "gpu":
            count = int(parts.pop()) if parts and parts[-1].isdigit() else 1
            kind = parts[0] if parts else ""
            found[kind] = found.get(kind, 0) + count
    return found


def _named_accounts(told: str) -> tuple[str, ...]:
    return () if told in ("ALL", "") else tuple(told.lower().split(","))


def _accounts(configuration: str) -> tuple[str, ...] | None:
    if "accounting_storage/slurmdbd" not in configuration or shutil.which("sacctmgr") is None:
        return None
    user = getpass.getuser()
    command = ["sacctmgr", "-nP", "show", "associations", f"user={user}", "format=Account"]
    try:
        return tuple(dict.fromkeys(_ask(*command).split()))
    except CodewattError:
        return None


def _ask(*command: str) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_S
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        reason = " ".join((getattr(error, "stderr", None) or str(error)).split())
        raise CodewattError(f"{' '.join(command)}: {reason}") from None


def _value(line: str, key: str) -> str:
    """The value of key=value; '' for absent and for Slurm's (null)."""
    found = re.search(rf"(?:^|\s){key}=(\S*)", line)
    return "" if found is None or found[1] == "(null)" else found[1]


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None
