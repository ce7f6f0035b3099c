"""All results of a study as tidy tables (columns.TABLES)."""

from collections.abc import Mapping, Sequence
from os import PathLike

import pandas as pd

from codewatt.analysis.break_even import add_break_even
from codewatt.analysis.cell_results import CellEntry, VariantEntry, VariantResults, variant_key
from codewatt.analysis.cell_rows import cell_row, compare_variants, evaluated_ks, variant_row
from codewatt.analysis.changes import ComparisonSettings
from codewatt.analysis.code_versions import check_code_versions
from codewatt.analysis.collected_cells import CollectedCells, collect_cells
from codewatt.analysis.columns import TABLES, TASK, Row, cell_columns
from codewatt.analysis.compared_pairs import StudyRows, compared_pairs, find_baselines
from codewatt.analysis.comparison_rows import compare_cells
from codewatt.analysis.confounded_cells import check_confounding, places_of_cell
from codewatt.analysis.confounding import CellSession
from codewatt.analysis.design_cells import design_cells
from codewatt.analysis.domain_comparison_rows import compare_domains
from codewatt.analysis.frontier_columns import add_frontier_probabilities
from codewatt.analysis.run_rows import check_rows
from codewatt.analysis.session_rows import session_rows
from codewatt.analysis.table_writer import open_table
from codewatt.analysis.tables import to_table, write_csv, write_parquet
from codewatt.analysis.token_agreement import compare_engines
from codewatt.errors import CodewattError

_WRITERS = {"": write_parquet, "_csv": write_csv}


def aggregate(
    cells: Sequence[CellEntry],
    variants: Sequence[VariantEntry],
    baseline: Row,
    out: Mapping[str, str | PathLike[str]],
    boundary: str = "node",
    comparisons: ComparisonSettings | None = None,
    order_seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Read every cell's and variant's results and write the tables.

    The task table is written while the cells are read, one after another. The memory that each
    task takes afterwards is that of `KeptTasks`.

    The columns are those of codewatt.analysis.columns, in that order, with pass@k of every k of the
    study (`cell_columns`); rows stand in the order of `cells` and `variants`, the sessions of a
    cell together. The tables hold ids only: labels belong to figures and pages.

    Args:
        cells: ids and files of each cell in each session.
        variants: ids and files of each variant.
        baseline: {"precision", "prune"}: the variant that a model's others are compared with.
        boundary: the part that the study's own energy figures include: "node", "job" or "gpu".
        comparisons: margins of the comparisons with the baseline.
        order_seed: the study's, from which the order of the cells is drawn.
        out: paths by name: "task" (parquet), "task_csv", "run", "run_csv", and so on for the
            others (codewatt.analysis.columns.TABLES).

    Returns:
        The tables by level, without that of tasks.

    Raises:
        CodewattError: a result is missing, contradicts another, or comes from another version
            of the library than the rest.
    """
    targets = {name: _target(name) for name in out}
    variant_records = [VariantResults.read(entry) for entry in variants]
    by_key = {variant.key: variant for variant in variant_records}
    with open_table(TASK, out, "task") as task_table:
        collected = collect_cells(cells, by_key, task_table)
        check_code_versions(collected.records, variant_records)
    tables = build_tables(collected, variant_records, baseline, boundary, comparisons, order_seed)
    for name, path in out.items():
        level, form = targets[name]
        if level in tables:
            _WRITERS[form](tables[level], path)
    return tables


def build_tables(
    collected: CollectedCells,
    variants: Sequence[VariantResults],
    baseline: Row,
    boundary: str = "node",
    comparisons: ComparisonSettings | None = None,
    order_seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """The tables of what was read, without that of tasks."""
    settings = comparisons or ComparisonSettings()
    by_key = {variant.key: variant for variant in variants}
    rows: dict[str, list[Row]] = {level: [] for level in TABLES if level != "task"}
    rows["domain"] = collected.domains
    runs_of, tasks_of = collected.runs, collected.tasks
    designed = design_cells(collected.records)
    for cell in designed:
        variant = by_key.get(variant_key(cell.identity))
        rows["run"] += runs_of[cell.id]
        rows["cell"].append(cell_row(cell, runs_of[cell.id], tasks_of[cell.id], variant))
    rows["variant"] = [variant_row(variant, boundary) for variant in variants]
    find_baselines(rows["cell"], baseline)
    confounding = check_confounding(designed, rows["cell"])
    for record in (record for cell in designed for record in cell.results):
        key = CellSession(record.identity["design_id"], record.identity["session"])
        rows["check"] += check_rows(record, [confounding[key]] if key in confounding else [])
    baselines = {row["cell_id"]: row["baseline_cell_id"] for row in rows["cell"]}
    rows["session"] = session_rows(designed, runs_of, baselines, order_seed)
    by_id = {row["cell_id"]: row for row in rows["cell"]}
    places = {cell.id: places_of_cell(cell) for cell in designed}
    study = StudyRows(by_id, runs_of, tasks_of, places)
    pairs = compared_pairs(study, settings.pairs, settings.board_spread)
    rows["comparison"] = compare_cells(study, pairs, settings)
    rows["domain_comparison"] = compare_domains(study, pairs)
    add_frontier_probabilities(study)
    add_break_even(rows["cell"], runs_of, {record.identity["id"]: record for record in variants})
    compare_engines(rows["cell"], designed)
    compare_variants(rows["variant"], baseline)
    measured = [one for cell in designed for one in cell.measured.values()]
    ks = {k for one in measured for k in evaluated_ks(one.evaluate)}
    columns = {**TABLES, "cell": cell_columns(ks)}
    return {level: to_table(of_level, columns[level]) for level, of_level in rows.items()}


def _target(name: str) -> tuple[str, str]:
    """Level and form of an output's name."""
    form = "_csv" if name.endswith("_csv") else ""
    level = name.removesuffix("_csv")
    if level not in TABLES:
        allowed = ", ".join(f"{t}{f}" for t in TABLES for f in _WRITERS)
        raise CodewattError(f"aggregate: no output {name!r}; allowed: {allowed}")
    return level, form
