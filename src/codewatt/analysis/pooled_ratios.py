"""Joules per correct task and pass@kWh of a cell, pooled over repeats, with intervals.

The intervals combine the uncertainty of energy (over repeats) with that of accuracy (over tasks)
by MOVER, the method of variance estimates recovery (Zou and Donner 2008, Statistics in Medicine
27(10):1693-1702), on a log scale. docs, "How the statistics are done", has the formulas.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

from codewatt.analysis.changes import ComparisonSettings, energy_difference, set_interval
from codewatt.analysis.columns import BOTH, TESTS, Row
from codewatt.analysis.judging_columns import same_judging
from codewatt.analysis.log_scale_statistics import finite, mean_of, ratio, relative_change
from codewatt.analysis.proportions import Interval
from codewatt.analysis.run_rows import judged_tasks_j
from codewatt.units import J_PER_KWH


def pooled_columns(row: Row, runs: Sequence[Row]) -> Row:
    """A cell's pooled ratios with their 95 % intervals.

    Args:
        row: the cell's row with pass@1, `energy_j_*` and `generate_evaluate_energy_j_*`.
        runs: its rows of the run table.

    Returns:
        `j_per_correct_task_*` (J): energy of all runs / number of correct completions, without the
        energy of excluded tasks; absent if no completion is correct.
        `pass_at_1_*_per_kwh` (1/kWh): pass@1 / mean energy of a run. The same with
        `generate_evaluate_` before: of the energy of generating and judging.
    """
    found: Row = {}
    for of in ("", BOTH):
        for tests in TESTS:
            found |= _pooled_columns(row, runs, of, tests)
    return found


def _pooled_columns(row: Row, runs: Sequence[Row], of: str, tests: str) -> Row:
    """The columns of one energy ("" or BOTH) by one test suite."""
    energy, solved = f"{of}energy_j", f"correct_{tests}"
    known = [r for r in runs if r.get(energy) is not None and r[solved] is not None]
    accuracy = row.get(f"pass_at_1_{tests}")
    if not known or accuracy is None:
        return {}
    energies = finite(run[energy] for run in known)
    judged_j = (judged_tasks_j(run[energy], run["energy_j"], run) for run in known)
    joules, per_kwh = f"{of}j_per_correct_task_{tests}", f"{of}pass_at_1_{tests}_per_kwh"
    found: Row = {
        joules: ratio(math.fsum(judged_j), sum(run[solved] for run in known)),
        per_kwh: ratio(accuracy, mean_of(energies) / J_PER_KWH),
    }
    distances = _cell_distances(row, energy, tests)
    if distances is not None:
        lower, upper = _mover_distances(*distances)
        set_interval(found, f"{joules}_ci95", _interval(found[joules], lower, upper))
        set_interval(found, f"{per_kwh}_ci95", _interval(found[per_kwh], upper, lower))
    return found


def compare_pooled(
    rows: Sequence[Row], runs: Mapping[str, Sequence[Row]], settings: ComparisonSettings
) -> None:
    """Add the changes of each cell's pooled ratios against its baseline, in place.

    Args:
        rows: rows of the cell table, after `paired_tasks.compare_tasks`.
        runs: cell id → its rows of the run table.
        settings: the study's `comparisons`.
    """
    by_id = {row["cell_id"]: row for row in rows}
    for row in rows:
        base = by_id.get(row["baseline_cell_id"])
        if base is None or row["change_note"] is not None or row["status"] != "ok":
            continue
        for of, tests in itertools.product(("", BOTH), TESTS):
            if of == BOTH and not same_judging(row, base):
                continue
            apart = energy_difference(row, base, runs, settings, f"{of}energy_j")
            accuracy = _accuracy_change_distances(row, tests)
            for metric in (f"{of}j_per_correct_task_{tests}", f"{of}pass_at_1_{tests}_per_kwh"):
                change = relative_change(row.get(metric), base.get(metric))
                row[f"{metric}_change"] = change
                if change is None or apart is None or accuracy is None:
                    continue
                low, high = apart.interval()
                lower, upper = _mover_distances((high - low) / 2, *accuracy)
                if metric.endswith("_per_kwh"):
                    lower, upper = upper, lower
                low, high = _interval(1 + change, lower, upper)
                set_interval(row, f"{metric}_change_ci95", (low - 1, high - 1))


def _mover_distances(energy: float, below: float, above: float) -> tuple[float, float]:
    """Distances (in ln) from joules per correct task to the lower and upper end of its interval.

    A higher pass@1 means fewer joules per correct task, so the ends of pass@1 change places.

    Args:
        energy: half the width of the energy's interval (in ln).
        below: distance (in ln) from pass@1 to the lower end of its interval.
        above: distance (in ln) from pass@1 to the upper end of its interval.
    """
    return math.hypot(energy, above), math.hypot(energy, below)


def _accuracy_change_distances(row: Row, tests: str) -> tuple[float, float] | None:
    """Distances (in ln) from pass@1 / baseline's pass@1 to the ends of its interval."""
    name = f"pass_at_1_{tests}_change"
    change, low, high = row.get(name), row.get(f"{name}_ci95_low"), row.get(f"{name}_ci95_high")
    if change is None or low is None or high is None or change <= -1:
        return None
    return math.log1p(change) - math.log1p(low), math.log1p(high) - math.log1p(change)


def _cell_distances(row: Row, energy: str, tests: str) -> tuple[float, float, float] | None:
    """In ln: half width of the energy's interval, distances from pass@1 to its interval's ends."""
    name = f"pass_at_1_{tests}"
    ends = row.get(f"{energy}_ci95_low"), row.get(f"{energy}_ci95_high")
    if ends[0] is None or ends[1] is None or not row[name]:
        return None
    share = math.log(row[name])
    low, high = math.log(row[f"{name}_wilson95_low"]), math.log(row[f"{name}_wilson95_high"])
    return math.log(ends[1] / ends[0]) / 2, share - low, high - share


def _interval(value: float, lower: float, upper: float) -> Interval:
    return value * math.exp(-lower), value * math.exp(upper)
