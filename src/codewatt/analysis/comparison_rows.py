"""Rows of the comparison table: one for each cell, reference cell and metric.

docs/explanation/statistics.md, section "The comparison table", defines the columns.
"""

import math
from collections.abc import Mapping, Sequence

from codewatt.analysis.changes import (
    ComparisonSettings,
    MetricTest,
    compare_metrics,
    set_interval,
    to_change,
)
from codewatt.analysis.columns import CELL_IDS, CLAIMED, TESTS, Row
from codewatt.analysis.compared_pairs import Pair, StudyRows
from codewatt.analysis.detectable_effect import minimum_detectable_effect
from codewatt.analysis.effect_sizes import (
    EffectSize,
    a12,
    cliffs_delta,
    hedges_g,
    hedges_g_paired,
    paired_delta,
)
from codewatt.analysis.log_scale_statistics import Difference, change_of_log, holm
from codewatt.analysis.paired_tasks import PassComparison, compare_tasks
from codewatt.analysis.pooled_ratios import RatioChange, compare_pooled, ratio_names
from codewatt.analysis.session_effects import logs_by_session
from codewatt.analysis.session_replicates import values_by_session
from codewatt.analysis.task_comparisons import TASK_METRICS, TaskComparison, compare_task_metric
from codewatt.analysis.variance_components import Observation, VarianceComponents
from codewatt.analysis.variance_components import variance_components as estimate_components

#: Level of the equivalence test, after Holm's adjustment.
EQUIVALENCE_LEVEL = 0.05
RATIO, DIFFERENCE = "ratio", "difference"
#: Values of `method` besides those of `session_effects`.
TANGO_METHOD = "paired tasks: Tango's score interval, exact McNemar test"
AGRESTI_METHOD = "paired tasks with several completions: Agresti and Min's interval and test"
BOOTSTRAP_METHOD = "BCa bootstrap over tasks, sessions by Student's t"
BOOTSTRAP_WITHIN_METHOD = "BCa bootstrap over tasks, repeats of one job by Student's t"
CROSSED_METHOD = "paired tasks and sessions, both random"
TASKS_METHOD = "paired tasks within one job"


def compare_cells(
    study: StudyRows, pairs: Sequence[Pair], settings: ComparisonSettings
) -> list[Row]:
    """Compare each cell with its baseline, and the study's named pairs.

    Args:
        study: its rows; the cells' changes, differences and tests are added to their rows in
            place.
        pairs: what is compared (`compared_pairs`).
        settings: the study's `comparisons`.

    Returns:
        The rows of the comparison table. A comparison that is withheld has a row with a note.
    """
    metrics = compare_metrics(study, pairs)
    passes = compare_tasks(study, pairs, settings.pass_at_1_margin)
    ratios = compare_pooled(study, pairs)
    spreads: dict[tuple[object, ...], VarianceComponents] = {}
    rows: list[Row] = []
    for pair in pairs:
        if pair.is_itself:
            continue
        for metric in CLAIMED:
            if not _measured(study, pair, metric):
                continue
            test = metrics.get((*pair.ids, metric))
            row = _start(pair, metric, RATIO)
            if test is None:
                row["note"] = pair.why_not
            else:
                row |= _metric_columns(study, pair, metric, test, settings)
                row |= _spread_columns(study, pair, metric, spreads)
            rows.append(row)
        for metric in TASK_METRICS:
            of_tasks = compare_task_metric(study, pair, metric)
            if of_tasks is not None:
                rows.append(_start(pair, metric, RATIO) | _task_columns(pair, of_tasks, settings))
        for tests in TESTS:
            passed = passes.get((*pair.ids, tests))
            if passed is not None:
                row = _start(pair, f"pass_at_1_{tests}", DIFFERENCE)
                rows.append(row | _pass_columns(study, pair, passed))
        for tests in TESTS:
            for metric in ratio_names("", tests):
                ratio = ratios.get((*pair.ids, metric))
                if ratio is not None:
                    rows.append(_start(pair, metric, RATIO) | _ratio_columns(pair, ratio))
    _adjust(rows)
    return rows


def _start(pair: Pair, metric: str, scale: str) -> Row:
    ids = {name: pair.cell[name] for name in CELL_IDS}
    return {
        **ids,
        "reference_cell_id": pair.reference["cell_id"],
        "metric": metric,
        "scale": scale,
    }


def _measured(study: StudyRows, pair: Pair, metric: str) -> bool:
    """Whether one of the two cells has the metric."""
    return any(run.get(metric) is not None for cell in pair.ids for run in study.runs[cell])


def _metric_columns(
    study: StudyRows, pair: Pair, metric: str, test: MetricTest, settings: ComparisonSettings
) -> Row:
    """The columns of a positive metric of the run table."""
    comparison = test.comparison
    first, second = (
        values_by_session(study.runs[cell_id], metric) for cell_id in reversed(pair.ids)
    )
    common = [s for s in first if first[s] and second.get(s)]
    strata = [(first[s], second[s]) for s in common]
    delta = cliffs_delta(strata)
    if len(common) == 1:
        logs = [[math.log(value) for value in side] for side in strata[0]]
        size = hedges_g(logs[0], logs[1])
    else:
        size = hedges_g_paired(comparison.by_session)
    return {
        "estimate": math.expm1(comparison.value),
        "method": comparison.method,
        "sessions": comparison.sessions,
        "n": comparison.n,
        "n_reference": comparison.n_reference,
        **_difference_columns(comparison.difference, settings),
        "p_holm": test.p_holm,
        "comparisons": test.comparisons,
        **_sizes(size, delta),
        "note": pair.interval_note(comparison.sessions),
    }


def _task_columns(pair: Pair, comparison: TaskComparison, settings: ComparisonSettings) -> Row:
    """The columns of a metric of the task table, paired by task."""
    difference = comparison.difference
    return {
        "estimate": math.expm1(difference.value),
        "method": CROSSED_METHOD if comparison.sessions > 1 else TASKS_METHOD,
        "sessions": comparison.sessions,
        "n": len(comparison.by_task),
        "n_reference": len(comparison.by_task),
        **_difference_columns(difference, settings),
        **_sizes(hedges_g_paired(comparison.by_task), paired_delta(comparison.by_task)),
        "note": pair.interval_note(comparison.sessions),
    }


def _difference_columns(difference: Difference | None, settings: ComparisonSettings) -> Row:
    """Interval and tests of a difference of logarithms; nothing without its standard error."""
    if difference is None:
        return {}
    margin = settings.equivalence_margin
    row: Row = {
        "df": difference.freedom if math.isfinite(difference.freedom) else None,
        "p": difference.p,
        "equivalence_margin": margin,
        "equivalence_p": difference.equivalence_p(math.log1p(-margin), math.log1p(margin)),
        "minimum_detectable_effect": change_of_log(difference.minimum_detectable()),
    }
    set_interval(row, "ci95", to_change(difference.interval()))
    return row


def _pass_columns(study: StudyRows, pair: Pair, comparison: PassComparison) -> Row:
    """The columns of pass@1, paired by task."""
    tasks = len(comparison.differences)
    ours, theirs = ({run["session"] for run in study.runs[cell]} for cell in pair.ids)
    row: Row = {
        "estimate": comparison.shares.difference,
        "method": AGRESTI_METHOD if comparison.counts is None else TANGO_METHOD,
        "sessions": len(ours & theirs),
        "n": tasks,
        "n_reference": tasks,
        "p": comparison.p,
        "p_holm": comparison.p_holm,
        "comparisons": comparison.comparisons,
        "equivalence_margin": comparison.margin,
        "equivalence_p": comparison.equivalence_p,
        "noninferiority_p": comparison.noninferiority_p,
        "noninferiority_p_holm": comparison.noninferiority_p_holm,
        "noninferior": comparison.noninferior,
        "minimum_detectable_effect": minimum_detectable_effect(comparison.shares.error, math.inf),
        **_sizes(hedges_g_paired(comparison.differences), paired_delta(comparison.differences)),
    }
    set_interval(row, "ci95", comparison.interval)
    return row


def _ratio_columns(pair: Pair, ratio: RatioChange) -> Row:
    """The columns of joules per correct task and pass@kWh."""
    several = ratio.sessions > 1
    row: Row = {
        "estimate": ratio.change,
        "method": BOOTSTRAP_METHOD if several else BOOTSTRAP_WITHIN_METHOD,
        "sessions": ratio.sessions,
        "n": ratio.tasks,
        "n_reference": ratio.tasks,
        "note": pair.interval_note(ratio.sessions),
    }
    set_interval(row, "ci95", ratio.ci95)
    if ratio.error is not None:
        smallest = minimum_detectable_effect(ratio.error, ratio.freedom) + pair.allowance
        row["minimum_detectable_effect"] = change_of_log(smallest)
    return row


def _sizes(g: EffectSize | None, delta: EffectSize | None) -> Row:
    """The columns of the effect sizes."""
    row: Row = {}
    for name, size in (("hedges_g", g), ("cliffs_delta", delta), ("a12", a12(delta))):
        if size is not None:
            row[name] = size.value
            set_interval(row, f"{name}_ci95", size.ci95)
    return row


def _spread_columns(
    study: StudyRows,
    pair: Pair,
    metric: str,
    known: dict[tuple[object, ...], VarianceComponents],
) -> Row:
    """The variance components of a metric over the valid cells that share the cell's baseline."""
    base = pair.cell["baseline_cell_id"]
    key = (base, metric)
    if key not in known:
        members = [
            cell_id
            for cell_id, row in study.cells.items()
            if base is not None and row["baseline_cell_id"] == base and row.get("valid")
        ]
        known[key] = estimate_components(_observations(study, members, metric))
    found = known[key]
    return {
        "within_job_log_sd": found.within_job,
        "cell_session_log_sd": found.cell_session,
        "between_boards_log_sd": found.between_boards,
        "between_sessions_log_sd": found.between_sessions,
    }


def _observations(study: StudyRows, members: Sequence[str], metric: str) -> list[Observation]:
    found = []
    for cell_id in members:
        logs: Mapping[int, Sequence[float]] = (
            logs_by_session(values_by_session(study.runs[cell_id], metric)) or {}
        )
        places = study.places[cell_id]
        found += [
            Observation(cell_id, session, places.get(session), value)
            for session, values in logs.items()
            for value in values
        ]
    return found


def _adjust(rows: Sequence[Row]) -> None:
    """Add Holm-adjusted p values that are not there yet and what they show, in place.

    The p values of a metric are adjusted over all comparisons of the study.
    """
    by_metric: dict[str, list[Row]] = {}
    for row in rows:
        by_metric.setdefault(row["metric"], []).append(row)
    for family in by_metric.values():
        tested = [row for row in family if row.get("p") is not None and row.get("p_holm") is None]
        for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
            row |= {"p_holm": p, "comparisons": len(tested)}
        tested = [row for row in family if row.get("equivalence_p") is not None]
        for row, p in zip(tested, holm([row["equivalence_p"] for row in tested]), strict=True):
            row |= {"equivalence_p_holm": p, "equivalent": p < EQUIVALENCE_LEVEL}
