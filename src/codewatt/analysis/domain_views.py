"""The summary page's tables of results by domain, as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import (
    format_joules,
    format_percent,
    format_percent_interval,
    setting_text,
    variant_text,
)
from codewatt.analysis.domain_rows import pool_sessions
from codewatt.analysis.labels import Labels, label

_MINUS = "\N{MINUS SIGN}"
#: Metrics of the domain comparison table -> names of their columns in a view.
_CHANGES = {"pass_at_1_base": "score_change", "j_per_task": "energy_change"}


def domain_views(
    domains: Sequence[Row], comparisons: Sequence[Row], baselines: Mapping[str, str], labels: Labels
) -> list[dict[str, Any]]:
    """A group for each model and setting: a heading, and a line for each domain and variant.

    Args:
        domains: rows of the domain table.
        comparisons: rows of the domain comparison table.
        baselines: id of each cell → id of its baseline; only comparisons with it are shown.
        labels: kind → id → label.
    """
    changes = {
        (row["cell_id"], row["domain"], row["metric"]): row
        for row in comparisons
        if row["reference_cell_id"] == baselines.get(row["cell_id"])
    }
    groups: dict[str, list[Row]] = {}
    for row in pool_sessions(domains):
        heading = f"{label(labels, 'model', row['model'])}, {setting_text(row, labels)}"
        groups.setdefault(heading, []).append(row)
    return [
        {
            "heading": heading,
            "rows": [
                _view(row, changes, baselines, labels)
                for row in sorted(rows, key=lambda row: str(row["domain"]))
            ],
        }
        for heading, rows in groups.items()
    ]


def _view(
    row: Row,
    changes: Mapping[tuple[str, str, str], Row],
    baselines: Mapping[str, str],
    labels: Labels,
) -> dict[str, Any]:
    view: dict[str, Any] = {
        "domain": row["domain"],
        "variant": variant_text(row, labels),
        "baseline": baselines.get(row["cell_id"]) == row["cell_id"],
        "valid": row["valid"],
        "tasks": row["tasks_judged"],
        "score": None if row["pass_at_1_base"] is None else f"{row['pass_at_1_base']:.3f}",
        "score_interval": _score_interval(row),
        "energy": None if row["j_per_task"] is None else format_joules(row["j_per_task"]),
        "energy_interval": _energy_interval(row),
    }
    for metric, name in _CHANGES.items():
        view |= _change(name, changes.get((row["cell_id"], row["domain"], metric)))
    return view


def _score_interval(row: Row) -> str | None:
    if row["pass_at_1_base"] is None:
        return None
    low, high = row["pass_at_1_base_wilson95_low"], row["pass_at_1_base_wilson95_high"]
    return f"[{low:.3f}, {high:.3f}]"


def _energy_interval(row: Row) -> str | None:
    low, high = row.get("j_per_task_ci95_low"), row.get("j_per_task_ci95_high")
    if not row["valid"] or low is None or high is None:
        return None
    return f"[{format_joules(low)}, {format_joules(high)}]"


def _change(name: str, row: Row | None) -> dict[str, str | None]:
    """A change, its interval, its adjusted p and the remark on it."""
    found = dict.fromkeys(f"{name}{end}" for end in ("", "_interval", "_p", "_note"))
    if row is None:
        return found
    found[f"{name}_note"] = row["note"]
    if row["estimate"] is None:
        return found
    low, high = row["ci95_low"], row["ci95_high"]
    if row["scale"] == "ratio":
        value, interval = format_percent(row["estimate"]), format_percent_interval(low, high)
    else:
        value = f"{row['estimate']:+.3f}".replace("-", _MINUS)
        interval = f"[{low:+.3f}, {high:+.3f}]".replace("-", _MINUS)
    p = None if row["p_holm"] is None else f"{row['p_holm']:.3g}"
    return found | {name: value, f"{name}_interval": interval, f"{name}_p": p}
