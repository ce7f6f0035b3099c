"""What of a site file's entry the nodes it names cannot give: features, GPUs, cores, memory."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from codewatt.config.site import CpuNodes, GpuNodes
from codewatt.slurm.cluster_inventory import Node, Offers
from codewatt.slurm.inventory_text import listed, near, types

#: Tries of a job: the profile's two retries and the first.
TRIES = 3
_SUBMITTABLE = re.compile(r"[A-Za-z0-9_.]+")


class Places(NamedTuple):
    """Nodes of which one has to fit.

    Attributes:
        any, fitting: what they are called: 'any node of gpu' and 'every node that fits', or the
            name of the only one.
        nodes: what a job in the partition can have of each (`Partition.share`).
    """

    any: str
    fitting: str
    nodes: Sequence[Node]


def place_problems(
    key: str, entry: CpuNodes, places: Places, offers: Offers, sized: bool
) -> Iterator[str]:
    """Why no job of the entry can start on these nodes, as 'key: what; what there is'.

    Args:
        sized: whether cores and memory count: not where the partition is not known.
    """
    nodes = places.nodes
    if not nodes:
        yield f"{key}: there is not {places.any}"
        return
    features = _features(entry.constraint)
    for name in features:
        if not any(name in node.features for node in nodes):
            there = listed(sorted({each for node in nodes for each in node.features}))
            yield f"{key}.constraint: {name!r} is no feature of {places.any}; there: {there}"
            return
    if "|" not in (entry.constraint or ""):
        nodes = [node for node in nodes if set(features) <= set(node.features)]
    if not nodes:
        yield f"{key}.constraint: {listed(features)} are not together on {places.any}"
        return
    if isinstance(entry, GpuNodes) and entry.gres is not None:
        kind, number = asked_gpus(entry.gres)
        if (problem := _gres_problem(kind, number, nodes, places, offers)) is not None:
            yield f"{key}.gres: {problem}"
            return
        nodes = [node for node in nodes if _count(node, kind) >= number]
    if sized:
        yield from _size_problems(key, entry, nodes, places)


def limit_problems(
    key: str, name: str, first: int | None, most: int | None, limit: int, unit: str
) -> Iterator[str]:
    """What the first try (`name`) or retries (`max_name`) ask for beyond what there is.

    Args:
        first, most: the entry's; first is None if each job asks for what its model takes.
        limit: what there is; unit: of all three, and where.
    """
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


def asked_gpus(gres: str) -> tuple[str | None, int]:
    """Type (None: any) and number of gpu:TYPE:N."""
    parts = gres.split(":")
    return (parts[1] if len(parts) == 3 else None), int(parts[-1])


def _gres_problem(
    kind: str | None, number: int, nodes: Sequence[Node], places: Places, offers: Offers
) -> str | None:
    here = tuple(dict.fromkeys(each for node in nodes for each in node.gpus))
    if kind is not None and kind not in here:
        return f"{_no_type(kind, here, offers.gpu_types())}, on {places.any}"
    most = max((_count(node, kind) for node in nodes), default=0)
    if most < number:
        return f"{number} asked for, there is at most {most} on {places.any}"
    return None


def _no_type(kind: str, here: Sequence[str], anywhere: Sequence[str]) -> str:
    for known in here:
        if known.lower() == kind.lower():
            return f"there is no {kind!r}: case counts, it is {known!r}"
    said = f"there is no {kind!r}{near(kind, here)}; types: {types(here)}"
    if kind in anywhere:
        return f"{said} ({kind!r} is on other nodes)"
    unsubmittable = [name for name in here if name and not _SUBMITTABLE.fullmatch(name)]
    if unsubmittable:
        said += (
            f" ({unsubmittable[0]!r} cannot be named to Snakemake's executor: gpu:1 and a "
            "constraint)"
        )
    return said


def _size_problems(
    key: str, entry: CpuNodes, nodes: Sequence[Node], places: Places
) -> Iterator[str]:
    """Cores, and memory where there are as many cores: a job needs both on one node."""
    threads = entry.threads or 1
    wide = [node for node in nodes if node.cpus >= threads]
    if not wide:
        cpus = max(node.cpus for node in nodes)
        yield f"{key}.threads: {threads} asked for, a job has at most {cpus} on {places.any}"
    memory = max(node.mem_mb for node in wide or nodes)
    beside = f" with {threads} cores" if memory < max(node.mem_mb for node in nodes) else ""
    unit = f"MB on {places.any}{beside}"
    yield from limit_problems(key, "mem_mb", entry.mem_mb, entry.max_mem_mb, memory, unit)
    fit = [node for node in wide if node.mem_mb >= (entry.mem_mb or 0)]
    if fit and all(node.lost for node in fit):
        yield f"{key}: {places.fitting} is {listed(sorted({node.state for node in fit}))}"


def _count(node: Node, kind: str | None) -> int:
    return sum(node.gpus.values()) if kind is None else node.gpus.get(kind, 0)


def _features(constraint: str | None) -> list[str]:
    """The features that an expression names."""
    return re.findall(r"[A-Za-z0-9_.-]+", re.sub(r"\*\d+", "", constraint or ""))
