"""The statistical tests and regressions as text for the summary page."""

from collections.abc import Sequence
from typing import Any

from codewatt.analysis.columns import Row
from codewatt.analysis.labels import Labels, label
from codewatt.analysis.statistical_tests.energy_regression import (
    BY_TASK,
    CORRECTED,
    INTERCEPT,
    THESIS,
)
from codewatt.analysis.statistical_tests.families import ALPHA

View = dict[str, Any]
#: Pairs of cells that the page shows at most: their number grows with the square of the cells.
MAX_PAIRS = 50
_FACTORS = {"variant": "variants", "model": "models", "batch_size": "batch sizes"}


def statistical_test_views(rows: Sequence[Row]) -> View:
    """Rows of the table `statistical_test` by what they test; empty without rows.

    Returns:
        "groups": [{"heading", "rows"}] tests between cells; "pairs": Dunn's tests (`_pairs`), None
        if there are none; "cells": tests of one cell; "withheld": [{"reason", "tests"}] reasons
        with the number of tests.
    """
    if not rows:
        return {}
    made = [row for row in rows if row["statistic"] is not None]
    groups: dict[tuple[str, str], list[View]] = {}
    for row in made:
        if row["factor"] is not None and row["other_cell_id"] is None:
            groups.setdefault((row["factor"], row["group"]), []).append(_view(row))
    return {
        "groups": [
            {"heading": f"{_FACTORS[factor].capitalize()} compared: {group}", "rows": views}
            for (factor, group), views in groups.items()
        ],
        "pairs": _pairs([row for row in made if row["other_cell_id"] is not None]),
        "cells": [_view(row) for row in made if row["factor"] is None],
        "withheld": _withheld(rows),
    }


def _pairs(rows: Sequence[Row]) -> View | None:
    """The pairs of cells that differ, at most MAX_PAIRS of them; None without rows.

    Returns:
        "rows": those with the smallest adjusted p values; "tests", "significant", "left_out": how
        many tests there are, how many of them are significant, and how many of these are not in
        "rows"; "alpha": the level.
    """
    if not rows:
        return None
    found = [row for row in rows if row["p_holm"] is not None and row["p_holm"] < ALPHA]
    shown = sorted(found, key=lambda row: float(row["p_holm"]))[:MAX_PAIRS]
    return {
        "rows": [_view(row) for row in shown],
        "tests": len(rows),
        "significant": len(found),
        "left_out": len(found) - len(shown),
        "alpha": ALPHA,
    }


def _withheld(rows: Sequence[Row]) -> list[View]:
    counts: dict[str, int] = {}
    for row in rows:
        if row["statistic"] is None:
            counts[row["note"]] = counts.get(row["note"], 0) + 1
    return [{"reason": reason, "tests": count} for reason, count in counts.items()]


def _view(row: Row) -> View:
    degrees = [f"{row[name]:g}" for name in ("df", "df_residual") if row[name] is not None]
    df = f"({', '.join(degrees)})" if degrees else ""
    effect = None if row["effect"] is None else f"{row['effect_name']} {row['effect']:.3g}"
    return {
        "test": row["test"],
        "level": row["level"],
        "metric": row["metric"],
        "cell": row["cell_id"],
        "other": row["other_cell_id"],
        "n": row["n"],
        "statistic": f"{row['statistic_name']}{df} = {row['statistic']:.4g}",
        "p": None if row["p_holm"] is None else f"{row['p_holm']:.3g}",
        "effect": effect,
        "conclusion": row["conclusion"],
        "note": row["note"],
    }


def regression_views(rows: Sequence[Row], labels: Labels) -> list[View]:
    """What changes in each cell between the thesis model and the corrected model.

    The corrected model stands with errors clustered by task, which allow for repeats of one task.
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["cell_id"], []).append(row)
    return [_regression_view(of_cell, labels) for of_cell in found.values()]


def _regression_view(rows: Sequence[Row], labels: Labels) -> View:
    thesis = [row for row in rows if row["model_name"] == THESIS.name]
    corrected = [
        row for row in rows if row["model_name"] == CORRECTED.name and row["errors"] == BY_TASK
    ]
    compared = [row for row in corrected if row["conclusion_changes"] is not None]
    changed = [row["term"] for row in compared if row["conclusion_changes"]]
    return {
        "cell": rows[0]["cell_id"],
        "model": label(labels, "model", rows[0]["model"]),
        "n": corrected[0]["n"],
        "uncentred": _share(thesis[0]["r_squared_uncentred"]),
        "thesis_centred": _share(thesis[0]["r_squared_centred"]),
        "centred": _share(corrected[0]["r_squared_centred"]),
        "compared": len(compared),
        "changed": ", ".join(changed),
        "coefficients": [
            {"term": row["term"], "conclusion": row["conclusion"]}
            for row in corrected
            if row["coefficient"] is not None and row["term"] != INTERCEPT
        ],
        "note": corrected[0]["note"] if corrected[0]["term"] is None else None,
    }


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
