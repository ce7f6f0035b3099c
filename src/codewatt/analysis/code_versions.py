"""Refuse tables that mix results of different versions of the library."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codewatt.analysis.cell_results import CellRecord, Json, VariantRecord
from codewatt.errors import CodewattError

#: How many ids an error message names before it counts the rest.
_NAMED = 30


@dataclass(frozen=True)
class _Stamp:
    """What made one result. code: module → digest; when: the manifest's mtime (ns)."""

    name: str
    when: int
    code: dict[str, str]


def check_vintages(cells: Sequence[CellRecord], variants: Sequence[VariantRecord]) -> None:
    """Check that, within each stage, a module of the library is the same for all results.

    A manifest's "code" lists the modules that its stage used, each with a digest; results that
    used different modules (another quantiser, another engine) do not contradict each other. The
    newest manifest that lists a module decides which digest of it counts.

    Raises:
        CodewattError: names the stage, the changed modules, and what to run again.
    """
    stages: dict[str, list[tuple[str, Path | None, Json | None]]] = {
        "quantise": [(v.identity["id"], v.path, v.manifest) for v in variants],
        "measure_fidelity": [(v.identity["id"], v.fidelity_path, v.fidelity) for v in variants],
        "generate": [(c.identity["id"], c.generate_path, c.generate) for c in cells],
        "evaluate": [(c.identity["id"], c.evaluate_path, c.evaluate) for c in cells],
        "energy": [(c.identity["id"], c.energy_path, c.energy) for c in cells],
    }
    for stage, results in stages.items():
        _check_stage(stage, list(_stamps(results)))


def _stamps(results: Iterable[tuple[str, Path | None, Json | None]]) -> Iterable[_Stamp]:
    for name, path, manifest in results:
        if path is not None and manifest is not None:
            yield _Stamp(name, path.stat().st_mtime_ns, _code(path, manifest))


def _code(path: Path, manifest: Json) -> dict[str, str]:
    """Module → digest; a single digest stands for the whole library."""
    code = manifest.get("code")
    if isinstance(code, str) and code:
        return {"the library": code}
    if isinstance(code, list) and code and all(isinstance(line, str) for line in code):
        return {module: digest for module, _, digest in (line.rpartition(" ") for line in code)}
    raise CodewattError(f"{path}: no 'code' (modules with their digests): run this stage again")


def _check_stage(stage: str, stamps: list[_Stamp]) -> None:
    current: dict[str, str] = {}
    for stamp in sorted(stamps, key=lambda stamp: stamp.when):
        current.update(stamp.code)
    changed: set[str] = set()
    stale: set[str] = set()
    for stamp in stamps:
        old = {module for module, digest in stamp.code.items() if current[module] != digest}
        changed |= old
        if old:
            stale.add(stamp.name)
    if stale:
        raise CodewattError(
            f"{stage}: results of different versions of the library ({_named(changed)} changed "
            f"since the older ones were made): run {stage} again for {_named(stale)}"
        )


def _named(names: set[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
