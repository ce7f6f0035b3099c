"""Refuse tables that mix results of different versions of the code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codewatt.analysis.cell_results import CellResults, VariantResults
from codewatt.errors import CodewattError

#: How many ids an error message names before it counts the rest.
_NAMED = 30


@dataclass(frozen=True)
class _ResultCode:
    """The code of one result. code: module -> digest. written_ns: mtime of its record."""

    name: str
    written_ns: int
    code: dict[str, str]


def check_code_versions(cells: Sequence[CellResults], variants: Sequence[VariantResults]) -> None:
    """Check that, within each stage, a module of the library is the same for all results.

    A manifest's "code" lists the modules that its stage used, each with a digest; results that
    used different modules (another quantiser, another engine) do not contradict each other. The
    newest manifest that lists a module decides which digest of it counts.

    Raises:
        CodewattError: names the stage, the changed modules, and what to run again.
    """
    stages: dict[str, list[_ResultCode]] = {
        "quantise": [_read_code(v.identity["id"], v.path, v.manifest) for v in variants],
        "measure_making_energy": [
            _read_code(v.identity["id"], v.making_path, v.making) for v in variants
        ],
        "measure_fidelity": [
            _read_code(v.identity["id"], v.fidelity_path, v.fidelity)
            for v in variants
            if v.fidelity is not None and v.fidelity_path is not None
        ],
        "generate": [_read_code(c.identity["id"], c.generate_path, c.generate) for c in cells],
        "evaluate": [
            _read_code(c.identity["id"], c.measured.evaluate_path, c.measured.evaluate)
            for c in cells
            if c.measured is not None
        ],
        "energy": [
            _read_code(c.identity["id"], c.measured.energy_path, c.measured.energy)
            for c in cells
            if c.measured is not None
        ],
    }
    for stage, results in stages.items():
        _check_stage(stage, results)


def _read_code(name: str, path: Path, record: Mapping[str, object]) -> _ResultCode:
    """The code lines of a record ("module digest")."""
    code = record.get("code")
    if not isinstance(code, list) or not code:
        raise CodewattError(f"{path}: no 'code' (modules with their digests): run this stage again")
    pairs = (str(line).rpartition(" ") for line in code)
    digests = {module: digest for module, _, digest in pairs}
    return _ResultCode(name, path.stat().st_mtime_ns, digests)


def _check_stage(stage: str, results: list[_ResultCode]) -> None:
    current: dict[str, str] = {}
    for result in sorted(results, key=lambda result: result.written_ns):
        current.update(result.code)
    changed: set[str] = set()
    stale: set[str] = set()
    for result in results:
        old = {module for module, digest in result.code.items() if current[module] != digest}
        changed |= old
        if old:
            stale.add(result.name)
    if stale:
        raise CodewattError(
            f"{stage}: results of different versions of the code ({_named(changed)} changed "
            f"since the older results were made): run {stage} again for {_named(stale)}"
        )


def _named(names: set[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
