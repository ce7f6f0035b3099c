"""Nodes, partitions and accounts of a Slurm cluster, and the allocation of a job."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from codewatt.errors import CodewattError
from codewatt.slurm import scontrol
from codewatt.slurm.gres import gpu_counts

#: States in which no job starts on a node until an administrator acts. A node that is powered down
#: because it has no jobs is not among them: Slurm starts it.
_UNAVAILABLE = frozenset(
    ("DOWN", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "FUTURE", "INVAL", "INVALID_REG")
)
#: Signs that sinfo and scontrol write after a state: not responding, powered off, maintenance ...
_STATE_FLAGS = "*~#!%$@^-"


@dataclass(frozen=True)
class Partition:
    """A partition of a cluster; a limit that is None does not exist.

    Attributes:
        accounts: the accounts that may use it, in lower case as Slurm keeps them; empty: all.
        denied_accounts: the accounts that may not use it; without effect if `accounts` is given.
        max_cpus: CPUs that all its jobs together may hold on one node.
    """

    name: str
    default: bool
    state: str
    max_runtime_min: int | None
    max_mem_mb: int | None
    accounts: tuple[str, ...]
    denied_accounts: tuple[str, ...] = ()
    max_cpus: int | None = None

    def admits(self, account: str) -> bool:
        """Whether jobs of an account may use the partition."""
        name = account.lower()
        return name in self.accounts if self.accounts else name not in self.denied_accounts

    def limit_node(self, node: "Node") -> "Node":
        """A node with the CPUs and the memory that a job in this partition can have of it."""
        return replace(
            node,
            cpus=node.cpus if self.max_cpus is None else min(node.cpus, self.max_cpus),
            mem_mb=node.mem_mb if self.max_mem_mb is None else min(node.mem_mb, self.max_mem_mb),
        )


@dataclass(frozen=True)
class Node:
    """A node of a cluster.

    Attributes:
        cpus: logical CPUs that jobs can have, without those that Slurm keeps for itself.
        mem_mb: memory in MB.
        gpus: GPU type ('' where Slurm knows none) -> number.
        state: such as 'IDLE+DRAIN'.
    """

    name: str
    partitions: tuple[str, ...]
    cpus: int
    mem_mb: int
    gpus: dict[str, int]
    features: tuple[str, ...]
    state: str

    @property
    def unavailable(self) -> bool:
        """Whether no job can start on the node until an administrator acts."""
        states = (state.rstrip(_STATE_FLAGS) for state in self.state.upper().split("+"))
        return not _UNAVAILABLE.isdisjoint(states)


@dataclass(frozen=True)
class Cluster:
    """The partitions and nodes of a cluster.

    Attributes:
        accounts: the user's accounts; None where the cluster has no accounting database.
        min_job_age_s: how long Slurm remembers a finished job.
    """

    partitions: tuple[Partition, ...]
    nodes: tuple[Node, ...]
    accounts: tuple[str, ...] | None
    min_job_age_s: int | None = None

    def partition(self, name: str) -> Partition | None:
        """The partition of a name; None if there is none."""
        return next((each for each in self.partitions if each.name == name), None)

    def gpu_types(self) -> tuple[str, ...]:
        """Every GPU type, in the order of the nodes."""
        return tuple(dict.fromkeys(kind for node in self.nodes for kind in node.gpus))


@dataclass(frozen=True)
class Allocation:
    """The allocation of a Slurm job on its node.

    Attributes:
        gres: such as 'gpu:l40s:1'; '' if the job holds none.
        gpu_indices: Slurm's numbers of its GPUs, such as '0-2,5'.
        exclusive: whether the job has the node for itself.
    """

    job_id: str
    node: str
    partition: str
    gres: str
    gpu_indices: str
    exclusive: bool


def read_cluster() -> Cluster:
    """Read the cluster that this machine submits to.

    Raises:
        CodewattError: Slurm is not installed here, or does not answer.
    """
    scontrol.require_slurm()
    configuration = scontrol.show_configuration()
    age = re.search(r"^MinJobAge\s*=\s*(\d+)", configuration, re.MULTILINE)
    return Cluster(
        partitions=parse_partitions(scontrol.show_partitions()),
        nodes=read_nodes(),
        accounts=scontrol.user_accounts(configuration),
        min_job_age_s=int(age[1]) if age else None,
    )


def read_nodes(*names: str) -> tuple[Node, ...]:
    """Read nodes by name, or all nodes of the cluster.

    Raises:
        CodewattError: Slurm is not installed here, does not answer, or knows no such node.
    """
    output = scontrol.show_nodes_as_json(*names)
    if output is not None:
        try:
            return parse_json_nodes(output)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass  # The JSON form differs between versions of Slurm; the text form does not.
    return parse_nodes(scontrol.show_nodes(*names))


def read_node_cpus(environment: Mapping[str, str]) -> int | None:
    """Number of logical CPUs that Slurm has for jobs on this job's node.

    None outside of Slurm, or if Slurm does not answer.

    Args:
        environment: environment variables of the job.
    """
    if not (name := environment.get("SLURMD_NODENAME")):
        return None
    try:
        nodes = read_nodes(name)
    except CodewattError:
        return None
    return nodes[0].cpus or None if nodes else None


def read_allocation(environment: Mapping[str, str]) -> Allocation | None:
    """Read the allocation of this job on this node; None outside of Slurm.

    Args:
        environment: environment variables of the job.

    Raises:
        CodewattError: Slurm does not answer.
    """
    if not (job_id := environment.get("SLURM_JOB_ID")):
        return None
    try:
        output = scontrol.show_job(job_id)
    except CodewattError as error:
        raise CodewattError(f"{error}; the allocation of this job is unknown") from None
    return parse_allocation(job_id, output, environment.get("SLURMD_NODENAME"))


def parse_allocation(job_id: str, output: str, node: str | None) -> Allocation:
    """Parse `scontrol show job -d -o`: one JOB_GRES for the job, one GRES=... for each node."""
    indices = re.search(r"\sGRES=\S*?\(IDX:([^)]*)\)", output)
    return Allocation(
        job_id=job_id,
        node=node or _value(output, "NodeList"),
        partition=_value(output, "Partition"),
        gres=_value(output, "JOB_GRES"),
        gpu_indices=indices[1] if indices else "",
        exclusive=_value(output, "OverSubscribe") == "NO",
    )


def parse_partitions(output: str) -> tuple[Partition, ...]:
    """Parse `scontrol show partition -o`, one partition a line."""
    return tuple(
        Partition(
            name=name,
            default=_value(line, "Default") == "YES",
            state=_value(line, "State"),
            max_runtime_min=parse_minutes(_value(line, "MaxTime")),
            max_mem_mb=_number(_value(line, "MaxMemPerNode")),
            accounts=_named_accounts(_value(line, "AllowAccounts")),
            denied_accounts=_named_accounts(_value(line, "DenyAccounts")),
            max_cpus=_number(_value(line, "MaxCPUsPerNode")),
        )
        for line in output.splitlines()
        if (name := _value(line, "PartitionName"))
    )


def parse_nodes(output: str) -> tuple[Node, ...]:
    """Parse `scontrol show node -o`, one node a line."""
    return tuple(
        Node(
            name=name,
            partitions=tuple(_value(line, "Partitions").split(",")),
            cpus=_number(_value(line, "CPUEfctv")) or _number(_value(line, "CPUTot")) or 0,
            mem_mb=_number(_value(line, "RealMemory")) or 0,
            gpus=gpu_counts(_value(line, "Gres")),
            features=tuple(filter(None, _value(line, "AvailableFeatures").split(","))),
            state=_value(line, "State"),
        )
        for line in output.splitlines()
        if (name := _value(line, "NodeName"))
    )


def parse_json_nodes(output: list[dict[str, Any]]) -> tuple[Node, ...]:
    """Parse the nodes of `scontrol show node --json`.

    Raises:
        KeyError: a key is absent, as effective_cpus is in the first versions.
    """
    return tuple(
        Node(
            name=str(node["name"]),
            partitions=_strings(node["partitions"]),
            cpus=int(node["effective_cpus"] or node["cpus"]),
            mem_mb=int(node["real_memory"]),
            gpus=gpu_counts(node["gres"] or ""),
            features=_strings(node["features"]),
            state="+".join(_strings(node["state"])),
        )
        for node in output
    )


def parse_minutes(text: str) -> int | None:
    """Parse Slurm's days-hours:minutes:seconds (or fewer parts, or minutes); None if unlimited."""
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


def _strings(value: Any) -> tuple[str, ...]:
    """A list of strings, which some versions write as one string with commas."""
    return tuple(filter(None, value.split(","))) if isinstance(value, str) else tuple(value)


def _named_accounts(output: str) -> tuple[str, ...]:
    return () if output in ("ALL", "") else tuple(output.lower().split(","))


def _value(line: str, key: str) -> str:
    """The value of key=value; '' for absent and for Slurm's (null)."""
    found = re.search(rf"(?:^|\s){key}=(\S*)", line)
    return "" if found is None or found[1] == "(null)" else found[1]


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None
