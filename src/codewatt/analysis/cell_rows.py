"""Rows of the cell and variant tables, each by itself; `changes` and `paired_tasks` compare them.

A cell has one row over all sessions.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from codewatt.analysis import judging_columns
from codewatt.analysis.cell_results import Measurements, VariantResults
from codewatt.analysis.changes import set_interval
from codewatt.analysis.columns import (
    BOUNDS,
    CLAIMED,
    IDLE,
    NET_BOUNDS,
    PASS_AT,
    POSITIVE,
    ROOFLINE,
    SIGNED,
    TESTS,
    Row,
)
from codewatt.analysis.design_cells import (
    DesignCell,
    identical_between_sessions,
    identical_within_sessions,
    pool_columns,
)
from codewatt.analysis.fidelity_columns import fidelity_columns
from codewatt.analysis.log_scale_statistics import (
    exponentials,
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
from codewatt.analysis.session_replicates import (
    interval_scope,
    log_replicates,
    replicates,
    values_by_session,
)
from codewatt.energy.boundaries import PARTS
from codewatt.energy.energy_record import EnergyRecord, StageEnergy
from codewatt.energy.energy_sources import COMPONENTS
from codewatt.energy.gpu_meters import GPU_METERS
from codewatt.energy.validity.check import CheckResult
from codewatt.evaluate.evaluate_record import EvaluatedCellRecord
from codewatt.generate.generate_record import GeneratedCellRecord
from codewatt.quantise.variant_record import VariantRecord

RANDOM_WEIGHTS = "random weights: pass@1 says nothing about this model"


def cell_row(
    cell: DesignCell, runs: list[Row], tasks: Sequence[Row], variant: VariantResults | None
) -> Row:
    """One cell's row over all its sessions, without its baseline.

    A cell that ran in no session has its ids and the reason.

    Args:
        runs, tasks: its rows of the run and task tables, of all sessions.
        variant: its variant's results; None when not given.
    """
    manifest = None if variant is None else variant.manifest
    row: Row = {
        **id_columns(cell.results[0]),
        "status": cell.status,
        "status_reason": cell.reason,
        "size_bytes": None if manifest is None else manifest["size_bytes"],
        "parameters": None if manifest is None else manifest["parameters"],
        "weights_origin": None if manifest is None else weights_origin(manifest),
    }
    measured = cell.measured
    if not measured:
        return row
    meaningful = manifest is None or manifest["meaningful_accuracy"]
    evaluations = [one.evaluate for one in measured.values()]
    row |= {
        **_validity({session: one.energy for session, one in measured.items()}),
        **pool_columns([(session, _session(one)) for session, one in measured.items()]),
        "interval_scope": interval_scope(len(measured)),
        "sessions": len(measured),
        "repeats": len(runs),
        "tasks": runs[0]["tasks"],
        "tasks_judged": min(run["tasks_judged"] for run in runs),
        "excluded_tasks": _excluded(tasks),
        "samples_per_task": runs[0]["samples_per_task"],
        "completions_identical": identical_within_sessions(cell),
        "completions_identical_between_sessions": identical_between_sessions(cell),
        "accuracy_note": None if meaningful else RANDOM_WEIGHTS,
        **_accuracy(evaluations, runs, meaningful),
        **cell_shares(tasks),
        **_positive(runs),
        **_signed(runs),
        **{f"{name}_mean": summarise(run.get(name) for run in runs).mean for name in ROOFLINE},
        **judging_columns.mean_columns(runs),
    }
    return row | pooled_columns(row, runs, tasks)


def _session(measured: Measurements) -> Row:
    """The columns that describe one job: the machine, the origin of energies, the background."""
    return {
        "asked": measured.generate["prompt"]["asked"],
        **machine(measured.generate),
        **status_columns(measured.energy),
        **_methods(measured.energy),
        **machine_columns(measured),
        **_background(measured),
        **judging_columns.session_columns(measured),
    }


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
        "weights_origin": weights_origin(manifest),
        "size_bytes": manifest["size_bytes"],
        "meaningful_accuracy": manifest["meaningful_accuracy"],
        **fidelity_columns(record),
        **_making_columns("quantise", record.making["quantise"], boundary),
        **_making_columns("score_layers", record.making["score_layers"], boundary),
    }


def weights_origin(manifest: VariantRecord) -> str | None:
    """Where weights come from if they are less precise than their dtype: a packed GGUF file."""
    packed_as = manifest["base"].get("packed_as")
    return None if packed_as is None else f"unpacked from GGUF {packed_as}"


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


def _validity(sessions: Mapping[int, EnergyRecord]) -> Row:
    """Validity over all sessions: valid only if each of them is."""

    def listed(severity: str | None, passed: bool | None) -> str | None:
        found = [
            describe_check(e, session if len(sessions) > 1 else None)
            for session, energy in sessions.items()
            for e in energy["checks"]
            if e["passed"] is passed and severity in (None, e["severity"])
        ]
        return "; ".join(found) or None

    return {
        "valid": all(energy["valid"] for energy in sessions.values()),
        "failed_checks": listed("error", False),
        "warnings": listed("warning", False),
        "skipped_checks": listed(None, None),
    }


def describe_check(check: CheckResult, session: int | None) -> str:
    """E.g. `window_long_enough (repeat 1): 0.4 s, limit 1 s`; session: None if there is one."""
    repeat, unit = check["repeat"], check["unit"]
    places = {"session": session, "repeat": repeat}
    of = ", ".join(f"{name} {number}" for name, number in places.items() if number is not None)
    where = f" ({of})" if of else ""
    figures = [
        f"{prefix}{format_short(value)}{f' {unit}' if unit else ''}"
        for prefix, value in (("", check["observed"]), ("limit ", check["limit"]))
        if value is not None
    ]
    return f"{check['name']}{where}" + (f": {', '.join(figures)}" if figures else "")


def _accuracy(evaluations: Sequence[EvaluatedCellRecord], runs: list[Row], meaningful: bool) -> Row:
    """pass@1 over all sessions, repeats and samples, its Wilson interval over tasks, and pass@k.

    The interval's n is the number of judged tasks, however many samples, repeats and sessions each
    has: tasks are the sample of a population of tasks.
    """
    if not meaningful:
        return {}
    row: Row = {}
    ks = {k for evaluate in evaluations for k in evaluated_ks(evaluate)}
    for tests in TESTS:
        name = f"pass_at_1_{tests}"
        shares = [run[name] for run in runs]
        if None in shares:
            continue
        share = math.fsum(shares) / len(shares)
        tasks = min(run["tasks_judged"] for run in runs)
        low, high = wilson_interval(min(share, 1.0) * tasks, tasks)
        row |= {name: share, f"{name}_wilson95_low": low, f"{name}_wilson95_high": high}
        row |= {
            f"pass_at_{k}_{tests}": _pass_at(evaluations, tests, k)
            for k in sorted({*PASS_AT, *ks} - {1})
        }
    return row


def _excluded(tasks: Sequence[Row]) -> str | None:
    """The excluded tasks with their reasons: "A: reason; B: reason"; None if there is none.

    A semicolon in a reason becomes a comma, so that semicolons separate tasks.
    """
    reasons = {row["task_id"]: row["exclusion_reason"] for row in tasks}
    told = {task: why.replace(";", ",") for task, why in reasons.items() if why}
    return "; ".join(f"{task}: {why}" for task, why in told.items()) or None


def evaluated_ks(evaluate: EvaluatedCellRecord) -> set[int]:
    """The k with which a cell's pass@k were computed: the study's `evaluation.k`."""
    return {int(k) for entry in evaluate["by_repeat"] for k in entry["base"]}


def _pass_at(evaluations: Sequence[EvaluatedCellRecord], tests: str, k: int) -> float | None:
    """Mean over all repeats of the evaluator's pass@k; None where it gives none."""
    entries = [entry for evaluate in evaluations for entry in evaluate["by_repeat"]]
    tables = [entry["base" if tests == "base" else "plus"] for entry in entries]
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
    """Statistics of the positive metrics over all runs, and of the bounds on their error.

    Intervals rest on the runs of one session, or on the means of several.
    """
    row: Row = {}
    for metric in POSITIVE:
        by_session = values_by_session(runs, metric)
        summary = summarise(run.get(metric) for run in runs)
        independent = log_replicates(by_session)
        row |= {
            f"{metric}_mean": summary.mean,
            f"{metric}_sd": summary.sd,
            f"{metric}_n": summary.n,
            f"{metric}_geomean": summary.geomean,
        }
        if independent is not None:
            set_interval(row, f"{metric}_ci95", exponentials(t_interval(independent)))
        if metric in CLAIMED and independent is not None and len(by_session) > 1:
            row[f"{metric}_log_sd_between_sessions"] = sample_sd(independent)
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
        interval = t_interval(replicates(values_by_session(runs, metric)))
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
    """The models of the job's GPUs, as NVML or AMD SMI names them."""
    return ", ".join(sorted(str(device.get("name")) for device in _gpus(generate))) or None


def machine(generate: GeneratedCellRecord) -> Row:
    """The host and the boards that a session of a cell ran on."""
    uuids = sorted(str(device.get("device")) for device in _gpus(generate))
    made = generate["provenance"]
    return {
        "host": made["host"],
        "cpu_name": made["cpu"],
        "gpu_uuids": ", ".join(uuids) or None,
    }


def _gpus(generate: GeneratedCellRecord) -> list[dict[str, Any]]:
    meters = [m for m in generate["meters"] if m["name"] in GPU_METERS]
    return [device for meter in meters for device in meter["devices"]]
