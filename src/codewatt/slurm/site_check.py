"""What of a site file does not fit the cluster: one line each, before anything is submitted."""

from collections.abc import Iterator, Sequence

from codewatt.config.site import CpuNodes, GpuNodes, Machine
from codewatt.slurm.cluster_inventory import Node, Offers, Partition
from codewatt.slurm.inventory_text import listed, near, types
from codewatt.slurm.job_resources import estimate_problem
from codewatt.slurm.node_matching import Places, asked_gpus, limit_problems, place_problems


def problems(machine: Machine, offers: Offers) -> list[str]:
    """Everything that would fail or misplace jobs, as 'key: what; what there is'."""
    found = list(_account(machine, offers))
    entries = {f"machine.hardware.{name}": nodes for name, nodes in machine.hardware.items()}
    for key, nodes in {"machine.cpu": machine.cpu, **entries}.items():
        found += _partition_problems(key, nodes, machine.account, offers)
        found += _entry(key, nodes, offers)
    unknown = [estimate_problem(name, nodes) for name, nodes in machine.hardware.items()]
    return found + [problem for problem in unknown if problem is not None]


def notes(machine: Machine) -> list[str]:
    """What is no mistake by itself, but makes some studies be refused."""
    if len(machine.hardware) > 1 and machine.default_hardware is None:
        return [
            f"machine.default_hardware: absent, and there are {listed(machine.hardware)}: a study "
            "that names no hardware is refused, unless its device is cpu"
        ]
    return []


def _account(machine: Machine, offers: Offers) -> Iterator[str]:
    if offers.accounts is None:
        return
    if machine.account is None:
        yield f"machine.account: required, as jobs are accounted; yours: {listed(offers.accounts)}"
    elif machine.account.lower() not in map(str.lower, offers.accounts):
        yield f"machine.account: {machine.account!r} is not yours; {listed(offers.accounts)} is"


def _entry(key: str, entry: CpuNodes, offers: Offers) -> Iterator[str]:
    """One entry's problems, from the partition down to what a node of it can give."""
    if entry.threads is None:
        yield f"{key}.threads: required on a cluster: the cores of a measured job"
    wanted = _partitions(entry, offers)
    known = [each for name in wanted if (each := offers.partition(name)) is not None]
    sure = len(known) == len(wanted) > 0
    partitions = known if sure else offers.partitions
    nodes = [
        partition.share(node)
        for partition in partitions
        for node in offers.nodes
        if partition.name in node.partitions
    ]
    names = listed(each.name for each in partitions)
    places = [Places(f"any node of {names}", "every node that fits", nodes)]
    if isinstance(entry, GpuNodes):
        yield from _node_name_problems(key, entry, nodes, offers)
        if entry.nodes:  # each of them gets jobs of its own
            nodes = [node for node in nodes if node.name in entry.nodes]
            here = dict.fromkeys(node.name for node in nodes)
            places = [Places(name, name, [n for n in nodes if n.name == name]) for name in here]
        yield from _gpu_problems(key, entry, nodes, offers)
    for place in places:
        yield from place_problems(key, entry, place, offers, sure)
    if sure:
        yield from _time_problems(key, entry, known)


def _partitions(entry: CpuNodes, offers: Offers) -> list[str]:
    if entry.partition is not None:
        return entry.partition.split(",")
    return [each.name for each in offers.partitions if each.default]


def _partition_problems(
    key: str, entry: CpuNodes, account: str | None, offers: Offers
) -> Iterator[str]:
    key, names = f"{key}.partition", [each.name for each in offers.partitions]
    wanted = _partitions(entry, offers)
    if not wanted:
        yield f"{key}: required, as the cluster has no default; there: {listed(names)}"
    for name in wanted:
        each = offers.partition(name)
        if each is None:
            yield f"{key}: there is no {name!r}{near(name, names)}; there: {listed(names)}"
        elif each.state != "UP":
            yield f"{key}: {name} is {each.state}"
        elif each.accounts and (account is None or not each.lets_in(account)):
            yield f"{key}: {name} is for accounts {listed(each.accounts)}, not for {account!r}"
        elif account is not None and not each.lets_in(account):
            yield f"{key}: {name} is not for accounts {listed(each.denied_accounts)}"


def _node_name_problems(
    key: str, entry: GpuNodes, nodes: Sequence[Node], offers: Offers
) -> Iterator[str]:
    known, members = [node.name for node in offers.nodes], [node.name for node in nodes]
    for name in entry.nodes:
        if name not in known:
            yield f"{key}.nodes: there is no node {name!r}{near(name, known)}"
        elif name not in members:
            yield f"{key}.nodes: {name} is not in the partition; there: {listed(members)}"


def _gpu_problems(
    key: str, entry: GpuNodes, nodes: Sequence[Node], offers: Offers
) -> Iterator[str]:
    """What an entry must say of its GPU, and whether it tells one type from others."""
    if entry.gpu_name is None:
        yield (
            f"{key}.gpu_name: required, as `nvidia-smi -L` writes it there: what a job must find"
        )
    if entry.gres is None:
        yield f"{key}.gres: required on a cluster; types here: {types(offers.gpu_types())}"
    elif asked_gpus(entry.gres)[0] is None and entry.constraint is None:
        here = dict.fromkeys(kind for node in nodes for kind in node.gpus)
        if len(here) > 1:
            yield (
                f"{key}.gres: {entry.gres} may get any of {types(here)}; name the type, or a "
                "constraint"
            )


def _time_problems(key: str, entry: CpuNodes, partitions: Sequence[Partition]) -> Iterator[str]:
    """Time against the partition that allows most."""
    times = [each.max_runtime_min for each in partitions]
    limits = [time for time in times if time is not None]
    if len(limits) == len(times):
        yield from limit_problems(
            key, "runtime_min", entry.runtime_min, entry.max_runtime_min, max(limits), "min a job"
        )
