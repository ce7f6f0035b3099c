"""Rows of the task, run and check tables of one cell in one session."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from codewatt.analysis.cell_results import CellResults, Measurements, TaskTimes
from codewatt.analysis.columns import BOTH, TESTS, Row
from codewatt.analysis.judging_columns import run_columns, task_columns
from codewatt.analysis.log_scale_statistics import ratio
from codewatt.analysis.repetition_metrics import Repetition, run_shares
from codewatt.analysis.roofline_columns import roofline_columns
from codewatt.energy.boundaries import PARTS
from codewatt.energy.energy_record import EnergyRecord, RunRecord
from codewatt.energy.task_energy import TaskEnergy, joules_of, uncertainty_of
from codewatt.energy.validity.check import CheckResult
from codewatt.evaluate.evaluate_record import VerdictRecord
from codewatt.evaluate.pass_at_k import is_solved
from codewatt.units import G_PER_KG, J_PER_KWH

#: Separates the domains of a task in the task table.
DOMAIN_SEPARATOR = ", "


def id_columns(record: CellResults) -> Row:
    """A cell's ids under the names that the tables use."""
    left_out = ("id", "design_id", "session", "variant")
    ids = {key: value for key, value in record.identity.items() if key not in left_out}
    return {
        "cell_id": record.identity["design_id"],
        "variant_id": record.identity["variant"],
        "prune_layers": record.prune_layers,
        **ids,
    }


def session_id_columns(record: CellResults) -> Row:
    """A cell's ids and its session."""
    return {**id_columns(record), "session": record.identity["session"]}


def status_columns(energy: EnergyRecord) -> Row:
    """The study's boundary, and the status (measured, modelled, unavailable) of each part."""
    known = energy["components"]
    found = {part: known[part]["status"] if part in known else None for part in PARTS}
    return {
        "energy_boundary": energy["boundary"],
        "energy_status": found[energy["boundary"]],
        **{f"{part}_energy_status": status for part, status in found.items()},
    }


def figures(joules: Mapping[str, float | None] | None, boundary: str) -> Row:
    """Joules of every part, and of "energy", the part that the study chose."""
    known = joules or {}
    return {**{part: known.get(part) for part in PARTS}, "energy": known.get(boundary)}


def task_rows(record: CellResults) -> list[Row]:
    """One row for each completion: (repeat, sample, task). Empty for an infeasible cell."""
    measured = record.measured
    if measured is None:
        return []
    ids, verdicts, joules = session_id_columns(record), measured.verdicts(), measured.task_energy()
    domains = measured.evaluate["domains"]
    rows = []
    for task in sorted(measured.tasks, key=lambda row: (row["repeat"], row["sample"])):
        key = task["repeat"], task["sample"], task["task_id"]
        verdict = verdicts[key]
        statuses = verdict["base"], verdict["plus"]
        rows.append(
            {
                **ids,
                "repeat": task["repeat"],
                "sample": task["sample"],
                "task_id": task["task_id"],
                "domains": DOMAIN_SEPARATOR.join(domains.get(task["task_id"], ())) or None,
                "prompt_tokens": task["prompt_tokens"],
                "new_tokens": task["new_tokens"],
                "latency_s": _difference(task["end_s"], task["start_s"]),
                "ttft_s": _difference(task["first_token_s"], task["start_s"]),
                "tpot_s": _tpot(task),
                "stop_reason": task["stop_reason"],
                **vars(measured.repetitions.get(key, Repetition())),
                "base_status": statuses[0],
                "plus_status": statuses[1],
                "exclusion_reason": _exclusion_reason(verdict),
                **{f"solved_{tests}": is_solved(tests, *statuses) for tests in TESTS},
                "valid": _valid(measured.energy, key[0]),
                **_task_joules(joules.get(key), measured.energy["boundary"]),
                **task_columns(joules.get(key), verdicts[key], measured.energy["boundary"]),
            }
        )
    return rows


def _exclusion_reason(verdict: VerdictRecord) -> str | None:
    """Why the task is excluded; None for a completion with a verdict."""
    if verdict["base"] is not None:
        return None
    return (verdict["why"] or "no reason recorded").removeprefix("excluded: ")


def _task_joules(row: TaskEnergy | None, boundary: str) -> Row:
    """A task's energy and its uncertainty, by part and for the study's boundary."""
    if row is None:
        return {}
    found: Row = {"energy_note": row["energy_note"]}
    for kind, by_part in (("_j", joules_of(row)), ("_uncertainty_j", uncertainty_of(row))):
        found |= {f"{name}{kind}": value for name, value in figures(by_part, boundary).items()}
    return found


def run_rows(record: CellResults, tasks: list[Row], meaningful: bool) -> list[Row]:
    """One row for each repeat. Empty for an infeasible cell.

    Args:
        tasks: the cell's rows of the task table.
        meaningful: False when the weights are random; figures of accuracy are then absent.
    """
    measured = record.measured
    if measured is None:
        return []
    by_repeat: dict[int, list[Row]] = defaultdict(list)
    for row in tasks:
        by_repeat[row["repeat"]].append(row)
    return [
        session_id_columns(record) | _run_row(measured, run, by_repeat[run["repeat"]], meaningful)
        for run in sorted(measured.energy["runs"], key=lambda run: int(run["repeat"]))
    ]


def check_rows(record: CellResults, more: Sequence[CheckResult] = ()) -> list[Row]:
    """One row for each check on the cell and on each repeat, whether it passed or not.

    Args:
        more: results of checks that need several cells, which energy.json does not have.
    """
    if record.measured is None:
        return []
    return [
        {
            **{key: e[key] for key in ("repeat", "name", "severity", "passed", "unit", "detail")},
            "cell_id": record.identity["design_id"],
            "session": record.identity["session"],
            "observed": None if e["observed"] is None else format_short(e["observed"]),
            "limit": None if e["limit"] is None else format_short(e["limit"]),
        }
        for e in (*record.measured.energy["checks"], *more)
    ]


def format_short(value: object) -> str:
    """A figure with four significant digits, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def pass_at_1(rows: Iterable[Row], tests: str) -> float | None:
    """Mean over tasks of the share of a task's samples that solve it (`pass_at_k.is_solved`).

    It is the unbiased pass@k at k = 1 (Chen et al. 2021, arXiv:2107.03374, section 2.1: c/n).
    Excluded tasks, which have no verdict, are left out.

    Args:
        rows: rows of the task table; tests: "base" or "plus".

    Returns:
        A fraction; None when the benchmark has no such tests, or no task has a verdict.
    """
    shares = solved_shares(rows, tests).values()
    return math.fsum(shares) / len(shares) if shares else None


def solved_shares(rows: Iterable[Row], tests: str) -> dict[str, float]:
    """Task id → share of its completions that solve the task; without excluded tasks.

    Args:
        rows: rows of the task table, of one repeat or of several; tests: "base" or "plus".
    """
    solved: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        if (verdict := row[f"solved_{tests}"]) is not None:
            solved[row["task_id"]].append(verdict)
    return {task: sum(found) / len(found) for task, found in solved.items()}


def judged_share(run: Row) -> float:
    """Share of a run's tasks that have a verdict: 1 unless tasks are excluded.

    Args:
        run: a row of the run table.
    """
    return float(run["tasks_judged"] / run["tasks"])


def judged_tasks_j(energy_j: float, generated_j: float, run: Row) -> float:
    """Energy (J) without the excluded tasks, which are generated but not judged.

    Args:
        energy_j: of generating, or of generating and judging all tasks of a run.
        generated_j: of generating them.
        run: its numbers of tasks (`judged_share`).
    """
    return energy_j - generated_j * (1 - judged_share(run))


def pass_per_kwh(accuracy: float | None, energy_j: float | None) -> float | None:
    """pass@kWh: pass@1 divided by the kilowatt-hours of the run; unit: 1/kWh.

    The figure that Buis (2024, Utrecht University) names pass@kWh. Accuracy is a fraction (0 to
    1) and the energy is the run's total: one pass over all tasks of the benchmark. It depends on
    the number of tasks, so it compares cells of one benchmark only.
    """
    return ratio(accuracy, None if energy_j is None else energy_j / J_PER_KWH)


def _run_row(measured: Measurements, run: RunRecord, tasks: list[Row], meaningful: bool) -> Row:
    """A run's energy, in total and per token, task and correct task, its accuracy and its times.

    Where a task has several samples, each of them counts as one task in `j_per_*task*`. Energy per
    correct task leaves out the energy of excluded tasks, at the run's energy per task.
    """
    energy, boundary = measured.energy, measured.energy["boundary"]
    joules = _joules(run, boundary)
    energy_j = joules["energy_j"]
    correct = {tests: _correct(tasks, tests) if meaningful else None for tests in TESTS}
    accuracy = {tests: pass_at_1(tasks, tests) if meaningful else None for tests in TESTS}
    new_tokens = _total(row["new_tokens"] for row in tasks)
    judging = run_columns(measured, run)
    both_j = judging[f"{BOTH}energy_j"]
    grams = energy["carbon"]["g_per_kwh"]
    counts: Row = {
        "tasks": len({row["task_id"] for row in tasks}),
        "tasks_judged": len({row["task_id"] for row in tasks if row["base_status"] is not None}),
    }
    judged_j = None if energy_j is None else judged_tasks_j(energy_j, energy_j, counts)
    both_judged_j = None
    if both_j is not None and energy_j is not None:
        both_judged_j = judged_tasks_j(both_j, energy_j, counts)
    return {
        "repeat": run["repeat"],
        "valid": _valid(energy, run["repeat"]),
        **counts,
        "samples_per_task": _samples(tasks),
        "prompt_tokens": _total(row["prompt_tokens"] for row in tasks),
        "new_tokens": new_tokens,
        **run_shares(tasks),
        **{f"correct_{tests}": correct[tests] for tests in TESTS},
        **{f"pass_at_1_{tests}": accuracy[tests] for tests in TESTS},
        "duration_s": run["duration_s"],
        "tokens_per_s": ratio(new_tokens, run["duration_s"]),
        "latency_s": _mean(row["latency_s"] for row in tasks),
        "ttft_s": _mean(row["ttft_s"] for row in tasks),
        "tpot_s": _mean(row["tpot_s"] for row in tasks),
        "prefill_s": run["prefill_s"],
        "decode_s": run["decode_s"],
        **joules,
        "energy_uncertainty_j": run["uncertainty_j"].get(boundary),
        "prefill_energy_uncertainty_j": run["prefill_uncertainty_j"].get(boundary),
        "decode_energy_uncertainty_j": run["decode_uncertainty_j"].get(boundary),
        **_net_bounds(run, boundary),
        "j_per_token": ratio(energy_j, new_tokens),
        "j_per_task": ratio(energy_j, len(tasks)),
        **{f"j_per_correct_task_{t}": ratio(judged_j, correct[t]) for t in TESTS},
        **{f"pass_at_1_{t}_per_kwh": pass_per_kwh(accuracy[t], energy_j) for t in TESTS},
        **judging,
        f"{BOTH}j_per_task": ratio(both_j, len(tasks)),
        **{f"{BOTH}j_per_correct_task_{t}": ratio(both_judged_j, correct[t]) for t in TESTS},
        **{f"{BOTH}pass_at_1_{t}_per_kwh": pass_per_kwh(accuracy[t], both_j) for t in TESTS},
        "co2e_kg": None
        if energy_j is None or grams is None
        else energy_j / J_PER_KWH * grams / G_PER_KG,
        **roofline_columns(measured, run),
        **status_columns(energy),
    }


def _joules(run: RunRecord, boundary: str) -> Row:
    kinds = {
        "": run["energy_j"],
        "net_": run["net_energy_j"],
        "prefill_": run["prefill_energy_j"],
        "decode_": run["decode_energy_j"],
    }
    return {
        f"{prefix}{name}_j": value
        for prefix, joules in kinds.items()
        for name, value in figures(joules, boundary).items()
    }


def _net_bounds(run: RunRecord, boundary: str) -> Row:
    found = figures(run["net_uncertainty_j"], boundary)
    return {f"net_{name}_uncertainty_j": value for name, value in found.items()}


def _valid(energy: EnergyRecord, repeat: int) -> bool:
    """Whether no check of severity error failed for this repeat or for the whole cell."""
    return not any(
        e["severity"] == "error" and e["passed"] is False and e.get("repeat") in (None, repeat)
        for e in energy["checks"]
    )


def _correct(tasks: list[Row], tests: str) -> int | None:
    """Completions that solve their task; with one sample a task the number of solved tasks.

    None when the benchmark has no such tests, or no task has a verdict.
    """
    solved = [row[f"solved_{tests}"] for row in tasks]
    return solved.count(True) if True in solved or False in solved else None


def _samples(tasks: list[Row]) -> int | None:
    """Samples a task, when every task has as many."""
    counts = set(Counter(row["task_id"] for row in tasks).values())
    return counts.pop() if len(counts) == 1 else None


def _difference(end: float | None, start: float | None) -> float | None:
    return None if end is None or start is None else end - start


def _tpot(task: TaskTimes) -> float | None:
    """Seconds per output token after the first; None where there is no second one."""
    if task["new_tokens"] < 2:
        return None
    return ratio(_difference(task["end_s"], task["first_token_s"]), task["new_tokens"] - 1)


def _total(values: Iterable[int | None]) -> int | None:
    present = list(values)
    return None if None in present else sum(v for v in present if v is not None)


def _mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are there (a completion without a token has no first one)."""
    present = [value for value in values if value is not None]
    return math.fsum(present) / len(present) if present else None
