"""Cells are read one after another, so that the tasks of one cell only are in memory at a time.

The rows of the task table are written at once. What other tables need of single tasks stays in
arrays (`KeptTasks`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from codewatt.analysis.cell_results import CellEntry, CellResults, VariantResults, variant_key
from codewatt.analysis.columns import Row
from codewatt.analysis.domain_rows import domain_rows
from codewatt.analysis.kept_tasks import KeptTasks
from codewatt.analysis.run_rows import run_rows, task_rows
from codewatt.analysis.table_writer import TableWriter


@dataclass
class CollectedCells:
    """The cells of a study.

    Attributes:
        records: the results of each cell in each session, without those of single tasks.
        runs: id of a cell of the design -> its rows of the run table, of all sessions.
        tasks: the same of the task table, with the columns that `KeptTasks` has.
        domains: the rows of the domain table.
    """

    records: list[CellResults] = field(default_factory=list)
    runs: dict[str, list[Row]] = field(default_factory=dict)
    tasks: dict[str, KeptTasks] = field(default_factory=dict)
    domains: list[Row] = field(default_factory=list)

    def add(self, record: CellResults, meaningful: bool, task_table: TableWriter) -> None:
        """Add a cell's results in one session and write its tasks.

        Args:
            meaningful: False when the weights are random; figures of accuracy are then absent.
        """
        cell_id = record.identity["design_id"]
        rows = task_rows(record)
        task_table.add(rows)
        self.tasks.setdefault(cell_id, KeptTasks()).add(rows)
        self.runs.setdefault(cell_id, []).extend(run_rows(record, rows, meaningful))
        self.domains += domain_rows(rows, meaningful)
        self.records.append(record.without_tasks())


def collect_cells(
    entries: Sequence[CellEntry],
    variants: Mapping[tuple[str, str, str], VariantResults],
    task_table: TableWriter,
) -> CollectedCells:
    """Read all cells, in the order of the tables: the sessions of a cell together.

    Args:
        entries: ids and files of each cell in each session.
        variants: results by (model, prune, precision).
        task_table: where the rows of the task table are written.

    Raises:
        CodewattError: a result is missing or contradicts another.
    """
    cells = CollectedCells()
    for entry in _in_order(entries):
        variant = variants.get(variant_key(entry["cell"]))
        meaningful = variant is None or variant.manifest["meaningful_accuracy"]
        cells.add(CellResults.read(entry), meaningful, task_table)
    return cells


def _in_order(entries: Sequence[CellEntry]) -> list[CellEntry]:
    """By the first entry of the cell, then by session."""
    first: dict[str, int] = {}
    for entry in entries:
        first.setdefault(entry["cell"]["design_id"], len(first))
    return sorted(entries, key=lambda e: (first[e["cell"]["design_id"]], e["cell"]["session"]))
