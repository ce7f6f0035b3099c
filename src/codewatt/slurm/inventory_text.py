"""How what there is on a cluster is put into one line."""

import difflib
from collections.abc import Iterable


def near(name: str, known: Iterable[str]) -> str:
    """A name's likely meaning, to stand behind it; nothing where none is close."""
    found = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {found[0]!r}?" if found else ""


def types(kinds: Iterable[str]) -> str:
    """Types of GPU, as Slurm has them."""
    return listed(kind or "gpu without a type" for kind in kinds)


def listed(names: Iterable[str]) -> str:
    """Names, or 'none'."""
    return ", ".join(names) or "none"
