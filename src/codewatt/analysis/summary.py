"""One self-contained page: which variant costs least for which accuracy, and how sure that is."""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.frontier import accuracy_column, comparable_groups, frontier_cells
from codewatt.analysis.headlines import (
    Row,
    accuracy_interval,
    boundary_words,
    energy_interval,
    energy_notice,
    joules,
    percent,
    sections,
    setting_words,
    variant_words,
)
from codewatt.analysis.labels import BOUNDARY_NAMES, COMPONENT_NAMES, Labels, label
from codewatt.analysis.tables import to_rows
from codewatt.energy.sources import COMPONENTS
from codewatt.errors import CodewattError
from codewatt.files import atomic_path

_MEDIA = {".png": "image/png", ".svg": "image/svg+xml"}
_CAPTIONS = {
    "energy_by_precision": "Energy of a run by precision, stacked by component.",
    "prune_depth": "pass@1 and energy of a run against the number of pruned layers.",
    "frontier": "Energy of a run against pass@1, with the efficient frontier.",
    "prompts": "pass@1 by prompt style.",
}


def write_summary(
    cell_table: pd.DataFrame,
    variant_table: pd.DataFrame,
    expectation_table: pd.DataFrame,
    labels: Labels,
    figures: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
    out: str | Path,
    *,
    title: str = "codewatt",
) -> None:
    """Write the summary page, atomically.

    The page loads nothing: styles and figures are inside it.

    Args:
        cell_table, variant_table, expectation_table: the tables that `aggregate` made.
        labels: kind ("model", "precision", "prune", "benchmark") → id → label.
        figures: name of a plot module → its PNG or SVG, in the order of the page.
        provenance: what made these results; nested values are listed by their path.
        title: the study's title.

    Raises:
        CodewattError: a figure is missing or neither PNG nor SVG.
    """
    rows = to_rows(cell_table)
    groups = _groups(rows, labels)
    views = [view for group in groups for view in group["rows"]]
    page = _template().render(
        title=title,
        notice=energy_notice(rows),
        boundary=boundary_words(rows),
        boundaries=[_boundary_view(row, labels) for row in rows if row["status"] == "ok"],
        expectations=_expectation_views(to_rows(expectation_table)),
        sections=sections(rows, labels),
        groups=groups,
        failures=[view for view in views if view["failed"] or view["reason"]],
        warnings=[view for view in views if view["warnings"]],
        variants=[_variant_view(row, labels) for row in to_rows(variant_table)],
        figures=[_figure(name, Path(path)) for name, path in figures.items()],
        provenance=list(_flat(provenance)),
    )
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("codewatt.analysis", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("summary.html.j2")


def _figure(name: str, path: Path) -> dict[str, str]:
    if path.suffix not in _MEDIA:
        raise CodewattError(f"{path}: a figure of the summary is {' or '.join(_MEDIA)}")
    try:
        content = base64.b64encode(path.read_bytes()).decode("ascii")
    except FileNotFoundError:
        raise CodewattError(f"{path}: no such file") from None
    caption = _CAPTIONS.get(name, name)
    return {"source": f"data:{_MEDIA[path.suffix]};base64,{content}", "caption": caption}


def _groups(rows: list[Row], labels: Labels) -> list[dict[str, Any]]:
    """The cell table, split by setting."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(setting_words(row, labels), []).append(row)
    result = []
    for setting, group in groups.items():
        accuracy = accuracy_column(group)
        tasks = {row["tasks"] for row in group if row["tasks"] is not None}
        repeats = {row["repeats"] for row in group if row["repeats"] is not None}
        result.append(
            {
                "setting": setting,
                "tests": accuracy.rpartition("_")[2],
                "tasks": _listed(tasks),
                "repeats": _listed(repeats),
                "mixed": len(comparable_groups([r for r in group if r["status"] == "ok"])) > 1,
                "rows": _views(group, labels),
            }
        )
    return result


def _views(rows: list[Row], labels: Labels) -> list[dict[str, Any]]:
    """What the page shows of each cell, as text."""
    accuracy = accuracy_column(rows)
    members = frontier_cells(rows, accuracy)
    return [_view(row, labels, accuracy, row["cell_id"] in members) for row in rows]


def _view(row: Row, labels: Labels, accuracy: str, member: bool) -> dict[str, Any]:
    energy, tests = energy_interval(row), accuracy.rpartition("_")[2]
    lost, gained = row[f"tasks_lost_{tests}"], row[f"tasks_gained_{tests}"]
    return {
        "cell_id": row["cell_id"],
        "model": label(labels, "model", row["model"]),
        "variant": variant_words(row, labels),
        "baseline": row["cell_id"] == row["baseline_cell_id"],
        "member": member,
        "valid": row["valid"],
        "reason": row["status_reason"],
        "failed": row["failed_expectations"],
        "warnings": row["warnings"],
        "score": _number(row[accuracy], ".3f"),
        "score_interval": _interval(row[accuracy] and accuracy_interval(row, accuracy)),
        "score_note": row["accuracy_note"],
        "score_change": _change(row[f"{accuracy}_change"]),
        "lost": None if lost is None else f"-{lost}, +{gained}".replace("-", "\N{MINUS SIGN}"),
        "lost_p": _number(row[f"mcnemar_p_{tests}"], ".3g"),
        "energy": _joules(row["energy_j_mean"]),
        "energy_interval": f"[{joules(energy[0])}, {joules(energy[1])}]" if energy else None,
        "energy_change": _change(row["energy_j_change"]),
        "change_note": row["change_note"],
        "chips": _chips(row),
        "net_energy": _joules(row["net_energy_j_mean"]),
        "j_per_correct": _joules(row[f"j_per_correct_task_{tests}_mean"]),
        "tokens_per_s": _number(row["tokens_per_s_mean"], ".1f"),
        "roofline": _roofline(row["decode_roofline_share_mean"]),
    }


def _roofline(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.2g} % of roofline"


def _chips(row: Row) -> list[tuple[str, str, str]]:
    """(status, its components, their methods) for each status that a component of the cell has."""
    chips = []
    for status in ("measured", "modelled", "unavailable"):
        parts = [part for part in COMPONENTS if row[f"{part}_energy_status"] == status]
        methods = [str(row[f"{part}_energy_method"] or "") for part in parts]
        if parts:
            names = ", ".join(COMPONENT_NAMES[part] for part in parts)
            chips.append((status, names, "; ".join(filter(None, methods))))
    return chips


def _boundary_view(row: Row, labels: Labels) -> dict[str, Any]:
    """Energy of a run inside each boundary, with its interval and how it came about."""
    cells = []
    for name in BOUNDARY_NAMES:
        mean = row[f"{name}_j_mean"]
        low, high = row[f"{name}_j_ci95_low"], row[f"{name}_j_ci95_high"]
        cells.append(
            {
                "energy": _joules(mean),
                "interval": None if low is None else f"[{joules(low)}, {joules(high)}]",
                "status": row[f"{name}_energy_status"],
            }
        )
    share = row["processors_share"]
    return {
        "model": label(labels, "model", row["model"]),
        "variant": variant_words(row, labels),
        "setting": setting_words(row, labels),
        "share": None if share is None else f"{share:.0%}",
        "cells": cells,
    }


def _expectation_views(rows: list[Row]) -> list[dict[str, Any]]:
    """Each expectation once: how often it passed, failed and could not be judged."""
    views: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        view = views.setdefault(
            (row["name"], row["severity"]),
            {"name": row["name"], "severity": row["severity"], "detail": row["detail"]}
            | {"passed": 0, "failed": 0, "unjudged": 0, "first": None},
        )
        key = {True: "passed", False: "failed", None: "unjudged"}[row["passed"]]
        view[key] += 1
        if row["passed"] is False and view["first"] is None:
            unit = f" {row['unit']}" if row["unit"] else ""
            view["first"] = f"{row['observed']}{unit}, limit {row['limit']}{unit}"
    return sorted(views.values(), key=lambda view: (view["severity"], -view["failed"]))


def _variant_view(row: Row, labels: Labels) -> dict[str, Any]:
    return {
        "model": label(labels, "model", row["model"]),
        "precision": label(labels, "precision", row["precision"]),
        "prune": label(labels, "prune", row["prune"]),
        "reason": row["status_reason"],
        "method": row["method"],
        "dtype": row["dtype"],
        "layers": row["layers"],
        "parameters": _number(row["parameters"], ",d"),
        "size": _megabytes(row["size_bytes"]),
        "size_change": _change(row["size_bytes_change"]),
        "seconds": _number(row["quantise_s"], ".1f"),
        "energy": _joules(row["quantise_energy_j"]),
    }


def _number(value: Any, form: str) -> str | None:
    return None if value is None else format(value, form)


def _joules(value: float | None) -> str | None:
    return None if value is None else joules(value)


def _change(value: float | None) -> str | None:
    return None if value is None else percent(value)


def _megabytes(value: int | None) -> str | None:
    return None if value is None else f"{value / 1e6:,.2f} MB"


def _interval(interval: tuple[float, float] | None) -> str | None:
    return None if not interval else f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def _listed(counts: set[int]) -> str | None:
    return " or ".join(str(count) for count in sorted(counts)) or None


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Nested values as (path, text), in their order."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        yield path, ", ".join(str(item) for item in value)
    else:
        yield path, "not known" if value is None else str(value)
