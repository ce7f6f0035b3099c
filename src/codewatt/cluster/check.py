"""What of a site file does not fit the cluster: one line each, before anything is submitted."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence

from codewatt.cluster.offers import Node, Offers, Partition
from codewatt.config.machine import CpuNodes, GpuNodes, Machine

#: Tries of a job: the profile's two retries and the first.
TRIES = 3
_SUBMITTABLE = re.compile(r"[A-Za-z0-9_.]+")


def problems(machine: Machine, offers: Offers) -> list[str]:
    """Everything that would fail or misplace jobs, as 'key: what; what there is'."""
    found = list(_account(machine, offers))
    entries = {f"machine.hardware.{name}": nodes for name, nodes in machine.hardware.items()}
    for key, nodes in {"machine.cpu": machine.cpu, **entries}.items():
        found += _partition_problems(key, nodes, machine.account, offers)
        found += _entry(key, nodes, offers)
    return found


def _account(machine: Machine, offers: Offers) -> Iterator[str]:
    if offers.accounts is None:
        return
    if machine.account is None:
        yield f"machine.account: required, as jobs are accounted; yours: {_list(offers.accounts)}"
    elif machine.account.lower() not in map(str.lower, offers.accounts):
        yield f"machine.account: {machine.account!r} is not yours; {_list(offers.accounts)} is"


def _entry(key: str, entry: CpuNodes, offers: Offers) -> Iterator[str]:
    """One entry's problems, from the partition down to what a node of it can give."""
    if entry.threads is None:
        yield f"{key}.threads: required on a cluster: the cores of a measured job"
    wanted = _partitions(entry, offers)
    known = [each for name in wanted if (each := offers.partition(name)) is not None]
    sure = len(known) == len(wanted) > 0
    names = [each.name for each in (known if sure else offers.partitions)]
    nodes = [node for node in offers.nodes if set(names) & set(node.partitions)]
    if isinstance(entry, GpuNodes):
        yield from _node_name_problems(key, entry, nodes, offers)
        nodes = [node for node in nodes if not entry.nodes or node.name in entry.nodes]
    features = _features(entry.constraint)
    for name in features:
        if not any(name in node.features for node in nodes):
            there = _list(sorted({each for node in nodes for each in node.features}))
            yield f"{key}.constraint: no node of {_list(names)} has {name!r}; there: {there}"
            return
    if "|" not in (entry.constraint or ""):
        nodes = [node for node in nodes if set(features) <= set(node.features)]
    if isinstance(entry, GpuNodes):
        unfit = list(_gres_problems(key, entry, nodes, names, offers))
        yield from unfit
        if unfit:
            return
        nodes = [node for node in nodes if _has(node, entry.gres)]
    if sure:
        yield from _size_problems(key, entry, nodes, known)


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
        yield f"{key}: required, as the cluster has no default; there: {_list(names)}"
    for name in wanted:
        each = offers.partition(name)
        if each is None:
            yield f"{key}: there is no {name!r}{_near(name, names)}; there: {_list(names)}"
        elif each.state != "UP":
            yield f"{key}: {name} is {each.state}"
        elif each.accounts and account not in each.accounts:
            yield f"{key}: {name} is for accounts {_list(each.accounts)}, not for {account!r}"


def _node_name_problems(
    key: str, entry: GpuNodes, nodes: Sequence[Node], offers: Offers
) -> Iterator[str]:
    known, members = [node.name for node in offers.nodes], [node.name for node in nodes]
    for name in entry.nodes:
        if name not in known:
            yield f"{key}.nodes: there is no node {name!r}{_near(name, known)}"
        elif name not in members:
            yield f"{key}.nodes: {name} is not in the partition; there: {_list(members)}"


def _gres_problems(
    key: str, entry: GpuNodes, nodes: Sequence[Node], partitions: Iterable[str], offers: Offers
) -> Iterator[str]:
    if entry.gpu_name is None:
        yield (
            f"{key}.gpu_name: required, as `nvidia-smi -L` writes it there: what a job must find"
        )
    if entry.gres is None:
        yield f"{key}.gres: required on a cluster; types here: {_types(offers.gpu_types())}"
        return
    kind, number = _asked(entry.gres)
    here = tuple(dict.fromkeys(each for node in nodes for each in node.gpus))
    if kind is None:
        if len(here) > 1 and entry.constraint is None:
            yield (
                f"{key}.gres: {entry.gres} may get any of {_types(here)}; name the type, or a "
                "constraint"
            )
    elif kind not in here:
        yield f"{key}.gres: {_no_type(kind, here, offers.gpu_types())}, in {_list(partitions)}"
        return
    most = max((_count(node, kind) for node in nodes), default=0)
    if most < number:
        yield f"{key}.gres: {number} asked for, but no node of {_list(partitions)} has over {most}"


def _no_type(kind: str, here: Sequence[str], anywhere: Sequence[str]) -> str:
    for known in here:
        if known.lower() == kind.lower():
            return f"there is no {kind!r}: case counts, it is {known!r}"
    said = f"there is no {kind!r}{_near(kind, here)}; types: {_types(here)}"
    if kind in anywhere:
        return f"{said} ({kind!r} is in other partitions)"
    unsubmittable = [name for name in here if name and not _SUBMITTABLE.fullmatch(name)]
    if unsubmittable:
        said += (
            f" ({unsubmittable[0]!r} cannot be named to Snakemake's executor: gpu:1 and a "
            "constraint)"
        )
    return said


def _size_problems(
    key: str, entry: CpuNodes, nodes: Sequence[Node], partitions: Sequence[Partition]
) -> Iterator[str]:
    """Cores, memory and time against the largest node and the partition that allows most."""
    if not nodes:
        yield f"{key}: no node has all of what is asked for"
        return
    if all(node.lost for node in nodes):
        yield f"{key}: every node that fits is {_list(sorted({node.state for node in nodes}))}"
    cpus = max(node.cpus for node in nodes)
    if entry.threads is not None and entry.threads > cpus:
        yield f"{key}.threads: {entry.threads} asked for, the largest node has {cpus}"
    limits = [each.max_mem_mb for each in partitions]
    memory = max(node.mem_mb for node in nodes)
    if limits and None not in limits:
        memory = min(memory, max(limit for limit in limits if limit is not None))
    yield from _limit_problems(key, "mem_mb", entry.mem_mb, entry.max_mem_mb, memory, "MB a node")
    times = [each.max_runtime_min for each in partitions]
    if None not in times:
        longest = max(time for time in times if time is not None)
        yield from _limit_problems(
            key, "runtime_min", entry.runtime_min, entry.max_runtime_min, longest, "min a job"
        )


def _limit_problems(
    key: str, name: str, first: int | None, most: int | None, limit: int, unit: str
) -> Iterator[str]:
    """first: None if each job asks for what its model takes."""
    if first is not None and first > limit:
        yield f"{key}.{name}: {first} asked for, there is at most {limit} {unit}"
    elif most is not None and most > limit:
        yield f"{key}.max_{name}: {most}, but there is at most {limit} {unit}"
    elif most is None and (first is None or first * TRIES > limit):
        wanted = "more" if first is None else first * TRIES
        yield (
            f"{key}.max_{name}: required: the second retry may ask for {wanted}, there is at most "
            f"{limit} {unit}"
        )


def _asked(gres: str) -> tuple[str | None, int]:
    parts = gres.split(":")
    return (parts[1] if len(parts) == 3 else None), int(parts[-1])


def _count(node: Node, kind: str | None) -> int:
    return sum(node.gpus.values()) if kind is None else node.gpus.get(kind, 0)


def _has(node: Node, gres: str | None) -> bool:
    kind, number = _asked(gres or "gpu:1")
    return _count(node, kind) >= number


def _features(constraint: str | None) -> list[str]:
    """The features that an expression names."""
    return re.findall(r"[A-Za-z0-9_.-]+", re.sub(r"\*\d+", "", constraint or ""))


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _types(kinds: Sequence[str]) -> str:
    return _list(kind or "gpu without a type" for kind in kinds)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
