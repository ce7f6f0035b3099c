"""The input files of aggregate, sorted into one entry for each cell and each variant."""

from collections.abc import Mapping, Sequence
from typing import Any

from codewatt.analysis.cell_results import CellEntry, VariantEntry

#: The files of a cell that aggregate reads, by the names of the rule's inputs.
CELL_FILES = {
    "generate": "generate.json",
    "completions": "completions.jsonl.gz",
    "tasks": "tasks.parquet",
    "evaluate": "evaluate.json",
    "energy": "energy.json",
    "task_energy": "task_energy.parquet",
}


def cell_entries(
    settings: Mapping[str, Any], files: Mapping[str, Sequence[str]]
) -> list[CellEntry]:
    """One entry for each cell.

    Args:
        settings: `Grid.aggregate_slice`, parsed.
        files: name of CELL_FILES -> the cells' files, in the order of the settings' cells.
    """
    entries: list[Any] = [
        {
            "cell": cell,
            "prune_layers": settings["layers_removed"][cell["prune"]],
            **{name: files[name][index] for name in CELL_FILES},
        }
        for index, cell in enumerate(settings["cells"])
    ]
    return entries


def variant_entries(
    settings: Mapping[str, Any],
    manifests: Sequence[str],
    making_energy: Sequence[str],
    fidelity: Sequence[str],
) -> list[VariantEntry]:
    """One entry for each variant.

    Args:
        settings: `Grid.aggregate_slice`, parsed.
        manifests, making_energy: the variants' files, in the order of the settings' variants.
        fidelity: the same; empty if the study measures none.
    """
    kept: list[str | None] = list(fidelity) or [None] * len(settings["variants"])
    return [
        {"variant": variant, "manifest": manifest, "making_energy": making, "fidelity": measured}
        for variant, manifest, making, measured in zip(
            settings["variants"], manifests, making_energy, kept, strict=True
        )
    ]
