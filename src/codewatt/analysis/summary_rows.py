"""The rows of the summary page's tables, as text."""

import math
from typing import Any

from codewatt.analysis.break_even import MAY_SAVE_NOTHING, SAVES_NOTHING
from codewatt.analysis.columns import Row
from codewatt.analysis.confounding import CONFOUNDED
from codewatt.analysis.descriptions import (
    accuracy_interval,
    energy_interval,
    format_joules,
    format_percent,
    format_percent_interval,
    format_points,
    paired_difference_text,
    setting_text,
    variant_text,
)
from codewatt.analysis.efficient_frontier import accuracy_column, frontier_cells
from codewatt.analysis.labels import BOUNDARY_NAMES, COMPONENT_NAMES, Labels, label
from codewatt.energy.energy_sources import COMPONENTS
from codewatt.units import BYTES_PER_MB


def cell_views(rows: list[Row], labels: Labels) -> list[dict[str, Any]]:
    """The cells of one setting, as text.

    Args:
        rows: rows of the cell table.
        labels: kind → id → label.
    """
    accuracy = accuracy_column(rows)
    members = frontier_cells(rows, accuracy)
    return [_cell_view(row, labels, accuracy, row["cell_id"] in members) for row in rows]


def _cell_view(row: Row, labels: Labels, accuracy: str, member: bool) -> dict[str, Any]:
    energy, tests = energy_interval(row), accuracy.rpartition("_")[2]
    lost, gained = row[f"tasks_lost_{tests}"], row[f"tasks_gained_{tests}"]
    return {
        "cell_id": row["cell_id"],
        "model": label(labels, "model", row["model"]),
        "variant": variant_text(row, labels),
        "baseline": row["cell_id"] == row["baseline_cell_id"],
        "member": member,
        "valid": row["valid"],
        "reason": None if row["status"] == "ok" else row["status_reason"],
        "missing": row["status_reason"] if row["status"] == "ok" else None,
        "failed": row["failed_checks"],
        "confounded": CONFOUNDED if row["change_note"] == CONFOUNDED else None,
        "warnings": row["warnings"],
        "score": _number(row[accuracy], ".3f"),
        "score_interval": _accuracy_interval(row, accuracy),
        "score_note": row["accuracy_note"],
        "score_change": _change(row[f"{accuracy}_change"]),
        "score_difference": paired_difference_text(row, accuracy),
        "lost": None if lost is None else f"-{lost}, +{gained}".replace("-", "\N{MINUS SIGN}"),
        "lost_p": _number(row[f"mcnemar_p_holm_{tests}"], ".3g"),
        "comparisons": row[f"{accuracy}_comparisons"],
        "noninferior": row[f"noninferior_{tests}"],
        "margin": None
        if row["pass_at_1_margin"] is None
        else format_points(row["pass_at_1_margin"]),
        "energy": _joules(row["energy_j_geomean"]),
        "energy_interval": f"[{format_joules(energy[0])}, {format_joules(energy[1])}]"
        if energy
        else None,
        "energy_change": _change(row["energy_j_change"]),
        "energy_change_interval": format_percent_interval(
            row["energy_j_change_ci95_low"], row["energy_j_change_ci95_high"]
        ),
        "energy_change_p": _number(row["energy_j_change_p_holm"], ".3g"),
        "change_note": _change_note(row),
        **_break_even(row),
        "energy_sources": _energy_sources(row),
        "net_energy": _joules(row["net_energy_j_mean"]),
        "net_interval": _joules_interval(row, "net_energy_j_ci95"),
        "j_per_correct": _joules(row[f"j_per_correct_task_{tests}"]),
        "j_per_correct_interval": _joules_interval(row, f"j_per_correct_task_{tests}_ci95"),
        "tokens_per_s": _number(row["tokens_per_s_mean"], ".1f"),
        "roofline": _roofline(row["decode_roofline_share_mean"]),
    }


def _change_note(row: Row) -> str | None:
    """Why there is no change, or which difference between GPUs its interval allows for."""
    if row["change_note"] is not None:
        return str(row["change_note"])
    if row["same_host_and_gpus"] is not False:
        return None
    spread = f"{100 * (row['board_spread'] or 0.0):.3g} %"
    return (
        "not known to be measured on the baseline's host and GPUs: the interval allows for a "
        f"difference of {spread} between GPUs"
    )


def _joules_interval(row: Row, name: str) -> str | None:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return None if low is None or high is None else f"[{format_joules(low)}, {format_joules(high)}]"


def _break_even(row: Row) -> dict[str, str | None]:
    """The break-even point (tasks) with its interval; "never" where no energy is saved."""
    tasks, note = row["break_even_tasks"], row["break_even_note"]
    low, high = row["break_even_tasks_low"], row["break_even_tasks_high"]
    never = "never" if note == SAVES_NOTHING else None
    last = "never" if note == MAY_SAVE_NOTHING else _tasks(high)
    return {
        "break_even": never if tasks is None else f"{_tasks(tasks)} tasks",
        "break_even_interval": None if low is None else f"[{_tasks(low)}, {last}]",
        "break_even_note": note,
    }


def _tasks(count: float | None) -> str | None:
    """A number of tasks, rounded up to whole tasks."""
    return None if count is None else f"{math.ceil(count):,d}"


def _roofline(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.2g} % of the roofline"


def _energy_sources(row: Row) -> list[tuple[str, str, str]]:
    """(status, components, methods) for each energy status that occurs in the cell."""
    sources = []
    for status in ("measured", "modelled", "unavailable"):
        parts = [part for part in COMPONENTS if row[f"{part}_energy_status"] == status]
        methods = [str(row[f"{part}_energy_method"] or "") for part in parts]
        if parts:
            names = ", ".join(COMPONENT_NAMES[part] for part in parts)
            sources.append((status, names, "; ".join(filter(None, methods))))
    return sources


def boundary_view(row: Row, labels: Labels) -> dict[str, Any]:
    """Energy of a run inside each boundary, with its interval and status."""
    cells = []
    for name in BOUNDARY_NAMES:
        cells.append(
            {
                "energy": _joules(row[f"{name}_j_geomean"]),
                "interval": _joules_interval(row, f"{name}_j_ci95"),
                "status": row[f"{name}_energy_status"],
            }
        )
    share = row["cpu_share"]
    return {
        "model": label(labels, "model", row["model"]),
        "variant": variant_text(row, labels),
        "setting": setting_text(row, labels),
        "share": None if share is None else f"{share:.0%}",
        "cells": cells,
    }


def judging_view(row: Row, labels: Labels) -> dict[str, Any]:
    """Energy of a run for generating, for judging, and for both."""
    tests = accuracy_column([row]).rpartition("_")[2]
    judged_j, both_j = row["evaluate_energy_j_mean"], row["generate_evaluate_energy_j_geomean"]
    mean_j = row["generate_evaluate_energy_j_mean"]
    return {
        "model": label(labels, "model", row["model"]),
        "variant": variant_text(row, labels),
        "setting": setting_text(row, labels),
        "generate": _joules(row["energy_j_geomean"]),
        "generate_interval": _joules_interval(row, "energy_j_ci95"),
        "evaluate": _joules(judged_j),
        "share": None if judged_j is None or not mean_j else f"{judged_j / mean_j:.1%} of both",
        "both": _joules(both_j),
        "both_interval": _joules_interval(row, "generate_evaluate_energy_j_ci95"),
        "per_correct": _joules(row[f"generate_evaluate_j_per_correct_task_{tests}"]),
        "status": row["generate_evaluate_energy_status"],
        "note": row["evaluate_note"],
    }


def check_views(rows: list[Row]) -> list[dict[str, Any]]:
    """Each validity check once, with the numbers of passed, failed and skipped checks."""
    views: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        view = views.setdefault(
            (row["name"], row["severity"]),
            {"name": row["name"], "severity": row["severity"], "detail": row["detail"]}
            | {"passed": 0, "failed": 0, "skipped": 0, "first": None},
        )
        key = {True: "passed", False: "failed", None: "skipped"}[row["passed"]]
        view[key] += 1
        if row["passed"] is False and view["first"] is None:
            unit = f" {row['unit']}" if row["unit"] else ""
            view["first"] = f"{row['observed']}{unit}, limit {row['limit']}{unit}"
    return sorted(views.values(), key=lambda view: (view["severity"], -view["failed"]))


def variant_view(row: Row, labels: Labels) -> dict[str, Any]:
    """A row of the variant table, as text."""
    return {
        "model": label(labels, "model", row["model"]),
        "precision": label(labels, "precision", row["precision"]),
        "prune": label(labels, "prune", row["prune"]),
        "reason": row["status_reason"],
        "method": row["method"],
        "dtype": row["dtype"],
        "origin": row["weights_origin"],
        "layers": row["layers"],
        "parameters": _number(row["parameters"], ",d"),
        "size": _megabytes(row["size_bytes"]),
        "size_change": _change(row["size_bytes_change"]),
        "seconds": _number(row["quantise_s"], ".1f"),
        "energy": _joules(row["quantise_energy_j"]),
    }


def origin_notices(rows: list[Row], labels: Labels) -> list[str]:
    """A statement on each model whose weights were unpacked, so that they are not full precision.

    Args:
        rows: rows of the variant table.
        labels: kind → id → label.
    """
    origins = {row["model"]: row["weights_origin"] for row in rows if row["weights_origin"]}
    return [
        f"{label(labels, 'model', model)}: weights {origin}. They are as precise as that packing, "
        "in float32 too; changes are against these weights, not against the original checkpoint."
        for model, origin in origins.items()
    ]


def fidelity_views(rows: list[Row], labels: Labels) -> list[dict[str, Any]]:
    """The fidelity of each variant; empty if the study measures no fidelity."""
    return [
        {
            **{kind: label(labels, kind, row[kind]) for kind in ("model", "precision", "prune")},
            "baseline": row["variant_id"] == row["baseline_variant_id"],
            "corpus": row["fidelity_corpus"],
            "positions": _number(row["fidelity_positions"], ",d"),
            "cosine": _number(row["logits_cosine_mean"], ".5f"),
            "smallest_cosine": _number(row["logits_cosine_min"], ".5f"),
            "divergence": _number(row["kl_nats_per_token"], ".3g"),
            "agreement": _number(row["top1_agreement_share"], ".1%"),
            "perplexity": _number(row["perplexity"], ".4g"),
            "change": _change(row["perplexity_change"]),
            "change_interval": format_percent_interval(
                row["perplexity_change_ci95_low"], row["perplexity_change_ci95_high"]
            ),
            "note": row["fidelity_note"],
        }
        for row in rows
        if row["fidelity_corpus"] is not None
    ]


def _number(value: Any, form: str) -> str | None:
    return None if value is None else format(value, form)


def _joules(value: float | None) -> str | None:
    return None if value is None else format_joules(value)


def _change(value: float | None) -> str | None:
    return None if value is None else format_percent(value)


def _megabytes(value: int | None) -> str | None:
    return None if value is None else f"{value / BYTES_PER_MB:,.2f} MB"


def _accuracy_interval(row: Row, accuracy: str) -> str | None:
    if row[accuracy] is None:
        return None
    low, high = accuracy_interval(row, accuracy)
    return f"[{low:.3f}, {high:.3f}]"
