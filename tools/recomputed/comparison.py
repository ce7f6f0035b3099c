"""Rows of the comparison table, from the comparisons of `compare`."""

import math

import numpy as np

from recomputed import effects, statistics
from recomputed.cells import ends
from recomputed.runs import TESTS, id_columns
from recomputed.sessions import board

CLAIMED = ("energy_j", "duration_s", "j_per_token", "tokens_per_s")
TASK_METRICS = {"task_energy_j": "energy_j", "task_latency_s": "latency_s"}
ONE_BOARD = "all sessions on one host and its GPUs: the interval does not cover other boards"
ONE_JOB = "one session: the interval does not cover differences between sessions"
#: Values of `method`.
WELCH = "Welch, repeats within one job"
STUDENT = "Student's t of differences within sessions"
TANGO = "paired tasks: Tango's score interval, exact McNemar test"
AGRESTI = "paired tasks with several completions: Agresti and Min's interval and test"


def comparison_rows(pairs, found, cells, rows, study):
    """A row for each pair and metric, p values adjusted.

    Args:
        pairs: compare.Pair of two cells. found: (cell id, reference id, metric) -> the comparison.
    """
    made, known = [], {}
    for pair in (pair for pair in pairs if pair.cell is not pair.base):
        for metric in CLAIMED:
            if pair.values(metric):
                apart = found.get((*pair.ids, metric))
                made.append(_row(pair, metric, "ratio", _metric(pair, apart, study)))
                if apart is not None:
                    key = rows[pair.cell.id]["baseline_cell_id"], metric
                    if key not in known:
                        known[key] = _spreads(key[0], metric, cells, rows)
                    made[-1] |= known[key]
        for metric, column in TASK_METRICS.items():
            columns = _tasks(pair, column, study) if pair.compares(column) else None
            if columns is not None:
                made.append(_row(pair, metric, "ratio", columns))
        for tests in TESTS:
            metric = f"pass_at_1_{tests}"
            if (*pair.ids, metric) in found:
                columns = _passes(pair, found[(*pair.ids, metric)], study)
                made.append(_row(pair, metric, "difference", columns))
        for tests in TESTS:
            for metric in (f"j_per_correct_task_{tests}", f"pass_at_1_{tests}_per_kwh"):
                if (*pair.ids, metric) in found:
                    made.append(_row(pair, metric, "ratio", found[(*pair.ids, metric)]))
    _adjust(made)
    return made


#: Columns that not every comparison has.
COLUMNS = (
    "estimate",
    *ends("ci95", None),
    *("method", "sessions", "n", "n_reference", "df", "p", "p_holm", "comparisons"),
    *(
        name
        for size in ("hedges_g", "cliffs_delta", "a12")
        for name in (size, *ends(f"{size}_ci95", None))
    ),
    *("equivalence_margin", "equivalence_p", "equivalence_p_holm", "equivalent"),
    *("noninferiority_p", "noninferiority_p_holm", "noninferior", "minimum_detectable_effect"),
    *("within_job_log_sd", "cell_session_log_sd"),
    *("between_boards_log_sd", "between_sessions_log_sd", "note"),
)


def _row(pair, metric, scale, columns):
    ids = {**id_columns(pair.cell), "reference_cell_id": pair.base.id}
    return {**ids, "metric": metric, "scale": scale, **dict.fromkeys(COLUMNS), **columns}


def note(pair, sessions):
    """What an interval over so many sessions does not cover, and what it allows for."""
    told = [ONE_JOB] if sessions == 1 else []
    if sessions > 1 and pair.one_board:
        told.append(ONE_BOARD)
    if pair.spread:
        percent = f"{100 * pair.spread:.3g} %"
        told.append(f"not known to be the same host and GPUs: {percent} difference is allowed for")
    return "; ".join(told) or None


def why_not(pair):
    """Why there is no estimate."""
    why = pair.note or "no session with values of both cells"
    return why if pair.cell.ran else "this cell is infeasible"


def _metric(pair, apart, study):
    if apart is None:
        return {"note": why_not(pair)}
    sessions = len(apart.by_session)
    size = effects.hedges_g_paired(apart.by_session)
    if sessions == 1:
        size = effects.hedges_g(*apart.strata[0])
    return {
        "estimate": math.expm1(apart.value),
        "method": WELCH if sessions == 1 else STUDENT,
        "sessions": sessions,
        "n": apart.n,
        "n_reference": apart.n_reference,
        **_tests(apart.apart, study),
        # The order of values is that of their logarithms.
        **_sizes(size, effects.cliffs_delta(apart.strata)),
        "note": note(pair, sessions),
    }


def _tests(apart, study):
    if apart is None:
        return {}
    smallest = effects.detectable(apart.error, apart.freedom) + apart.allowance
    return {
        **ends("ci95", tuple(map(statistics.relative, apart.ends()))),
        "df": apart.freedom if math.isfinite(apart.freedom) else None,
        "p": apart.p(),
        "equivalence_margin": study.equivalence_margin,
        "equivalence_p": apart.equivalence_p(study.equivalence_margin),
        "minimum_detectable_effect": statistics.relative(smallest),
    }


def _sizes(g, delta):
    row = {}
    if g is not None:
        row |= {"hedges_g": g[0], **ends("hedges_g_ci95", g[1])}
    value, interval = delta
    half = interval and tuple(0.5 + end / 2 for end in interval)
    row |= {"cliffs_delta": value, **ends("cliffs_delta_ci95", interval)}
    return row | {"a12": 0.5 + value / 2, **ends("a12_ci95", half)}


def _tasks(pair, column, study):
    """Paired by task and session; None with fewer than two tasks in common."""
    ours, theirs = (_logs(cell, column) for cell in (pair.cell, pair.base))
    both = sorted(set(ours) & set(theirs))
    if not both:
        return None
    known = sorted(set.intersection(*(set(side[s]) for side in (ours, theirs) for s in both)))
    tasks = {row["task_id"] for cell in (pair.cell, pair.base) for row in cell.task_rows}
    if len(known) < 2 or len(known) / len(tasks) < 0.95:
        return None
    table = np.array([[ours[s][task] - theirs[s][task] for s in both] for task in known])
    apart = statistics.Student(*effects.crossed(table), pair.allowance)
    by_task = table.mean(axis=1)
    several = len(both) > 1
    return {
        "estimate": math.expm1(apart.value),
        "method": "paired tasks and sessions, both random"
        if several
        else "paired tasks within one job",
        "sessions": len(both),
        "n": len(known),
        "n_reference": len(known),
        **_tests(apart, study),
        **_sizes(effects.hedges_g_paired(by_task), effects.paired_delta(by_task)),
        "note": note(pair, len(both)),
    }


def _logs(cell, column):
    """Session -> task -> mean logarithm, of tasks all completions of which have a value."""
    values = {}
    for row in cell.task_rows:
        of_task = values.setdefault(row["session"], {}).setdefault(row["task_id"], [])
        of_task.append(row[column] or math.nan)
    return {
        session: {
            task: float(np.log(xs).mean())
            for task, xs in of_session.items()
            if all(x > 0 for x in xs)
        }
        for session, of_session in values.items()
    }


def _passes(pair, passed, study):
    several = passed["shares"]
    both = {one.session for one in pair.cell.measured} & {one.session for one in pair.base.measured}
    differences = passed["differences"]
    return {
        "estimate": several.difference,
        **ends("ci95", passed["ends"]),
        "method": TANGO if passed["whole"] else AGRESTI,
        "sessions": len(both),
        "n": len(differences),
        "n_reference": len(differences),
        "p": passed["p"],
        "equivalence_margin": study.margin,
        "equivalence_p": max(passed["noninferior_p"], passed["no_gain_p"]),
        "noninferiority_p": passed["noninferior_p"],
        "noninferiority_p_holm": passed["noninferior_p_holm"],
        "noninferior": passed["noninferior_p_holm"] < 0.025,
        "minimum_detectable_effect": effects.detectable(several.error),
        **_sizes(effects.hedges_g_paired(differences), effects.paired_delta(differences)),
    }


def _spreads(base, metric, cells, rows):
    values = [
        (cell.id, one.session, board(one), math.log(run[metric]))
        for cell in cells
        if base is not None and rows[cell.id]["baseline_cell_id"] == base
        if cell.ran and rows[cell.id]["valid"]
        for one in cell.measured
        for run in one.rows
        if run[metric] is not None
    ]
    return {f"{name}_log_sd": sd for name, sd in effects.spreads(values).items()}


def _adjust(made):
    """Holm's p values over all comparisons of a metric, in place."""
    for metric in {row["metric"] for row in made}:
        for p in ("p", "equivalence_p"):
            tested = [row for row in made if row["metric"] == metric and row[p] is not None]
            adjusted = statistics.holm([row[p] for row in tested])
            for row, value in zip(tested, adjusted, strict=True):
                row[f"{p}_holm"] = value
                if p == "p":
                    row["comparisons"] = len(tested)
                else:
                    row["equivalent"] = value < 0.05
