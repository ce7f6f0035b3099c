"""Compare a site file with the cluster before jobs are submitted; one line for each problem."""

from collections.abc import Iterator, Sequence

from codewatt.config.site import CpuNodes, GpuNodes, Machine
from codewatt.placement.job_requests import estimated_as_problem
from codewatt.placement.node_matching import (
    Candidates,
    did_you_mean,
    join_gpu_types,
    join_names,
    limit_problems,
    node_problems,
)
from codewatt.slurm.gres import gpu_request
from codewatt.slurm.slurm_nodes import Cluster, Node, Partition


def site_problems(machine: Machine, cluster: Cluster) -> list[str]:
    """Entries with which jobs fail or are misplaced, as 'key: what is wrong; what is allowed'."""
    found = list(_account(machine, cluster))
    entries = {f"machine.hardware.{name}": nodes for name, nodes in machine.hardware.items()}
    for key, nodes in {"machine.cpu": machine.cpu, **entries}.items():
        found += _partition_problems(key, nodes, machine.account, cluster)
        found += _entry(key, nodes, cluster)
    unknown = [estimated_as_problem(name, nodes) for name, nodes in machine.hardware.items()]
    return found + [problem for problem in unknown if problem is not None]


def site_notes(machine: Machine) -> list[str]:
    """Notes on settings that are allowed, but with which some studies are refused."""
    if len(machine.hardware) > 1 and machine.default_hardware is None:
        return [
            "machine.default_hardware: absent, and machine.hardware has "
            f"{join_names(machine.hardware)}: a study that names no hardware is refused, unless "
            "its device is 'cpu'"
        ]
    return []


def _account(machine: Machine, cluster: Cluster) -> Iterator[str]:
    if cluster.accounts is None:
        return
    if machine.account is None:
        yield (
            "machine.account: required, as this cluster accounts for jobs; allowed: "
            f"{join_names(cluster.accounts)}"
        )
    elif machine.account.lower() not in map(str.lower, cluster.accounts):
        yield (
            f"machine.account: {machine.account!r} is not one of your Slurm accounts; allowed: "
            f"{join_names(cluster.accounts)}"
        )


def _entry(key: str, entry: CpuNodes, cluster: Cluster) -> Iterator[str]:
    """The problems of one entry of the site file, from its partition to its nodes."""
    if entry.threads is None:
        yield f"{key}.threads: required on a cluster; it is the number of cores of a measured job"
    wanted = _partitions(entry, cluster)
    known = [each for name in wanted if (each := cluster.partition(name)) is not None]
    partition_known = len(known) == len(wanted) > 0
    partitions = known if partition_known else cluster.partitions
    nodes = [
        partition.limit_node(node)
        for partition in partitions
        for node in cluster.nodes
        if partition.name in node.partitions
    ]
    names = join_names(each.name for each in partitions)
    candidates = [Candidates(f"any node of {names}", "every node that fits", nodes)]
    if isinstance(entry, GpuNodes):
        yield from _node_name_problems(key, entry, nodes, cluster)
        if entry.nodes:  # each of them gets its own jobs
            nodes = [node for node in nodes if node.name in entry.nodes]
            here = dict.fromkeys(node.name for node in nodes)
            candidates = [
                Candidates(name, name, [n for n in nodes if n.name == name]) for name in here
            ]
        yield from _gpu_problems(key, entry, nodes, cluster)
    for candidate in candidates:
        yield from node_problems(key, entry, candidate, cluster, partition_known)
    if partition_known:
        yield from _time_problems(key, entry, known)


def _partitions(entry: CpuNodes, cluster: Cluster) -> list[str]:
    if entry.partition is not None:
        return entry.partition.split(",")
    return [each.name for each in cluster.partitions if each.default]


def _partition_problems(
    key: str, entry: CpuNodes, account: str | None, cluster: Cluster
) -> Iterator[str]:
    key, names = f"{key}.partition", [each.name for each in cluster.partitions]
    wanted = _partitions(entry, cluster)
    if not wanted:
        allowed = join_names(names)
        yield f"{key}: required, as the cluster has no default partition; allowed: {allowed}"
    for name in wanted:
        each = cluster.partition(name)
        if each is None:
            yield (
                f"{key}: no partition {name!r}{did_you_mean(name, names)}; allowed: "
                f"{join_names(names)}"
            )
        elif each.state != "UP":
            yield f"{key}: {name} is in state {each.state}; allowed: a partition in state UP"
        elif each.accounts and (account is None or not each.admits(account)):
            yield (
                f"{key}: {name} admits the accounts {join_names(each.accounts)}, not {account!r}"
            )
        elif account is not None and not each.admits(account):
            yield (f"{key}: {name} does not admit the accounts {join_names(each.denied_accounts)}")


def _node_name_problems(
    key: str, entry: GpuNodes, nodes: Sequence[Node], cluster: Cluster
) -> Iterator[str]:
    known, members = [node.name for node in cluster.nodes], [node.name for node in nodes]
    for name in entry.nodes:
        if name not in known:
            yield f"{key}.nodes: no node {name!r}{did_you_mean(name, known)}"
        elif name not in members:
            yield f"{key}.nodes: {name} is not in the partition; allowed: {join_names(members)}"


def _gpu_problems(
    key: str, entry: GpuNodes, nodes: Sequence[Node], cluster: Cluster
) -> Iterator[str]:
    """Check that an entry names its GPU, and that its GRES matches a single GPU type."""
    if entry.gpu_name is None:
        yield (f"{key}.gpu_name: required; the GPU's name as `nvidia-smi -L` on the node writes it")
    if entry.gres is None:
        yield f"{key}.gres: required on a cluster; GPU types: {join_gpu_types(cluster.gpu_types())}"
    elif gpu_request(entry.gres).type is None and entry.constraint is None:
        here = dict.fromkeys(kind for node in nodes for kind in node.gpus)
        if len(here) > 1:
            yield (
                f"{key}.gres: a job with {entry.gres} may get any of {join_gpu_types(here)}; name "
                "the type, or add a constraint"
            )


def _time_problems(key: str, entry: CpuNodes, partitions: Sequence[Partition]) -> Iterator[str]:
    """Compare an entry's times with the largest time limit of its partitions."""
    times = [each.max_runtime_min for each in partitions]
    limits = [time for time in times if time is not None]
    if len(limits) == len(times):
        yield from limit_problems(
            key, "runtime_min", entry.runtime_min, entry.max_runtime_min, max(limits), "min per job"
        )
