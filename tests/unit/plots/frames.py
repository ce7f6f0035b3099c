"""Run tables, comparison tables and cell tables over sizes, of studies that never ran."""

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pandas as pd

from codewatt.analysis.columns import CELL, CELL_IDS, COMPARISON, INTEGER, RUN
from codewatt.analysis.tables import to_table
from tests.unit.plots.conftest import make_rows

Row = dict[str, Any]


def ids(row: Row) -> Row:
    return {name: row[name] for name in CELL_IDS}


def run_rows(cells: Sequence[Row], repeats: int, sessions: int = 0) -> list[Row]:
    """Runs of cells: energies around the cell's mean, and durations; `session` if there are any."""
    draw = random.Random(3)
    return [
        {
            **ids(cell),
            "repeat": repeat,
            "valid": cell["valid"],
            "energy_j": cell["energy_j_mean"] * draw.gauss(1, 0.03),
            "duration_s": cell["energy_j_mean"] / 300 * draw.gauss(1, 0.02),
            **({"session": session} if sessions else {}),
        }
        for cell in cells
        for session in range(1, max(sessions, 1) + 1)
        for repeat in range(repeats)
    ]


def run_table(rows: Sequence[Row]) -> pd.DataFrame:
    return to_table(rows, {**RUN, "session": INTEGER} if any("session" in r for r in rows) else RUN)


def comparison_rows(cells: Sequence[Row], sessions: int = 1) -> list[Row]:
    """Comparisons of each cell with its baseline: the true ratio of means, with an interval."""
    by_id = {cell["cell_id"]: cell for cell in cells}
    rows = []
    for number, cell in enumerate(cells):
        reference = by_id.get(cell["baseline_cell_id"])
        if reference is None or reference is cell:
            continue
        change = cell["energy_j_mean"] / reference["energy_j_mean"] - 1
        lost = cell["pass_at_1_plus"] - reference["pass_at_1_plus"]
        found = {"energy_j": change, "duration_s": change / 2, "j_per_token": change * 1.1}
        for metric, estimate in {**found, "pass_at_1_plus": lost}.items():
            width = 0.02 + 0.01 * (number % 3)
            rows.append(
                {
                    **ids(cell),
                    "reference_cell_id": cell["baseline_cell_id"],
                    "metric": metric,
                    "scale": "difference" if metric == "pass_at_1_plus" else "ratio",
                    "estimate": estimate,
                    "ci95_low": estimate - width,
                    "ci95_high": estimate + width * 1.2,
                    "sessions": sessions,
                    "p": 0.001 if abs(estimate) > width else 0.3,
                    "p_holm": 0.01 if abs(estimate) > width else 0.9,
                    "equivalence_margin": 0.03 if metric == "pass_at_1_plus" else 0.05,
                }
            )
    return rows


def comparison_table(rows: Sequence[Row]) -> pd.DataFrame:
    return to_table(rows, COMPARISON)


def scaled_rows(
    ratios: dict[str, Sequence[float]],
    batch_sizes: Sequence[int] = (1, 4, 16),
    models: int = 1,
    width: float = 0.03,
) -> list[Row]:
    """Cells at several batch sizes.

    ratios: precision -> energy per token against bf16 at each batch size (and for each model).
    """
    rows = []
    for batch, precision in itertools.product(range(len(batch_sizes)), ("bf16", *ratios)):
        for row in make_rows(models, precisions=(precision,), depths=(0,)):
            model = int(row["model"][1:])
            base = 8.0 / batch_sizes[batch] * 1.6**model
            ratio = 1.0 if precision == "bf16" else ratios[precision][(batch + model)]
            size = f"b{batch_sizes[batch]}"
            row |= {
                "cell_id": f"{row['cell_id']}--{size}",
                "baseline_cell_id": f"{row['baseline_cell_id']}--{size}",
                "batch_size": batch_sizes[batch],
                "parameters": int(1e9 * 3**model),
                "j_per_token_geomean": base * ratio,
                "j_per_token_ci95_low": base * ratio * (1 - width / 2),
                "j_per_token_ci95_high": base * ratio * (1 + width / 2),
            }
            if precision != "bf16":
                low, high = ratio * (1 - width) - 1, ratio / (1 - width) - 1
                row |= {
                    "j_per_token_change": ratio - 1,
                    "j_per_token_change_ci95_low": low,
                    "j_per_token_change_ci95_high": high,
                    "j_per_token_change_p_holm": 0.001 if low * high > 0 else 0.5,
                }
            rows.append(row)
    return rows


def cell_table(rows: Sequence[Row], **more: str) -> pd.DataFrame:
    return to_table(rows, {**CELL, **more})
