"""Refuse tables that mix results of different versions of the library."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from codewatt.analysis.records import CellRecord, Json, VariantRecord
from codewatt.errors import CodewattError

#: How many ids an error message names before it counts the rest.
_NAMED = 30

#: (id of the cell or variant, path of the manifest, its digest of the library's files)
Stamp = tuple[str, Path, str]


def check_vintages(
    cells: Sequence[CellRecord],
    variants: Sequence[VariantRecord],
    current: dict[str, str] | None = None,
) -> None:
    """Check that each stage's results carry one digest of the library's files.

    Args:
        current: the digest that each stage has now (generate, evaluate, energy, quantise), when
            the caller knows it; else the digest of the newest manifest counts as current.

    Raises:
        CodewattError: names the stage, the cells (or variants) to run again, and the digests.
    """
    current = current or {}
    stages: dict[str, list[Stamp]] = {
        "quantise": list(_stamps((v.identity["id"], v.path, v.manifest) for v in variants)),
        "generate": list(_stamps((_id(c), c.generate_path, c.generate) for c in cells)),
        "evaluate": list(_stamps((_id(c), c.evaluate_path, c.evaluate) for c in cells)),
        "energy": list(_stamps((_id(c), c.energy_path, c.energy) for c in cells)),
    }
    for stage, stamps in stages.items():
        _check_stage(stage, stamps, current.get(stage))


def _id(cell: CellRecord) -> str:
    return str(cell.identity["id"])


def _stamps(entries: Iterable[tuple[str, Path | None, Json | None]]) -> Iterable[Stamp]:
    for name, path, manifest in entries:
        if path is None or manifest is None:
            continue
        code = manifest.get("code")
        # A status record says only that a cell cannot run; older ones may carry no digest.
        if code is None and manifest.get("status") is not None:
            continue
        if not isinstance(code, str) or not code:
            raise CodewattError(f"{path}: no 'code' (the digest of the library's files)")
        yield name, path, code


def _check_stage(stage: str, stamps: list[Stamp], current: str | None) -> None:
    if current is None and len({code for _, _, code in stamps}) < 2:
        return
    kept = current or max(stamps, key=lambda stamp: stamp[1].stat().st_mtime_ns)[2]
    stale = sorted(name for name, _, code in stamps if code != kept)
    if not stale:
        return
    others = sorted({code[:12] for _, _, code in stamps if code != kept})
    named = ", ".join(stale[:_NAMED])
    more = f" and {len(stale) - _NAMED} more" if len(stale) > _NAMED else ""
    whose = "current" if current else "newest"
    raise CodewattError(
        f"{stage}: results of different versions of the library (code {', '.join(others)}; "
        f"{whose} {kept[:12]}): run {stage} again for {named}{more}"
    )
