"""Joules per correct task and pass@kWh of a cell, pooled over its runs, with intervals.

The intervals come from the BCa bootstrap over tasks, together with what varies between sessions
(`bca_bootstrap`). docs/explanation/statistics.md has the formulas.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codewatt.analysis.bca_bootstrap import Bootstrap, TaskTotals, bootstrap_ratio
from codewatt.analysis.changes import Ends, log_comparison, set_interval
from codewatt.analysis.columns import BOTH, TESTS, Row
from codewatt.analysis.compared_pairs import Pair, StudyRows
from codewatt.analysis.judging_columns import same_judging
from codewatt.analysis.log_scale_statistics import (
    finite,
    mean_of,
    ratio,
    relative_change,
    sample_sd,
)
from codewatt.analysis.run_rows import judged_tasks_j
from codewatt.analysis.session_replicates import log_replicates, values_by_session
from codewatt.units import J_PER_KWH


@dataclass(frozen=True)
class RatioChange:
    """The change of a ratio of energy and accuracy against another cell's.

    Attributes:
        change: ratio / the other's ratio - 1.
        ci95: its interval; None without one.
        error: standard error of the log ratio; None without an interval.
        freedom: degrees of freedom of the energies' difference, the smallest of what `error` sums.
        sessions: number of sessions that have both cells.
        tasks: number of judged tasks.
    """

    change: float
    ci95: Ends | None
    error: float | None
    freedom: float
    sessions: int
    tasks: int


#: (Id of a cell, id of its reference, metric) -> the change of the ratio.
RatioChanges = dict[tuple[str, str, str], RatioChange]


def ratio_names(of: str, tests: str) -> tuple[str, str]:
    """The columns of joules per correct task and of pass@kWh.

    Args:
        of: "" for the energy of generating, BOTH for that of generating and judging.
        tests: "base" or "plus".
    """
    return f"{of}j_per_correct_task_{tests}", f"{of}pass_at_1_{tests}_per_kwh"


def pooled_columns(row: Row, runs: Sequence[Row], tasks: Sequence[Row]) -> Row:
    """A cell's pooled ratios with their 95 % intervals.

    Args:
        row: the cell's row with pass@1.
        runs, tasks: its rows of the run and task tables.

    Returns:
        `j_per_correct_task_*` (J): energy of all runs / number of correct completions, without the
        energy of excluded tasks; absent if no completion is correct.
        `pass_at_1_*_per_kwh` (1/kWh): pass@1 / mean energy of a run. The same with
        `generate_evaluate_` before: of the energy of generating and judging.
    """
    found: Row = {}
    for of, tests in itertools.product(("", BOTH), TESTS):
        if row.get(f"pass_at_1_{tests}") is None:
            continue
        joules, per_kwh = ratio_names(of, tests)
        found |= {joules: _joules_per_correct(runs, of, tests), per_kwh: _per_kwh(runs, of, tests)}
        error = _energy_error(runs, f"{of}energy_j")
        if error is None or not found[joules]:
            continue
        totals = _task_totals(tasks, f"{of}energy_j", tests)
        low, high = _ends(bootstrap_ratio(totals, None, *error))
        for metric, ends in ((joules, (low, high)), (per_kwh, (_minus(high), _minus(low)))):
            set_interval(found, f"{metric}_ci95", scaled_interval(found[metric], ends))
    return found


def compare_pooled(study: StudyRows, pairs: Sequence[Pair]) -> RatioChanges:
    """The changes of pooled ratios; those against baselines go into the cells' rows.

    Args:
        study: its rows; the cells' are changed in place.
        pairs: what is compared; named pairs have the ratios of generating only.
    """
    found: RatioChanges = {}
    for pair in pairs:
        if pair.note is not None or pair.cell["status"] != "ok":
            continue
        for of, tests in itertools.product(("", BOTH) if pair.of_baseline else ("",), TESTS):
            if of == BOTH and not same_judging(pair.cell, pair.reference):
                continue
            for metric, change in _changes(study, pair, of, tests).items():
                if pair.of_baseline:
                    pair.cell[f"{metric}_change"] = change.change
                    if change.ci95 is not None:
                        set_interval(pair.cell, f"{metric}_change_ci95", change.ci95)
                if not pair.is_itself:
                    found[(*pair.ids, metric)] = change
    return found


def _changes(study: StudyRows, pair: Pair, of: str, tests: str) -> dict[str, RatioChange]:
    """Metric -> the change of one kind of energy and tests, over the sessions that have both."""
    energy = f"{of}energy_j"
    known = [
        {run["session"] for run in study.runs[cell_id] if run.get(energy) is not None}
        for cell_id in pair.ids
    ]
    common = known[0] & known[1]
    runs, tasks = (
        [[r for r in of_cell[cell_id] if r["session"] in common] for cell_id in pair.ids]
        for of_cell in (study.runs, study.tasks)
    )
    names = ratio_names(of, tests)
    points = [
        [_joules_per_correct(side, of, tests) for side in runs],
        [_per_kwh(side, of, tests) for side in runs],
    ]
    bootstrap = None
    comparison = log_comparison(study, pair, energy)
    apart = None if comparison is None else comparison.difference
    if apart is not None and not pair.is_itself and all(points[0]):
        ours, theirs = (_task_totals(side, energy, tests) for side in tasks)
        if len(ours.solved) == len(theirs.solved):
            bootstrap = bootstrap_ratio(ours, theirs, apart.error, apart.freedom)
    judged = {row["task_id"] for row in tasks[0] if row[f"solved_{tests}"] is not None}
    found = {}
    for metric, (own, reference) in zip(names, points, strict=True):
        change = relative_change(own, reference)
        if change is None:
            continue
        ci95 = None
        if bootstrap is not None:
            low, high = _ends(bootstrap, pair.allowance)
            ends = (low, high) if metric == names[0] else (_minus(high), _minus(low))
            scaled = scaled_interval(1 + change, ends)
            ci95 = _less_one(scaled[0]), _less_one(scaled[1])
        error = None if bootstrap is None else bootstrap.standard_error
        freedom = math.inf if apart is None else apart.freedom
        found[metric] = RatioChange(change, ci95, error, freedom, len(common), len(judged))
    return found


def _joules_per_correct(runs: Sequence[Row], of: str, tests: str) -> float | None:
    known = _known(runs, of, tests)
    if not known:
        return None
    joules = (judged_tasks_j(run[f"{of}energy_j"], run["energy_j"], run) for run in known)
    return ratio(math.fsum(joules), sum(run[f"correct_{tests}"] for run in known))


def _per_kwh(runs: Sequence[Row], of: str, tests: str) -> float | None:
    known = _known(runs, of, tests)
    shares = [run[f"pass_at_1_{tests}"] for run in runs]
    if not known or None in shares:
        return None
    energy_j = mean_of(finite(run[f"{of}energy_j"] for run in known))
    return ratio(mean_of(shares), energy_j / J_PER_KWH)


def _known(runs: Sequence[Row], of: str, tests: str) -> list[Row]:
    """The runs that have an energy and verdicts."""
    return [
        run
        for run in runs
        if run.get(f"{of}energy_j") is not None and run[f"correct_{tests}"] is not None
    ]


def _energy_error(runs: Sequence[Row], energy: str) -> tuple[float, float] | None:
    """Standard error of ln energy and its degrees of freedom, between sessions or repeats."""
    values = log_replicates(values_by_session(runs, energy)) or []
    sd = sample_sd(values)
    return None if sd is None else (sd / math.sqrt(len(values)), len(values) - 1)


def _task_totals(tasks: Sequence[Row], energy: str, tests: str) -> TaskTotals:
    """Mean energy of a completion and solved share of each judged task, in the order of their ids.

    Where a completion has no energy of its own, all tasks count as equal in energy.
    """
    joules: Mapping[str, list[float | None]] = defaultdict(list)
    solved: Mapping[str, list[bool]] = defaultdict(list)
    for row in tasks:
        if (verdict := row[f"solved_{tests}"]) is not None:
            solved[row["task_id"]].append(verdict)
            joules[row["task_id"]].append(row.get(energy))
    order = sorted(solved)
    known = [[j for j in joules[task] if j is not None] for task in order]
    complete = all(len(known[i]) == len(joules[task]) for i, task in enumerate(order))
    return TaskTotals(
        # A mean is finite if its terms are: one check for all.
        finite(map(mean_of, known)) if complete else [1.0] * len(order),
        [sum(solved[task]) / len(solved[task]) for task in order],
    )


def _ends(bootstrap: Bootstrap, allowance: float = 0.0) -> Ends:
    """The ends of the interval of the deviation (in ln), wider by `allowance`."""
    interval = bootstrap.interval()
    if interval is None:
        return None, None
    low, high = interval[0] - allowance, interval[1] + allowance
    return (low if math.isfinite(low) else None), (high if math.isfinite(high) else None)


def _minus(end: float | None) -> float | None:
    return None if end is None else -end


def scaled_interval(point: float, ends: Ends) -> Ends:
    """point · exp(deviation) of both ends.

    Args:
        ends: deviations of the logarithm; None for an end without a bound.

    Returns:
        None for an end without a bound, and where no float is that large.
    """
    low, high = (None if end is None else _product(point, end) for end in ends)
    return low, high


def _product(point: float, deviation: float) -> float | None:
    try:
        scaled = point * math.exp(deviation)
    except OverflowError:
        return None
    return scaled if math.isfinite(scaled) else None


def _less_one(end: float | None) -> float | None:
    return None if end is None else end - 1
