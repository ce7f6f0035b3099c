"""Changes of each cell's energy, times and rates against its baseline, with tests and intervals.

docs/explanation/statistics.md defines them. `paired_tasks` compares accuracy, and
`pooled_ratios` compares ratios of energy and accuracy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from codewatt.analysis.columns import BOTH, CLAIMED, POSITIVE, SIGNED, Row
from codewatt.analysis.compared_pairs import Pair, StudyRows
from codewatt.analysis.judging_columns import same_judging
from codewatt.analysis.log_scale_statistics import Difference, change_of_log, holm
from codewatt.analysis.proportions import CONFIDENCE, Interval
from codewatt.analysis.session_effects import (
    SessionComparison,
    compare_sessions,
    logs_by_session,
)
from codewatt.analysis.session_replicates import values_by_session

#: The ends of an interval; None for one that the data do not bound.
Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class ComparisonSettings:
    """Settings of the study's comparisons: its `comparisons`.

    Attributes:
        pass_at_1_margin: non-inferiority margin of pass@1, a fraction of the tasks.
        equivalence_margin: equivalence margin of energy, time and rates, a fraction.
        board_spread: largest relative difference in energy and time between two GPUs of one
            model.
        pairs: (id of a cell, id of its reference) of the comparisons besides those with baselines.
    """

    pass_at_1_margin: float = 0.02
    equivalence_margin: float = 0.05
    board_spread: float = 0.12
    pairs: Sequence[tuple[str, str]] = field(default_factory=tuple)


@dataclass(frozen=True)
class MetricTest:
    """The comparison of one metric of one pair, with its place in the study's family.

    Attributes:
        comparison: the difference of logarithms.
        p_holm: Holm-adjusted p of the difference; None without a p.
        comparisons: number of comparisons of this metric that have a p.
    """

    comparison: SessionComparison
    p_holm: float | None = None
    comparisons: int | None = None


#: (Id of a cell, id of its reference, metric) -> their comparison.
MetricTests = dict[tuple[str, str, str], MetricTest]


def compare_metrics(study: StudyRows, pairs: Sequence[Pair]) -> MetricTests:
    """Compare the metrics of each pair; changes against baselines go into the cells' rows.

    The change of a positive metric is exp(difference of means of logarithms) - 1; a net energy has
    a difference of means. Energies of different origin (energy_basis) are not compared. No metric
    is compared where one of the two cells failed a validity check, where they ran on different
    models of GPU or CPU, or where variant and board are confounded (`confounded_cells`).
    `change_note` gives the reason. Energy with judging is compared only where both were judged
    alike (`judging_columns.same_judging`).

    Args:
        study: its rows; the cells' are changed in place.
        pairs: what is compared (`compared_pairs`).

    Returns:
        The comparisons of the metrics CLAIMED, of all pairs of two cells.
    """
    found: MetricTests = {}
    for pair in pairs:
        for metric in (*POSITIVE, *SIGNED) if pair.of_baseline else CLAIMED:
            if not pair.compares(metric) or not _judged_alike(pair, metric):
                continue
            if metric in SIGNED:
                pair.cell.update(_net_difference(study, pair, metric))
                continue
            comparison = log_comparison(study, pair, metric)
            if comparison is None:
                continue
            if pair.of_baseline:
                pair.cell.update(_change(pair, metric, comparison))
            if metric in CLAIMED and not pair.is_itself:
                found[(*pair.ids, metric)] = MetricTest(comparison)
    _adjust(found)
    for pair in pairs:
        if pair.of_baseline:
            pair.cell.update(_tests(pair, found))
    return found


def log_comparison(study: StudyRows, pair: Pair, metric: str) -> SessionComparison | None:
    """The difference of the logarithms of a positive metric of the run table.

    None where a value is not positive, or no session has values of both cells.
    """
    first, second = (
        logs_by_session(values_by_session(study.runs[cell_id], metric))
        for cell_id in reversed(pair.ids)
    )
    if first is None or second is None:
        return None
    return compare_sessions(first, second, pair.allowance)


def to_change(interval: Interval) -> Ends:
    """An interval of a log ratio as one of a relative change; None for an end without a bound."""
    return change_of_log(interval[0]), change_of_log(interval[1])


def set_interval(row: Row, name: str, interval: Ends | None) -> None:
    """Set an interval's columns `<name>_low` and `<name>_high`; nothing without an interval.

    An end that is None is not bounded by the data.
    """
    if interval is not None:
        row[f"{name}_low"], row[f"{name}_high"] = interval


def _judged_alike(pair: Pair, metric: str) -> bool:
    return not metric.startswith(BOTH) or same_judging(pair.cell, pair.reference)


def _change(pair: Pair, metric: str, comparison: SessionComparison) -> Row:
    """The change of a metric against the baseline, and its interval unless it is the baseline."""
    row: Row = {f"{metric}_change": math.expm1(comparison.value)}
    if comparison.difference is not None and not pair.is_itself:
        set_interval(row, f"{metric}_change_ci95", to_change(comparison.difference.interval()))
    return row


def _net_difference(study: StudyRows, pair: Pair, metric: str) -> Row:
    """The difference of a net energy and its interval.

    The interval is widened by both bounds on the meters' error and by `board_spread` times the
    larger mean energy before idle power is subtracted, because GPUs of one model differ in the
    energy that they draw. A cell compared with itself has no interval.
    """
    row, base = pair.cell, pair.reference
    first, second = (
        values_by_session(study.runs[cell_id], metric) for cell_id in reversed(pair.ids)
    )
    comparison = compare_sessions(first, second)
    if comparison is None:
        return {}
    found: Row = {f"{metric}_difference": comparison.value}
    name = f"{metric.removesuffix('_j')}_uncertainty_j_mean"
    bounds = row.get(name), base.get(name)
    if comparison.difference is None or pair.is_itself:
        return found
    if bounds[0] is not None and bounds[1] is not None:
        low, high = comparison.difference.interval()
        total = f"{metric.removeprefix('net_')}_mean"
        bound = bounds[0] + bounds[1] + pair.board_spread * max(row[total], base[total])
        set_interval(found, f"{metric}_difference_ci95", (low - bound, high + bound))
    return found


def _adjust(tests: MetricTests) -> None:
    """Adjust the p values of each metric over all its comparisons (Holm), in place."""
    for metric in CLAIMED:
        family = {
            key: test.comparison
            for key, test in tests.items()
            if key[2] == metric and test.comparison.difference is not None
        }
        adjusted = holm([_p(comparison) for comparison in family.values()])
        for (key, comparison), p in zip(family.items(), adjusted, strict=True):
            tests[key] = MetricTest(comparison, p, len(family))


def _p(comparison: SessionComparison) -> float:
    difference = comparison.difference
    return 1.0 if difference is None else difference.p


def _tests(pair: Pair, tests: MetricTests) -> Row:
    """p values (also Holm-adjusted) and simultaneous intervals of a cell's tested metrics.

    The simultaneous intervals are Bonferroni's: level 1 - 0.05/m for m comparisons.
    """
    row: Row = {}
    for metric in CLAIMED:
        test = tests.get((*pair.ids, metric))
        if test is None or test.comparisons is None:
            continue
        difference: Difference | None = test.comparison.difference
        if difference is None:
            continue
        row[f"{metric}_change_p"] = difference.p
        row[f"{metric}_change_p_holm"] = test.p_holm
        row[f"{metric}_comparisons"] = test.comparisons
        level = 1 - (1 - CONFIDENCE) / test.comparisons
        set_interval(row, f"{metric}_change_simultaneous95", to_change(difference.interval(level)))
    return row
