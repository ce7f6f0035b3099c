"""GRES strings of Slurm: of requests, nodes and allocations.

Examples: 'gpu:l40s:2' (requested), 'gpu:l40s:4(S:0-1),lscratch:1' (of a node),
'gpu:l40s:1(IDX:2)' (of a running job). Syntax: `man slurm.conf` (Gres), `man sbatch` (--gres).
"""

import re
from dataclasses import dataclass

_NAME = r"[A-Za-z0-9_.]+"
#: Snakemake's Slurm executor refuses '-' and ',' in a GRES.
_REQUEST = re.compile(rf"gpu(:{_NAME})?:[1-9][0-9]*")
#: What follows an entry: sockets (S:0-1) or indices (IDX:0,2).
_DETAILS = re.compile(r"\([^)]*\)")


@dataclass(frozen=True)
class Gres:
    """One generic resource.

    Attributes:
        name: 'gpu', for example.
        type: the GPU type, as slurm.conf spells it; None if the string names none.
        count: how many.
    """

    name: str
    type: str | None
    count: int


def parse_gres(text: str) -> tuple[Gres, ...]:
    """Parse a list of generic resources; an entry without a count means one."""
    entries = _DETAILS.sub("", text).split(",")
    return tuple(_entry(entry) for entry in entries if entry and entry != "(null)")


def gpu_counts(text: str) -> dict[str, int]:
    """GPU type ('' if the string names none) -> number of GPUs in a GRES string."""
    counts: dict[str, int] = {}
    for gres in parse_gres(text):
        if gres.name == "gpu":
            counts[gres.type or ""] = counts.get(gres.type or "", 0) + gres.count
    return counts


def is_gpu_request(text: str) -> bool:
    """Whether a string is gpu:TYPE:N or gpu:N as Snakemake's Slurm executor accepts it."""
    return _REQUEST.fullmatch(text) is not None


def is_requestable_type(name: str) -> bool:
    """Whether Snakemake's Slurm executor accepts a GPU type in a request."""
    return re.fullmatch(_NAME, name) is not None


def gpu_request(text: str) -> Gres:
    """Parse a request that `is_gpu_request` accepts."""
    (request,) = parse_gres(text)
    return request


def parse_indices(text: str) -> set[int]:
    """Parse a list of GPU indices such as '0-2,5'; an unknown form gives an empty set."""
    indices: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if not (first.isdigit() and (last or first).isdigit()):
            return set()
        indices.update(range(int(first), int(last or first) + 1))
    return indices


def _entry(text: str) -> Gres:
    name, *parts = text.split(":")
    count = int(parts.pop()) if parts and parts[-1].isdigit() else 1
    return Gres(name, parts[0] if parts else None, count)
