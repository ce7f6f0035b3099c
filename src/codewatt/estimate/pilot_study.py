"""Spreads and discordant tasks of a finished study (a pilot), from its tables."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.analysis.columns import Row
from codewatt.analysis.efficient_frontier import SETTING
from codewatt.analysis.tables import to_rows
from codewatt.analysis.variance_components import Observation, variance_components
from codewatt.errors import CodewattError
from codewatt.parquet import read_table

_RUN_COLUMNS = (
    "cell_id", "session", "repeat", "model", *SETTING, "valid", "energy_j", "duration_s",
)  # fmt: skip
_CELL_COLUMNS = ("benchmark", "baseline_cell_id", "cell_id", "tasks_judged")
_CHANGED = ("tasks_lost", "tasks_gained")


@dataclass(frozen=True)
class PilotSpread:
    """SDs of the logarithm of a metric, pooled over the families of comparisons of a pilot.

    Attributes:
        within_job: between the repeats of one job; None if no job has two valid repeats with a
            value.
        cell_session: between sessions, of what does not change all cells of a session alike; None
            if no family has two cells in two sessions. It contains `within_job` where no family
            separates the two, as with one repeat per job.
        between_sessions: between sessions, common to all cells; None if no family has two sessions.
            It contains `cell_session` where that is None.
    """

    within_job: float | None
    cell_session: float | None
    between_sessions: float | None


@dataclass(frozen=True)
class Pilot:
    """What a finished study says of the spread of its metrics.

    Attributes:
        spreads: metric → its spread.
        discordant: benchmark → the largest share of tasks that only one of a variant and its
            baseline solves, with the most demanding tests; benchmarks without such a pair are
            absent.
        sessions: number of sessions with a valid run.
    """

    spreads: dict[str, PilotSpread]
    discordant: dict[str, float]
    sessions: int


def read_pilot(tables: Path, metrics: Sequence[str] = ("energy_j", "duration_s")) -> Pilot:
    """Read the pilot from a directory with run.parquet and cell.parquet.

    Raises:
        CodewattError: a table is missing or unreadable, or lacks a column; no run is valid; a
            value is infinite.
    """
    path = tables / "run.parquet"
    runs: list[Row] = to_rows(read_table(path, _RUN_COLUMNS).to_pandas())
    valid = [row for row in runs if row["valid"]]
    if not valid:
        raise CodewattError(
            f"{path}: column valid: no valid run among {len(runs)}; allowed: results of a finished "
            "study with at least one valid run"
        )
    return Pilot(
        spreads={metric: _spread(path, valid, metric) for metric in metrics},
        discordant=_discordant(tables / "cell.parquet"),
        sessions=len({row["session"] for row in valid}),
    )


def _spread(path: Path, rows: Sequence[Row], metric: str) -> PilotSpread:
    families: dict[tuple[Any, ...], list[Observation]] = defaultdict(list)
    for row in rows:
        if row[metric] is None or row[metric] <= 0:
            continue
        if math.isinf(row[metric]):
            raise CodewattError(
                f"{path}: column {metric}: {row[metric]} in cell {row['cell_id']}; allowed: finite "
                "numbers"
            )
        family = (row["model"], *(row[axis] for axis in SETTING))
        families[family].append(
            Observation(row["cell_id"], row["session"], None, math.log(row[metric]))
        )
    found = [variance_components(observations) for observations in families.values()]
    jobs = [one for one in found if one.cell_session is not None]
    separated = [one for one in jobs if one.within_job is not None]
    return PilotSpread(
        within_job=_pooled(one.within_job for one in found),
        cell_session=_pooled(one.cell_session for one in separated or jobs),
        between_sessions=_pooled(one.between_sessions for one in separated or jobs or found),
    )


def _pooled(sds: Iterable[float | None]) -> float | None:
    """The root of the mean of the variances of all families that have the component."""
    variances = [sd**2 for sd in sds if sd is not None]
    return math.sqrt(math.fsum(variances) / len(variances)) if variances else None


def _discordant(path: Path) -> dict[str, float]:
    tests = ("base", "plus")
    wanted = [*_CELL_COLUMNS, *(f"{name}_{t}" for name in _CHANGED for t in tests)]
    largest: dict[str, float] = {}
    for row in to_rows(read_table(path, wanted).to_pandas()):
        if row["baseline_cell_id"] in (None, row["cell_id"]) or not row["tasks_judged"]:
            continue
        pairs = [[row[f"{name}_{t}"] for name in _CHANGED] for t in tests]
        changed = [sum(pair) for pair in pairs if None not in pair]
        if changed:
            share = max(changed) / row["tasks_judged"]
            largest[row["benchmark"]] = max(share, largest.get(row["benchmark"], 0.0))
    return largest
