"""The energy of each task, from the timeline, with its uncertainty.

A task that runs alone has the energy between its start and its end. Where tasks of a repeat
overlap, as those of one batch do, the power is divided at each moment equally among the sequences
that are not finished. The energies of a batch's tasks therefore add up to the energy of the batch.

A counter that is updated every 100 ms cannot resolve a task of 50 ms: such a task has no energy,
and a reason. For a task of only a few updates, the bound on the error is as large as the energy
itself, so the two must be read together.
"""

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from typing_extensions import TypedDict

from codewatt.energy.boundaries import PARTS, Boundaries
from codewatt.energy.energy_sources import Source, Sources
from codewatt.energy.integration import Floats, Series
from codewatt.energy.job_energy_record import Joules
from codewatt.parquet import read_table, write_rows


class MeteredTask(TypedDict):
    """The columns of tasks.parquet that energy rests on; times are CLOCK_MONOTONIC seconds."""

    repeat: int
    batch: int
    sample: int
    task_id: str
    start_s: float
    end_s: float
    new_tokens: int


class JudgingShare(TypedDict):
    """The energy of judging one completion (judging_energy.py), in joules, and bounds on its error.

    evaluate_completions: completions that share the program, which ran once; None if not judged.
    evaluate_note: why a part has no figure; None if every part has one.
    """

    evaluate_cpu_j: float | None
    evaluate_cpu_uncertainty_j: float | None
    evaluate_dram_j: float | None
    evaluate_dram_uncertainty_j: float | None
    evaluate_node_j: float | None
    evaluate_node_uncertainty_j: float | None
    evaluate_job_j: float | None
    evaluate_job_uncertainty_j: float | None
    evaluate_completions: int | None
    evaluate_note: str | None


class TaskEnergy(JudgingShare):
    """A row of task_energy.parquet: one completion's joules by part, and the bounds on their error.

    The fields without "evaluate" are of generating it. A part without a figure is None;
    energy_note says why, and is None if every part has one.
    """

    repeat: int
    sample: int
    task_id: str
    gpu_j: float | None
    gpu_uncertainty_j: float | None
    cpu_j: float | None
    cpu_uncertainty_j: float | None
    dram_j: float | None
    dram_uncertainty_j: float | None
    node_j: float | None
    node_uncertainty_j: float | None
    job_j: float | None
    job_uncertainty_j: float | None
    energy_note: str | None


KEYS = (("repeat", "int32"), ("sample", "int32"), ("task_id", "string"))
_SUFFIXES = ("_j", "_uncertainty_j")
FIGURES = tuple(f"{part}{suffix}" for part in PARTS for suffix in _SUFFIXES)
#: Parts of the energy of judging, which uses no GPU.
JUDGED_PARTS = tuple(part for part in PARTS if part != "gpu")
_JUDGED = tuple(f"evaluate_{part}{suffix}" for part in JUDGED_PARTS for suffix in _SUFFIXES)
NOT_JUDGED: JudgingShare = {
    "evaluate_cpu_j": None,
    "evaluate_cpu_uncertainty_j": None,
    "evaluate_dram_j": None,
    "evaluate_dram_uncertainty_j": None,
    "evaluate_node_j": None,
    "evaluate_node_uncertainty_j": None,
    "evaluate_job_j": None,
    "evaluate_job_uncertainty_j": None,
    "evaluate_completions": None,
    "evaluate_note": "judging was not metered",
}


def task_energies(
    sources: Sources, boundaries: Boundaries, tasks: Sequence[MeteredTask]
) -> list[TaskEnergy]:
    """The energy of generating each task, in the order of `tasks`; judging is not included."""
    parts: list[dict[str, tuple[float | None, float | None]]] = [{} for _ in tasks]
    notes: list[list[str]] = [[] for _ in tasks]
    for members in _repeats(tasks):
        start_s = np.array([tasks[i]["start_s"] for i in members], dtype=np.float64)
        end_s = np.array([tasks[i]["end_s"] for i in members], dtype=np.float64)
        for component, source in sources.figures.items():
            for i, (joules, bound, reason) in zip(
                members, _figures(source, start_s, end_s), strict=True
            ):
                parts[i][component] = joules, bound
                if reason:
                    notes[i].append(f"{component}: {reason}")
    rows: list[TaskEnergy] = []
    for task, found, reasons in zip(tasks, parts, notes, strict=True):
        energy = boundaries.add({name: pair[0] for name, pair in found.items()})
        bounds = boundaries.add({name: pair[1] for name, pair in found.items()})
        absent = [] if energy["node"] is not None or reasons else sources.unavailable.items()
        reasons += [f"{component}: {reason}" for component, reason in absent]
        rows.append(_row(task, energy, bounds, "; ".join(reasons) or None))
    return rows


def joules_of(row: TaskEnergy) -> Joules:
    """A task's joules by part."""
    return {
        "gpu": row["gpu_j"],
        "cpu": row["cpu_j"],
        "dram": row["dram_j"],
        "node": row["node_j"],
        "job": row["job_j"],
    }


def uncertainty_of(row: TaskEnergy) -> Joules:
    """The bound on the error of a task's joules, by part."""
    return {
        "gpu": row["gpu_uncertainty_j"],
        "cpu": row["cpu_uncertainty_j"],
        "dram": row["dram_uncertainty_j"],
        "node": row["node_uncertainty_j"],
        "job": row["job_uncertainty_j"],
    }


def judging_joules_of(row: TaskEnergy) -> Joules:
    """The joules of judging a task's completion, by part."""
    return {
        "gpu": None,
        "cpu": row["evaluate_cpu_j"],
        "dram": row["evaluate_dram_j"],
        "node": row["evaluate_node_j"],
        "job": row["evaluate_job_j"],
    }


def judging_uncertainty_of(row: TaskEnergy) -> Joules:
    """The bound on the error of the joules of judging a task's completion, by part."""
    return {
        "gpu": None,
        "cpu": row["evaluate_cpu_uncertainty_j"],
        "dram": row["evaluate_dram_uncertainty_j"],
        "node": row["evaluate_node_uncertainty_j"],
        "job": row["evaluate_job_uncertainty_j"],
    }


def shared_joules(
    series: Series, start_s: Floats, end_s: Floats
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Energy (J) of tasks that may overlap; power is divided equally among the running tasks.

    With n(t) tasks running, a task has the integral of dE / n(t) from its start to its end. All
    tasks' figures add up to the energy of the time in which any of them ran.

    Args:
        start_s, end_s: shape (n,), within the series' readings; each end after its start.

    Returns:
        Joules, and a bound on what they can be wrong by: shape (n,) each.
    """
    times = np.unique(np.concatenate([start_s, end_s]))
    first, last = np.searchsorted(times, start_s), np.searchsorted(times, end_s)
    changes = np.zeros(len(times), dtype=np.intp)
    np.add.at(changes, first, 1)
    np.add.at(changes, last, -1)
    part = 1.0 / np.maximum(np.cumsum(changes)[:-1], 1)  # of each slice between two times
    joules = np.concatenate(([0.0], np.cumsum(part * np.diff(series.joules_at(times)))))
    # A time within a task weighs by how its share changes there, its edges by their share.
    bound_j = series.bound_at(times)
    inner = np.zeros(len(times))
    inner[1:-1] = np.abs(np.diff(part)) * bound_j[1:-1]
    sums = np.concatenate(([0.0], np.cumsum(inner)))
    edges_j = part[first] * bound_j[first] + part[last - 1] * bound_j[last]
    return joules[last] - joules[first], edges_j + sums[last] - sums[first + 1]


def write_task_energies(path: str | os.PathLike[str], rows: Sequence[TaskEnergy]) -> None:
    """Write the rows as parquet, atomically."""
    fields = [
        *KEYS,
        *((name, "float64") for name in FIGURES),
        ("energy_note", "string"),
        *((name, "float64") for name in _JUDGED),
        ("evaluate_completions", "int32"),
        ("evaluate_note", "string"),
    ]
    write_rows(path, rows, fields)


def read_tasks(path: str | os.PathLike[str]) -> list[MeteredTask]:
    """Rows of tasks.parquet."""
    rows: list[MeteredTask] = read_table(path, tuple(MeteredTask.__annotations__)).to_pylist()
    return rows


def _row(task: MeteredTask, energy_j: Joules, bounds_j: Joules, note: str | None) -> TaskEnergy:
    return {
        "repeat": task["repeat"],
        "sample": task["sample"],
        "task_id": task["task_id"],
        "gpu_j": energy_j["gpu"],
        "gpu_uncertainty_j": bounds_j["gpu"],
        "cpu_j": energy_j["cpu"],
        "cpu_uncertainty_j": bounds_j["cpu"],
        "dram_j": energy_j["dram"],
        "dram_uncertainty_j": bounds_j["dram"],
        "node_j": energy_j["node"],
        "node_uncertainty_j": bounds_j["node"],
        "job_j": energy_j["job"],
        "job_uncertainty_j": bounds_j["job"],
        "energy_note": note,
        **NOT_JUDGED,
    }


def _repeats(tasks: Sequence[MeteredTask]) -> list[list[int]]:
    """Positions of the tasks of each repeat."""
    found: dict[int, list[int]] = {}
    for position, task in enumerate(tasks):
        found.setdefault(task["repeat"], []).append(position)
    return list(found.values())


def _figures(
    source: Source, start_s: Floats, end_s: Floats
) -> list[tuple[float | None, float | None, str | None]]:
    """(energy, bound on its error, reason if unknown) of each task of one repeat, in J."""
    joules, bound = np.zeros(len(start_s)), np.zeros(len(start_s))
    reasons: list[str | None] = [None] * len(start_s)
    for device in source.series.values():
        for i, edges in enumerate(zip(start_s, end_s, strict=True)):
            reasons[i] = reasons[i] or device.unusable_reason(*edges)
        if all(reasons):
            continue
        # What lies outside the readings belongs to tasks that were just refused; as far as they
        # reach inside, they have their share there.
        inside_s = [np.clip(edge_s, device.t_s[0], device.t_s[-1]) for edge_s in (start_s, end_s)]
        running = inside_s[1] > inside_s[0]
        found = shared_joules(device, inside_s[0][running], inside_s[1][running])
        joules[running] += found[0]
        bound[running] += found[1]
    return [
        (None, None, reason) if reason else (float(j), float(b), None)
        for j, b, reason in zip(joules, bound, reasons, strict=True)
    ]
