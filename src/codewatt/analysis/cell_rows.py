"""Rows of the cell and variant tables, each by itself; `changes` and `paired` compare them."""

import math
from collections.abc import Sequence
from typing import Any

from codewatt.analysis.cell_results import CellResults, Measurements, VariantResults
from codewatt.analysis.changes import WITHIN_ONE_JOB, set_interval
from codewatt.analysis.columns import (
    BOUNDS,
    IDLE,
    NET_BOUNDS,
    PASS_AT,
    POSITIVE,
    ROOFLINE,
    SIGNED,
    TESTS,
    Row,
)
from codewatt.analysis.fidelity_columns import fidelity_columns
from codewatt.analysis.judging_columns import cell_columns
from codewatt.analysis.log_scale_statistics import (
    finite,
    mean_of,
    relative_change,
    sample_sd,
    summarise,
    t_interval,
)
from codewatt.analysis.pooled_ratios import pooled_columns
from codewatt.analysis.proportions import wilson_interval
from codewatt.analysis.repetition_metrics import cell_shares
from codewatt.analysis.roofline_columns import machine_columns
from codewatt.analysis.run_rows import figures, format_short, id_columns, status_columns
from codewatt.energy.boundaries import PARTS
from codewatt.energy.energy_record import EnergyRecord, StageEnergy
from codewatt.energy.energy_sources import COMPONENTS
from codewatt.energy.validity.check import CheckResult
from codewatt.evaluate.evaluate_record import EvaluatedCellRecord
from codewatt.generate.generate_record import GeneratedCellRecord

RANDOM_WEIGHTS = "random weights: pass@1 says nothing about this model"


def cell_row(
    record: CellResults, runs: list[Row], tasks: list[Row], variant: VariantResults | None
) -> Row:
    """One cell's row without its baseline; an infeasible cell has its ids and the reason.

    Args:
        runs, tasks: its rows of the run and task tables.
        variant: its variant's results; None when not given.
    """
    manifest = None if variant is None else variant.manifest
    row: Row = {
        **id_columns(record),
        "status": "ok" if record.reason is None else "infeasible",
        "status_reason": record.reason,
        "size_bytes": None if manifest is None else manifest["size_bytes"],
        "parameters": None if manifest is None else manifest["parameters"],
    }
    measured = record.measured
    if measured is None:
        return row
    meaningful = manifest is None or manifest["meaningful_accuracy"]
    row |= {
        **_validity(measured.energy),
        "asked": measured.generate["prompt"]["asked"],
        **_machine(measured.generate),
        "interval_scope": WITHIN_ONE_JOB,
        "repeats": len(runs),
        "tasks": runs[0]["tasks"],
        "tasks_judged": runs[0]["tasks_judged"],
        "excluded_tasks": _excluded(tasks),
        "samples_per_task": runs[0]["samples_per_task"],
        "completions_identical": measured.completions_identical,
        "accuracy_note": None if meaningful else RANDOM_WEIGHTS,
        **_accuracy(measured.evaluate, runs, meaningful),
        **cell_shares(tasks),
        **status_columns(measured.energy),
        **_methods(measured.energy),
        **_positive(runs),
        **_signed(runs),
        **machine_columns(measured),
        **{f"{name}_mean": summarise(run.get(name) for run in runs).mean for name in ROOFLINE},
        **_background(measured),
        **cell_columns(measured, runs),
    }
    return row | pooled_columns(row, runs)


def variant_row(record: VariantResults, boundary: str) -> Row:
    """One variant's row without its baseline; boundary: the part that the study chose."""
    manifest = record.manifest
    return {
        "variant_id": record.identity["id"],
        **{key: record.identity[key] for key in ("model", "prune", "precision")},
        "status": "ok",
        "status_reason": None,
        "method": manifest["method"],
        "dtype": manifest["dtype"],
        "layers": manifest["layers"],
        "parameters": manifest["parameters"],
        "size_bytes": manifest["size_bytes"],
        "meaningful_accuracy": manifest["meaningful_accuracy"],
        **fidelity_columns(record),
        **_making_columns("quantise", record.making["quantise"], boundary),
        **_making_columns("score_layers", record.making["score_layers"], boundary),
    }


def _making_columns(phase: str, stage: StageEnergy | None, boundary: str) -> Row:
    """Duration (s) and energy (J) of one stage of making a variant; empty without the stage."""
    if stage is None:
        return {}
    joules, status = stage["energy_j"], stage["energy_status"]
    return {
        f"{phase}_s": stage["duration_s"],
        **{f"{phase}_{name}_j": value for name, value in figures(joules, boundary).items()},
        **{f"{phase}_{part}_energy_status": status.get(part) for part in PARTS},
        f"{phase}_energy_note": stage["energy_note"],
    }


def compare_variants(rows: Sequence[Row], baseline: Row) -> None:
    """Add each variant's baseline (same model) and its change in size, in place."""
    baselines = {
        row["model"]: row
        for row in rows
        if (row["precision"], row["prune"]) == (baseline["precision"], baseline["prune"])
    }
    for row in rows:
        base = baselines.get(row["model"], {})
        row["baseline_variant_id"] = base.get("variant_id")
        row["size_bytes_change"] = relative_change(row["size_bytes"], base.get("size_bytes"))


def _validity(energy: EnergyRecord) -> Row:
    def listed(severity: str | None, passed: bool | None) -> str | None:
        found = [
            _described(e)
            for e in energy["checks"]
            if e["passed"] is passed and severity in (None, e["severity"])
        ]
        return "; ".join(found) or None

    return {
        "valid": energy["valid"],
        "failed_checks": listed("error", False),
        "warnings": listed("warning", False),
        "skipped_checks": listed(None, None),
    }


def _described(check: CheckResult) -> str:
    """E.g. `window_long_enough (repeat 1): 0.4 s, limit 1 s`."""
    repeat, unit = check["repeat"], check["unit"]
    where = f" (repeat {repeat})" if repeat is not None else ""
    figures = [
        f"{prefix}{format_short(value)}{f' {unit}' if unit else ''}"
        for prefix, value in (("", check["observed"]), ("limit ", check["limit"]))
        if value is not None
    ]
    return f"{check['name']}{where}" + (f": {', '.join(figures)}" if figures else "")


def _accuracy(evaluate: EvaluatedCellRecord, runs: list[Row], meaningful: bool) -> Row:
    """pass@1 over all repeats and samples, its Wilson interval over tasks, and pass@k.

    The interval's n is the number of judged tasks, however many samples each has: tasks are the
    sample of a population of tasks.
    """
    if not meaningful:
        return {}
    row: Row = {}
    for tests in TESTS:
        name = f"pass_at_1_{tests}"
        shares = [run[name] for run in runs]
        if None in shares:
            continue
        share, tasks = math.fsum(shares) / len(shares), runs[0]["tasks_judged"]
        low, high = wilson_interval(min(share, 1.0) * tasks, tasks)
        row |= {name: share, f"{name}_wilson95_low": low, f"{name}_wilson95_high": high}
        row |= {
            f"pass_at_{k}_{tests}": _pass_at(evaluate, tests, k)
            for k in sorted({*PASS_AT, *evaluated_ks(evaluate)} - {1})
        }
    return row


def _excluded(tasks: list[Row]) -> str | None:
    """The excluded tasks with their reasons: "A: reason; B: reason"; None if there is none.

    A semicolon in a reason becomes a comma, so that semicolons separate tasks.
    """
    reasons = {row["task_id"]: row["exclusion_reason"] for row in tasks}
    told = {task: why.replace(";", ",") for task, why in reasons.items() if why}
    return "; ".join(f"{task}: {why}" for task, why in told.items()) or None


def evaluated_ks(evaluate: EvaluatedCellRecord) -> set[int]:
    """The k with which a cell's pass@k were computed: the study's `evaluation.k`."""
    return {int(k) for entry in evaluate["by_repeat"] for k in entry["base"]}


def _pass_at(evaluate: EvaluatedCellRecord, tests: str, k: int) -> float | None:
    """Mean over repeats of the evaluator's pass@k; None where it gives none."""
    tables = [entry["base" if tests == "base" else "plus"] for entry in evaluate["by_repeat"]]
    found = [table.get(str(k)) for table in tables]
    values = [float(value) for value in found if value is not None]
    return math.fsum(values) / len(values) if values and len(values) == len(found) else None


def _methods(energy: EnergyRecord) -> Row:
    known = energy["components"]
    return {
        f"{part}_energy_method": known[part]["method"] if part in known else None
        for part in COMPONENTS
    }


def _positive(runs: list[Row]) -> Row:
    """Statistics of the positive metrics over repeats, and of the bounds on their error."""
    row: Row = {}
    for metric in POSITIVE:
        summary = summarise(run.get(metric) for run in runs)
        row |= {
            f"{metric}_mean": summary.mean,
            f"{metric}_sd": summary.sd,
            f"{metric}_n": summary.n,
            f"{metric}_geomean": summary.geomean,
        }
        set_interval(row, f"{metric}_ci95", summary.ci95)
        set_interval(row, f"{metric}_sd_band", summary.sd_band)
    for metric in BOUNDS:
        values = finite(run.get(metric) for run in runs)
        row[f"{metric}_mean"] = mean_of(values) if values else None
        row[f"{metric}_max"] = max(values, default=None)
    return row


def _signed(runs: list[Row]) -> Row:
    """Statistics of the net energies: on the linear scale, the meters' bounds added."""
    row: Row = {}
    for metric, bound in zip(SIGNED, NET_BOUNDS, strict=True):
        values, bounds = (finite(run.get(name) for run in runs) for name in (metric, bound))
        row[f"{metric}_n"] = len(values)
        row[f"{metric}_sd"] = sample_sd(values)
        row[f"{metric}_mean"] = mean_of(values) if values else None
        row[f"{bound}_mean"] = widest = mean_of(bounds) if bounds else None
        interval = t_interval(values)
        if interval is not None and widest is not None:
            set_interval(row, f"{metric}_ci95", (interval[0] - widest, interval[1] + widest))
    return row


def _background(measured: Measurements) -> Row:
    """Idle power, the energy of loading, warming up and judging, and what the job held."""
    energy = measured.energy
    idle, boundary = energy["baseline"], energy["boundary"]
    evaluated = energy["evaluate"]
    phases = {"load": energy["load"], "warmup": energy["warmup"], "evaluate": evaluated}
    phase_joules = {
        f"{phase}_{name}_j": value
        for phase, total in phases.items()
        for name, value in figures(None if total is None else total["energy_j"], boundary).items()
    }
    windows = [w for w in measured.evaluate["windows"] if w["phase"] == "evaluate"]
    return {
        **{
            f"{phase}_{part}_w": idle[f"{phase}_w"].get(part)
            for phase in IDLE
            for part in COMPONENTS
        },
        **phase_joules,
        **{
            f"evaluate_{part}_energy_status": status
            for part, status in ({} if evaluated is None else evaluated["status"]).items()
        },
        "gpu_names": _gpu_names(measured.generate),
        "grid_country": energy["carbon"]["country"],
        "grid_gco2e_per_kwh": energy["carbon"]["g_per_kwh"],
        "cpu_share": energy["allocation"].get("share"),
        "sampler_cpu_share": energy["sampler"]["cpu_share"],
        "evaluate_s": math.fsum(w["end_s"] - w["start_s"] for w in windows) if windows else None,
    }


def _gpu_names(generate: GeneratedCellRecord) -> str | None:
    """The models of the job's GPUs, as NVML names them."""
    return ", ".join(sorted(str(device.get("name")) for device in _gpus(generate))) or None


def _machine(generate: GeneratedCellRecord) -> Row:
    """The host and the boards that a cell ran on."""
    uuids = sorted(str(device.get("device")) for device in _gpus(generate))
    made = generate["provenance"]
    return {
        "host": made["host"],
        "cpu_name": made["cpu"],
        "gpu_uuids": ", ".join(uuids) or None,
    }


def _gpus(generate: GeneratedCellRecord) -> list[dict[str, Any]]:
    meters = [m for m in generate["meters"] if m["name"] == "nvml"]
    return [device for meter in meters for device in meter["devices"]]
