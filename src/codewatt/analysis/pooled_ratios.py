"""Joules per correct task and pass@kWh of a cell: pooled over repeats, with intervals.

Both join the uncertainty of the energy (repeats) with that of the accuracy (tasks). The method is
MOVER, the method of variance estimates fidelity (Zou and Donner 2008, Statistics in Medicine
27(10):1693-1702), on a log scale. docs/statistics.md has the formulas.
"""

import math
from collections.abc import Mapping, Sequence

from codewatt.analysis.cell_results import Json
from codewatt.analysis.changes import ComparisonSettings, energy_difference, put_ends
from codewatt.analysis.columns import TESTS
from codewatt.analysis.log_scale_statistics import finite, mean_of, ratio, relative_change
from codewatt.analysis.proportions import Interval

JOULES_PER_KWH = 3.6e6


def pooled_columns(row: Json, runs: Sequence[Json]) -> Json:
    """A cell's pooled ratios with their intervals.

    Args:
        row: the cell's row with pass@1 and `energy_j_*`.
        runs: its rows of the run table.

    Returns:
        `j_per_correct_task_*`: all joules over all correct completions; absent where nothing was
        solved. `pass_at_1_*_per_kwh`: pass@1 over the mean energy of a run.
    """
    found: Json = {}
    for tests in TESTS:
        known = [r for r in runs if r["energy_j"] is not None and r[f"correct_{tests}"] is not None]
        accuracy = row.get(f"pass_at_1_{tests}")
        if not known or accuracy is None:
            continue
        energies = finite(run["energy_j"] for run in known)
        correct = sum(run[f"correct_{tests}"] for run in known)
        joules = f"j_per_correct_task_{tests}"
        per_kwh = f"pass_at_1_{tests}_per_kwh"
        found[joules] = ratio(math.fsum(energies), correct)
        found[per_kwh] = ratio(accuracy, mean_of(energies) / JOULES_PER_KWH)
        distances = _distances(row, tests)
        if distances is None:
            continue
        lower, upper = _joined(*distances)
        put_ends(found, f"{joules}_ci95", _spread(found[joules], lower, upper))
        put_ends(found, f"{per_kwh}_ci95", _spread(found[per_kwh], upper, lower))
    return found


def compare_pooled(
    rows: Sequence[Json], runs: Mapping[str, Sequence[Json]], settings: ComparisonSettings
) -> None:
    """Add to each cell's row, in place, the changes of its pooled ratios against its baseline.

    Args:
        rows: rows of the cell table, after `paired.compare_tasks`.
        runs: cell id → its rows of the run table.
    """
    by_id = {row["cell_id"]: row for row in rows}
    for row in rows:
        base = by_id.get(row["baseline_cell_id"])
        if base is None or row["change_note"] is not None or row["status"] != "ok":
            continue
        apart = energy_difference(row, base, runs, settings)
        for tests in TESTS:
            accuracy = _accuracy_distances(row, tests)
            for metric in (f"j_per_correct_task_{tests}", f"pass_at_1_{tests}_per_kwh"):
                change = relative_change(row.get(metric), base.get(metric))
                row[f"{metric}_change"] = change
                if change is None or apart is None or accuracy is None:
                    continue
                low, high = apart.interval()
                lower, upper = _joined((high - low) / 2, *accuracy)
                if metric.endswith("_per_kwh"):
                    lower, upper = upper, lower
                low, high = _spread(1 + change, lower, upper)
                put_ends(row, f"{metric}_change_ci95", (low - 1, high - 1))


def _joined(energy: float, below: float, above: float) -> tuple[float, float]:
    """Distances (ln) from joules per correct task down and up to the ends of its interval.

    Args:
        energy: half the width of the energy's interval. below, above: from pass@1 down and up to
            the ends of its interval. More solved tasks make joules per correct task smaller.
    """
    return math.hypot(energy, above), math.hypot(energy, below)


def _accuracy_distances(row: Json, tests: str) -> tuple[float, float] | None:
    """Distances (ln) from the ratio of pass@1 to the baseline's down and up to its interval."""
    name = f"pass_at_1_{tests}_change"
    change, low, high = row.get(name), row.get(f"{name}_ci95_low"), row.get(f"{name}_ci95_high")
    if change is None or low is None or high is None or change <= -1:
        return None
    return math.log1p(change) - math.log1p(low), math.log1p(high) - math.log1p(change)


def _distances(row: Json, tests: str) -> tuple[float, float, float] | None:
    """On a log scale: half the energy's interval, and from pass@1 down and up to Wilson's ends."""
    name = f"pass_at_1_{tests}"
    ends = row.get("energy_j_ci95_low"), row.get("energy_j_ci95_high")
    if ends[0] is None or ends[1] is None or not row[name]:
        return None
    share = math.log(row[name])
    low, high = math.log(row[f"{name}_wilson95_low"]), math.log(row[f"{name}_wilson95_high"])
    return math.log(ends[1] / ends[0]) / 2, share - low, high - share


def _spread(value: float, lower: float, upper: float) -> Interval:
    return value * math.exp(-lower), value * math.exp(upper)
