"""Observations of the tests: energies per task and per run of each cell, from the tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from codewatt.analysis.columns import Row
from codewatt.analysis.tables import to_rows
from codewatt.analysis.task_effects import LEAST_KNOWN_TASKS

_TASK_COLUMNS = (
    "cell_id", "session", "repeat", "task_id", "domains", "new_tokens", "valid", "energy_j",
)  # fmt: skip
_RUN_COLUMNS = ("cell_id", "session", "repeat", "valid", "energy_j")


@dataclass(frozen=True)
class CellObservations:
    """The energies of one cell.

    Attributes:
        cell: its row of the cell table.
        tasks: a row for each session, repeat and task, in the benchmark's order: session, repeat,
            position (of the task in the repeat, from 0), task_id, domains, new_tokens and energy_j
            (mean over samples). Energies that are not known, or of an invalid repeat, are NaN.
        runs: energy (J) of each valid run; with two or more sessions, the mean of each session.
        run_level: what a value of `runs` is: "run" or "session".
    """

    cell: Row
    tasks: pd.DataFrame
    runs: tuple[float, ...]
    run_level: str

    @property
    def cell_id(self) -> str:
        """Id of the cell."""
        return str(self.cell["cell_id"])

    def task_energies(self) -> pd.Series:
        """Energy (J) of each task, its mean over all repeats with an energy, in task order.

        Several repeats of one task are not independent observations of the cell's tasks, so each
        task counts once.
        """
        known = self.tasks.dropna(subset="energy_j")
        return known.groupby("task_id", sort=False)["energy_j"].mean()

    def reason_to_withhold(self, per_task: bool = True) -> str | None:
        """Why no test is made of this cell; None if tests can be made.

        Args:
            per_task: of the energies of tasks; False: of those of runs or sessions.
        """
        if self.cell["status"] != "ok":
            return f"the cell is infeasible: {self.cell['status_reason']}"
        if self.cell["valid"] is False:
            return f"the cell failed a validity check: {self.cell['failed_checks']}"
        if not per_task:
            return None
        tasks, known = self.tasks["task_id"].nunique(), len(self.task_energies())
        if not known:
            return "no task of the cell has an energy"
        if known < LEAST_KNOWN_TASKS * tasks:
            return (
                f"only {known} of the cell's {tasks} tasks have an energy, and short tasks lack it "
                "most often"
            )
        return None


def read_observations(
    cells: str | PathLike[str], runs: str | PathLike[str], tasks: str | PathLike[str]
) -> list[CellObservations]:
    """The observations of each cell, in the order of the cell table.

    Args:
        cells, runs, tasks: the Parquet files of these tables.
    """
    run_table = _by_cell(_read(runs, _RUN_COLUMNS))
    task_table = _by_cell(_read(tasks, _TASK_COLUMNS))
    found = []
    for cell in to_rows(pd.read_parquet(cells)):
        run_energies, level = _run_energies(run_table.get(cell["cell_id"]))
        series = _task_series(task_table.get(cell["cell_id"]))
        found.append(CellObservations(cell, series, run_energies, level))
    return found


def _read(path: str | PathLike[str], columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of a table; a table without sessions is one of a single session."""
    names = pq.read_schema(path).names  # type: ignore[no-untyped-call]
    table = pd.read_parquet(path, columns=[name for name in columns if name in names])
    if "session" not in table:
        table["session"] = 1
    known = table["valid"].fillna(True).astype(bool)
    table["energy_j"] = table["energy_j"].astype(float).where(known, np.nan)
    return table


def _by_cell(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(cell_id): rows for cell_id, rows in table.groupby("cell_id", sort=False)}


def _run_energies(runs: pd.DataFrame | None) -> tuple[tuple[float, ...], str]:
    if runs is None:
        return (), "run"
    known = runs.dropna(subset="energy_j")
    if known["session"].nunique() < 2:
        return tuple(known["energy_j"]), "run"
    return tuple(known.groupby("session")["energy_j"].mean()), "session"


def _task_series(tasks: pd.DataFrame | None) -> pd.DataFrame:
    """One row for each session, repeat and task; samples of a task are generated together."""
    columns = ["session", "repeat", "task_id", "domains", "new_tokens", "energy_j"]
    if tasks is None:
        return pd.DataFrame(columns=[*columns, "position"])
    parts = tasks[columns].astype({"new_tokens": float})
    parts["domains"] = parts["domains"].astype(object).where(parts["domains"].notna(), "")
    grouped = parts.groupby(["session", "repeat", "task_id"], sort=False)
    series = grouped.agg(
        domains=("domains", "first"),
        new_tokens=("new_tokens", "mean"),
        energy_j=("energy_j", "mean"),
    )
    # A task without the energy of one of its samples has no energy.
    whole = grouped["energy_j"].count() == grouped.size()
    series["energy_j"] = series["energy_j"].where(whole)
    series = series.reset_index()
    series = series.sort_values(["session", "repeat"], kind="stable", ignore_index=True)
    series["position"] = series.groupby(["session", "repeat"]).cumcount()
    return series


def comparable_texts(cells: Sequence[CellObservations]) -> Iterator[str]:
    """Remarks on cells whose energies are compared although the machines may differ."""
    places = {(c.cell["host"], c.cell["gpu_uuids"]) for c in cells}
    if len(places) > 1:
        yield (
            f"the cells ran on {len(places)} hosts or sets of GPUs, which this test does not "
            "separate from the cells"
        )
