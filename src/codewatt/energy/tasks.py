"""The energy of each task, from the timeline, with its uncertainty.

A task that runs alone has the energy between its start and its end. Tasks of one batch run at the
same time: at each moment the machine's power is divided equally among the sequences that are not
finished, so that the tasks of a batch add up to the batch, and no joule is counted twice.

A counter that moves every 100 ms has no figure for a task of 50 ms: such a task has none, and the
reason. A longer one has a figure and a bound on its error, which for a few steps of the counter is
of the figure's own size: read the two together.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from codewatt.energy.boundaries import PARTS, Boundaries
from codewatt.energy.integrate import Floats, Series
from codewatt.energy.sources import Source, Sources
from codewatt.tabular import write_rows

Json = dict[str, Any]

KEYS = (("repeat", "int32"), ("sample", "int32"), ("task_id", "string"))
FIGURES = tuple(f"{part}{suffix}" for part in PARTS for suffix in ("_j", "_uncertainty_j"))


def task_energies(
    sources: Sources, boundaries: Boundaries, tasks: Sequence[Mapping[str, Any]]
) -> list[Json]:
    """A row for each task: its keys, FIGURES (None without a figure) and `energy_note`.

    Args:
        tasks: rows of tasks.parquet: repeat, batch, sample, task_id, start_s, end_s.
    """
    rows: list[Json] = [{key: task[key] for key, _ in KEYS} for task in tasks]
    parts: list[dict[str, tuple[float | None, float | None]]] = [{} for _ in tasks]
    notes: list[list[str]] = [[] for _ in tasks]
    for members in _batches(tasks):
        start_s = np.array([tasks[i]["start_s"] for i in members], dtype=np.float64)
        end_s = np.array([tasks[i]["end_s"] for i in members], dtype=np.float64)
        for component, source in sources.figures.items():
            for i, (joules, bound, reason) in zip(
                members, _shared(source, start_s, end_s), strict=True
            ):
                parts[i][component] = joules, bound
                if reason:
                    notes[i].append(f"{component}: {reason}")
    for row, found, said in zip(rows, parts, notes, strict=True):
        energy = boundaries.add({name: pair[0] for name, pair in found.items()})
        bounds = boundaries.add({name: pair[1] for name, pair in found.items()})
        row |= {f"{part}_j": energy[part] for part in PARTS}
        row |= {f"{part}_uncertainty_j": bounds[part] for part in PARTS}
        row["energy_note"] = "; ".join(said) or None
    return rows


def shares(start_s: Floats, end_s: Floats) -> tuple[Floats, Floats]:
    """How tasks that overlap share the time: equally, at each moment, among those that run.

    Args:
        start_s, end_s: shape (n,).

    Returns:
        times: shape (k,), all starts and ends, ascending.
        weights: shape (n, k): a task's energy is weights @ cumulative joules at `times`.
    """
    times = np.unique(np.concatenate([start_s, end_s]))
    alive = (start_s[:, None] <= times[:-1]) & (end_s[:, None] >= times[1:])
    count = alive.sum(axis=0)
    share = alive / np.maximum(count, 1)
    # The energy of a slice is its end's cumulative joules less its start's.
    padded = np.pad(share, ((0, 0), (1, 1)))
    return times, padded[:, :-1] - padded[:, 1:]


def write_task_energies(path: str | os.PathLike[str], rows: Sequence[Json]) -> None:
    """Write the rows as parquet, atomically."""
    fields = [*KEYS, *((name, "float64") for name in FIGURES), ("energy_note", "string")]
    write_rows(path, rows, fields)


def read_tasks(path: str | os.PathLike[str]) -> list[Json]:
    """Rows of tasks.parquet, as far as energy needs them."""
    import pyarrow.parquet as pq

    wanted = ["repeat", "batch", "sample", "task_id", "start_s", "end_s"]
    rows: list[Json] = pq.ParquetFile(path).read(columns=wanted).to_pylist()
    return rows


def _batches(tasks: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Positions of the tasks that ran together."""
    found: dict[tuple[int, int], list[int]] = {}
    for position, task in enumerate(tasks):
        found.setdefault((task["repeat"], task["batch"]), []).append(position)
    return list(found.values())


def _shared(
    source: Source, start_s: Floats, end_s: Floats
) -> list[tuple[float | None, float | None, str | None]]:
    """(joules, bound, why there is none) of each task of one batch, over all devices."""
    times, weights = shares(start_s, end_s)
    joules = np.zeros(len(start_s))
    bound = np.zeros(len(start_s))
    reasons: list[str | None] = [None] * len(start_s)
    for device in source.series.values():
        for i, edges in enumerate(zip(start_s, end_s, strict=True)):
            reasons[i] = reasons[i] or device.unusable(*edges)
        if all(reasons):
            continue
        at, wrong = _inside(device, times)
        joules += weights @ at
        bound += np.abs(weights) @ wrong
    return [
        (None, None, reason) if reason else (float(j), float(b), None)
        for j, b, reason in zip(joules, bound, reasons, strict=True)
    ]


def _inside(series: Series, times: Floats) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Cumulative joules and their bounds; times that are not covered belong to refused tasks."""
    within = np.clip(times, series.t_s[0], series.t_s[-1])
    return series.joules_at(within), series.bound_at(within)
