"""Cell tables of the study files that repeat published studies, with values that a test chooses."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from codewatt.analysis.columns import CELL
from codewatt.analysis.tables import to_table
from codewatt.cells import Cell
from codewatt.config.load_study import load_study
from codewatt.grid import Grid
from codewatt.parquet import write_frame

STUDIES = Path(__file__).resolve().parents[2] / "config" / "studies"
#: Parameters as the model cards state them.
PARAMETERS = {
    "starcoder2-3b": 3_030_371_328,
    "starcoder2-7b": 7_173_923_840,
    "phi-2": 2_779_683_840,
    "qwen-7b": 7_615_616_512,
    "qwen-7b-it": 7_615_616_512,
    "qwen-7b-gptq8": 7_615_616_512,
    "qwen-coder-7b": 7_615_616_512,
    "llama-8b": 8_030_261_248,
    "deepseek-lite": 15_706_484_224,
}


def study_cells(name: str) -> tuple[Cell, ...]:
    """The cells of a study file of this project."""
    return Grid(load_study(STUDIES / f"{name}.yaml")).cells


def cell_row(name: str, cell: Cell, **values: Any) -> dict[str, Any]:
    """A row of the cell table: a cell that ran, with these values; others are absent."""
    study = load_study(STUDIES / f"{name}.yaml")
    base = replace(cell, precision=study.baseline.precision, prune=study.baseline.prune)
    layers = {entry.id: entry.layers for entry in study.single_prunes if entry.method != "none"}
    return {
        "cell_id": cell.design_id,
        "variant_id": cell.variant.id,
        "model": cell.model,
        "prune": cell.prune,
        "precision": cell.precision,
        "prune_layers": layers.get(cell.prune, 0),
        "benchmark": cell.benchmark,
        "prompt": cell.prompt,
        "token_limit": cell.token_limit,
        "batch_size": cell.batch_size,
        "engine": cell.engine,
        "hardware": cell.hardware,
        "status": "ok",
        "valid": True,
        "baseline_cell_id": base.design_id,
        "tasks": 1140 if cell.benchmark == "bigcodebench" else 164,
        "sessions": study.sessions,
        "interval_scope": "between sessions",
        "energy_boundary": study.energy.boundary,
        "gpu_names": "NVIDIA A100-SXM4-40GB",
        "cpu_name": "Intel Xeon Platinum 8360Y",
        "parameters": PARAMETERS.get(cell.model, 3_000_000_000),
        **{f"{part}_energy_status": "measured" for part in ("gpu", "cpu", "node", "job")},
        "dram_energy_status": "modelled",
        **values,
    }


def write_cells(
    results: Path, name: str, measured: Mapping[str, Mapping[str, Any]], absent: str = ""
) -> Path:
    """Write the cell table of a study.

    Args:
        results: folder with a folder for each study.
        name: the study file.
        measured: id of a cell -> its values; cells that are not named are not in the table.
        absent: a column that the table lacks.
    """
    cells = {cell.design_id: cell for cell in study_cells(name)}
    rows = [cell_row(name, cells[cell_id], **values) for cell_id, values in measured.items()]
    table = to_table(rows, CELL)
    path = results / name / "tables" / "cell.parquet"
    path.parent.mkdir(parents=True)
    write_frame(path, table.drop(columns=[absent] if absent else []))
    return path
