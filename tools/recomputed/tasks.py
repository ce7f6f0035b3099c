"""Rows of the task table."""

import itertools
import math

import numpy as np
import pandas as pd

from recomputed import energy, judging
from recomputed.runs import SHARES, TESTS, is_valid, session_columns


def task_rows(cell, study):
    """One row for each completion."""
    joules = pd.DataFrame({name: shared_joules(cell, name) for name in energy.COMPONENTS})
    given = pd.read_parquet(cell.folder / "task_energy.parquet")
    # Dictionaries: looking rows up in a frame takes most of the time of a recomputation.
    given = given.set_index(["repeat", "sample", "task_id"]).to_dict("index")
    judged = cell.judged.to_dict("index")
    rows = []
    for task, spent in zip(cell.tasks.to_dict("records"), joules.to_dict("records"), strict=True):
        key = int(task["repeat"]), int(task["sample"]), task["task_id"]
        parts = {name: _known(value) for name, value in spent.items()}
        of_task, told = cell.meter.add(parts), given[key]
        bounds = {part: _known(told[f"{part}_uncertainty_j"]) for part in energy.PARTS}
        tokens = int(task["new_tokens"])
        after_first = _known(task["end_s"] - task["first_token_s"])
        rows.append(
            {
                **session_columns(cell),
                **dict(zip(("repeat", "sample", "task_id"), key, strict=True)),
                "domains": task["domains"] or None,
                "prompt_tokens": int(task["prompt_tokens"]),
                "new_tokens": tokens,
                "latency_s": _known(task["end_s"] - task["start_s"]),
                "ttft_s": _known(task["first_token_s"] - task["start_s"]),
                "tpot_s": None if tokens < 2 else after_first / (tokens - 1),
                "stop_reason": task["stop_reason"],
                **{name: _known(task[name]) for name in SHARES if name != "loops_share"},
                "ends_in_loop": _flag(task["loops_share"]),
                "base_status": task["base_status"],
                "plus_status": task["plus_status"],
                "exclusion_reason": task["excluded"] if isinstance(task["excluded"], str) else None,
                **{
                    f"solved_{tests}": _flag(task[f"solved_{tests}"])
                    if tests in cell.tests
                    else None
                    for tests in TESTS
                },
                "valid": is_valid(cell, key[0]),
                **_columns(of_task, "_j", study.boundary),
                **_columns(bounds, "_uncertainty_j", study.boundary),
                "energy_note": told["energy_note"],
                **_judging(cell, study, judged[key], of_task, bounds, told),
            }
        )
    return rows


def _judging(cell, study, row, of_task, bounds, told):
    """How the completion of a row of `cell.judged` was judged; bounds: task_energy.parquet's."""
    joules = judging.joules_of(cell, {name: [value] for name, value in row.items()})
    parts = ("cpu", "dram", "node", "job")
    given = {part: _known(told[f"evaluate_{part}_uncertainty_j"]) for part in parts}
    given = energy.figures(given, study.boundary)
    metered = cell.energy["evaluate"] is not None
    return {
        "evaluate_s": _known(row["end_s"] - row["start_s"]),
        "evaluate_cpu_s": _known(row["cpu_s"]),
        "evaluate_completions": int(row["completions"]) if metered else None,
        **judging.columns(of_task, joules, study.boundary),
        **{f"evaluate_{name}_uncertainty_j": given[name] for name in judging.PARTS},
        f"{judging.BOTH}energy_uncertainty_j": judging.both_bound(
            bounds[study.boundary], given["energy"], study.boundary
        ),
        "evaluate_note": cell.energy["evaluate"]["note"] if metered else "judging was not metered",
    }


def shared_joules(cell, component):
    """Joules of each task: at every moment an equal part of those that run, of all devices."""
    source, tasks = cell.meter.sources[component], cell.tasks
    total = pd.Series(0.0 if source else math.nan, index=tasks.index)
    for device in source.devices.values() if source else ():
        for _, group in tasks.groupby("repeat"):
            start_s = group["start_s"].clip(device.t_s[0], device.t_s[-1]).to_numpy()
            end_s = group["end_s"].clip(device.t_s[0], device.t_s[-1]).to_numpy()
            times = np.unique(np.concatenate((start_s, end_s)))
            slices = list(itertools.pairwise(times))
            part = np.array([device.between(*edges) for edges in slices])
            # Task by slice: whether it runs then.
            runs = (start_s[:, None] <= times[:-1]) & (end_s[:, None] >= times[1:])
            part = part / np.maximum(runs.sum(axis=0), 1)
            total[group.index] += runs @ part
            wrong = [device.problem(*edges) is not None for edges in _edges(group)]
            total[group.index[wrong]] = math.nan
    return total


def _edges(tasks):
    return zip(tasks["start_s"], tasks["end_s"], strict=True)


def _columns(joules, end, boundary):
    return {f"{name}{end}": value for name, value in energy.figures(joules, boundary).items()}


def _known(value):
    return None if pd.isna(value) else float(value)


def _flag(value):
    return None if pd.isna(value) else bool(value)
