"""Whether nodes have what an entry of the site file requests: features, GPUs, cores, memory."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from codewatt.config.site import CpuNodes, GpuNodes
from codewatt.slurm.gres import Gres, gpu_request, is_requestable_type
from codewatt.slurm.slurm_nodes import Cluster, Node

#: Attempts of a job: the first, and the two retries of the profile.
ATTEMPTS = 3


class Candidates(NamedTuple):
    """Nodes; at least one of them must have everything that an entry of the site file requests.

    Attributes:
        any, fitting: what messages call the nodes, for example 'any node of gpu' and 'every node
            that fits'; for a single node both are its name.
        nodes: the nodes, with the partition's limits applied (`Partition.limit_node`).
    """

    any: str
    fitting: str
    nodes: Sequence[Node]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """'; did you mean ...?' with the most similar known name; '' if none is similar."""
    found = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {found[0]!r}?" if found else ""


def join_names(names: Iterable[str]) -> str:
    """Names on one line, or 'none'."""
    return ", ".join(names) or "none"


def join_gpu_types(types: Iterable[str]) -> str:
    """GPU types on one line, as Slurm spells them."""
    return join_names(name or "gpu without a type" for name in types)


def node_problems(
    key: str, entry: CpuNodes, candidates: Candidates, cluster: Cluster, partition_known: bool
) -> Iterator[str]:
    """Why no job of an entry can start on the nodes, as 'key: what is wrong; what is allowed'.

    Args:
        key: key of the entry in the site file.
        partition_known: whether the entry's partition exists; without it, cores and memory are not
            checked.
    """
    nodes = candidates.nodes
    if not nodes:
        yield f"{key}: {candidates.any}: no such node"
        return
    features = _features(entry.constraint)
    for name in features:
        if not any(name in node.features for node in nodes):
            available = join_names(sorted({each for node in nodes for each in node.features}))
            yield (
                f"{key}.constraint: {name!r} is not a feature of {candidates.any}; features there: "
                f"{available}"
            )
            return
    if "|" not in (entry.constraint or ""):
        nodes = [node for node in nodes if set(features) <= set(node.features)]
    if not nodes:
        yield (
            f"{key}.constraint: {candidates.any} must have all of {join_names(features)}; none has"
        )
        return
    if isinstance(entry, GpuNodes) and entry.gres is not None:
        request = gpu_request(entry.gres)
        if (problem := _gres_problem(request, nodes, candidates, cluster)) is not None:
            yield f"{key}.gres: {problem}"
            return
        nodes = [node for node in nodes if _gpu_count(node, request.type) >= request.count]
    if partition_known:
        yield from _size_problems(key, entry, nodes, candidates)


def limit_problems(
    key: str, name: str, first: int | None, most: int | None, limit: int, unit: str
) -> Iterator[str]:
    """Compare what an entry's jobs may request with the largest request that can be granted.

    Args:
        key: key of the entry in the site file.
        name: "mem_mb" or "runtime_min".
        first: value of the key `name`, the request of the first attempt; None if each job requests
            what its model needs.
        most: value of the key `max_NAME`, the largest request of a retry; None if absent.
        limit: largest request that can be granted.
        unit: unit of these values and what the limit applies to, for the message.

    Yields:
        'key: what is wrong; what is allowed'.
    """
    if first is not None and first > limit:
        yield f"{key}.{name}: {first} requested; allowed: at most {limit} {unit}"
    elif most is not None and most > limit:
        yield f"{key}.max_{name}: {most} given; allowed: at most {limit} {unit}"
    elif most is None and (first is None or first * ATTEMPTS > limit):
        wanted = "more" if first is None else first * ATTEMPTS
        yield (
            f"{key}.max_{name}: required, because the second retry may request {wanted}; allowed: "
            f"at most {limit} {unit}"
        )


def _gres_problem(
    request: Gres, nodes: Sequence[Node], candidates: Candidates, cluster: Cluster
) -> str | None:
    here = tuple(dict.fromkeys(each for node in nodes for each in node.gpus))
    if request.type is not None and request.type not in here:
        problem = _unknown_type(request.type, here, cluster.gpu_types())
        return f"{candidates.any}: {problem}"
    most = max((_gpu_count(node, request.type) for node in nodes), default=0)
    if most < request.count:
        return f"{request.count} GPUs requested; allowed: at most {most} on {candidates.any}"
    return None


def _unknown_type(name: str, here: Sequence[str], anywhere: Sequence[str]) -> str:
    for known in here:
        if known.lower() == name.lower():
            return f"no GPU type {name!r}; upper and lower case count, it is {known!r}"
    problem = f"no GPU type {name!r}{did_you_mean(name, here)}; types there: {join_gpu_types(here)}"
    if name in anywhere:
        return f"{problem} ({name!r} is on other nodes)"
    refused = [known for known in here if known and not is_requestable_type(known)]
    if refused:
        problem += (
            f" (Snakemake's Slurm executor refuses the name {refused[0]!r}; use gpu:1 and a "
            "constraint)"
        )
    return problem


def _size_problems(
    key: str, entry: CpuNodes, nodes: Sequence[Node], candidates: Candidates
) -> Iterator[str]:
    """Check cores, and the memory of nodes with enough cores: a job needs both on one node."""
    threads = entry.threads or 1
    wide = [node for node in nodes if node.cpus >= threads]
    if not wide:
        cpus = max(node.cpus for node in nodes)
        yield f"{key}.threads: {threads} requested; allowed: at most {cpus} on {candidates.any}"
    memory = max(node.mem_mb for node in wide or nodes)
    beside = f" with {threads} cores" if memory < max(node.mem_mb for node in nodes) else ""
    unit = f"MB on {candidates.any}{beside}"
    yield from limit_problems(key, "mem_mb", entry.mem_mb, entry.max_mem_mb, memory, unit)
    fitting = [node for node in wide if node.mem_mb >= (entry.mem_mb or 0)]
    if fitting and all(node.unavailable for node in fitting):
        states = join_names(sorted({node.state for node in fitting}))
        yield f"{key}: {candidates.fitting} is unavailable (state {states})"


def _gpu_count(node: Node, type_: str | None) -> int:
    return sum(node.gpus.values()) if type_ is None else node.gpus.get(type_, 0)


def _features(constraint: str | None) -> list[str]:
    """The features that a constraint names."""
    return re.findall(r"[A-Za-z0-9_.-]+", re.sub(r"\*\d+", "", constraint or ""))
