"""Spreads and discordant tasks of a finished study (a pilot), from its tables."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.analysis.columns import Row
from codewatt.analysis.efficient_frontier import SETTING
from codewatt.analysis.tables import to_rows
from codewatt.analysis.variance_components import Observation, variance_components
from codewatt.parquet import read_table

_RUN_COLUMNS = (
    "cell_id", "session", "repeat", "model", *SETTING, "valid", "energy_j", "duration_s",
)  # fmt: skip
_CELL_COLUMNS = ("benchmark", "baseline_cell_id", "cell_id", "tasks_judged")
_CHANGED = ("tasks_lost", "tasks_gained")


@dataclass(frozen=True)
class Pilot:
    """What a finished study says of the spread of its metrics.

    Attributes:
        within_job: metric → SD of the logarithm between the repeats of one job, pooled over the
            families of comparisons; None if no job has two valid repeats with a value.
        cell_session: metric → SD between sessions of what does not change all cells of a session
            alike; None if no family has two cells in two sessions.
        between_sessions: metric → SD between sessions that all cells share; None likewise.
        discordant: benchmark → the largest share of tasks that only one of a variant and its
            baseline solves, with the most demanding tests; benchmarks without such a pair are
            absent.
        sessions: number of sessions.
    """

    within_job: dict[str, float | None]
    cell_session: dict[str, float | None]
    between_sessions: dict[str, float | None]
    discordant: dict[str, float]
    sessions: int


def read_pilot(tables: Path, metrics: Sequence[str] = ("energy_j", "duration_s")) -> Pilot:
    """Read the pilot from a directory with run.parquet and cell.parquet.

    Raises:
        CodewattError: a table is missing or unreadable, or lacks a column.
    """
    runs: list[Row] = to_rows(read_table(tables / "run.parquet", _RUN_COLUMNS).to_pandas())
    valid = [row for row in runs if row["valid"]]
    found = {metric: _components(valid, metric) for metric in metrics}
    return Pilot(
        within_job={metric: parts["within_job"] for metric, parts in found.items()},
        cell_session={metric: parts["cell_session"] for metric, parts in found.items()},
        between_sessions={metric: parts["between_sessions"] for metric, parts in found.items()},
        discordant=_discordant(tables / "cell.parquet"),
        sessions=len({row["session"] for row in valid}),
    )


def _components(rows: Sequence[Row], metric: str) -> dict[str, float | None]:
    """Each component's SD: the root of the mean of the variances of all families that have it."""
    families: dict[tuple[Any, ...], list[Observation]] = defaultdict(list)
    for row in rows:
        if row[metric] is not None and row[metric] > 0:
            family = (row["model"], *(row[axis] for axis in SETTING))
            families[family].append(
                Observation(row["cell_id"], row["session"], None, math.log(row[metric]))
            )
    variances: dict[str, list[float]] = defaultdict(list)
    for observations in families.values():
        for name, sd in vars(variance_components(observations)).items():
            if sd is not None:
                variances[name].append(sd**2)
    return {
        name: math.sqrt(math.fsum(variances[name]) / len(variances[name]))
        if variances[name]
        else None
        for name in ("within_job", "cell_session", "between_sessions")
    }


def _discordant(path: Path) -> dict[str, float]:
    tests = ("base", "plus")
    wanted = [*_CELL_COLUMNS, *(f"{name}_{t}" for name in _CHANGED for t in tests)]
    largest: dict[str, float] = {}
    for row in to_rows(read_table(path, wanted).to_pandas()):
        if row["baseline_cell_id"] in (None, row["cell_id"]) or not row["tasks_judged"]:
            continue
        changed = [
            row[f"tasks_lost_{t}"] + row[f"tasks_gained_{t}"]
            for t in tests
            if row[f"tasks_lost_{t}"] is not None
        ]
        if changed:
            share = max(changed) / row["tasks_judged"]
            largest[row["benchmark"]] = max(share, largest.get(row["benchmark"], 0.0))
    return largest
