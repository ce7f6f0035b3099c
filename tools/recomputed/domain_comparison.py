"""Rows of the domain comparison table: pairs of cells on the tasks of each domain."""

import math

import pandas as pd

from recomputed import effects, statistics
from recomputed.accuracy import paired
from recomputed.cells import ends
from recomputed.comparison import AGRESTI, STUDENT, TANGO, WELCH, note, why_not
from recomputed.runs import id_columns

PASS, ENERGY = "pass_at_1_base", "j_per_task"
#: Columns that not every comparison has.
COLUMNS = (
    *("tasks", "estimate", "ci95_low", "ci95_high", "method", "sessions", "n", "n_reference"),
    *("tasks_lost", "tasks_gained", "df", "p", "p_holm", "comparisons"),
    *("minimum_detectable_effect", "note"),
)


def comparison_rows(pairs):
    """A row for each pair of cells, domain and metric, p values adjusted."""
    made = []
    for pair in (pair for pair in pairs if pair.cell is not pair.base):
        frames = [_frame(cell) for cell in (pair.cell, pair.base)]
        by_cell = (pair.cell, pair.row), (pair.base, pair.base_row)
        scores = [row[PASS] for cell, row in by_cell if cell.ran]
        for name in sorted({name for frame in frames for name in frame["domain"]}):
            inside = [frame[frame["domain"] == name] for frame in frames]
            if scores and None not in scores:
                made.append(_row(pair, name, PASS, "difference", _passes(pair, *inside)))
            if any(frame["energy_j"].notna().any() for frame in frames):
                made.append(_row(pair, name, ENERGY, "ratio", _energies(pair, *inside)))
    for metric in (PASS, ENERGY):
        tested = [row for row in made if row["metric"] == metric and row["p"] is not None]
        adjusted = statistics.holm([row["p"] for row in tested])
        for row, p in zip(tested, adjusted, strict=True):
            row |= {"p_holm": p, "comparisons": len(tested)}
    return made


def _frame(cell):
    """A line for each completion and each of its domains."""
    lines = [
        (row["session"], row["repeat"], row["task_id"], domain, row["solved_base"], row["energy_j"])
        for row in cell.task_rows
        for domain in (row["domains"] or "").split(", ")
        if domain
    ]
    names = ["session", "repeat", "task_id", "domain", "solved_base", "energy_j"]
    return pd.DataFrame(lines, columns=names).astype({"solved_base": float, "energy_j": float})


def _row(pair, domain, metric, scale, columns):
    ids = {**id_columns(pair.cell), "reference_cell_id": pair.base.id, "domain": domain}
    return {**ids, "metric": metric, "scale": scale, **dict.fromkeys(COLUMNS), **columns}


def _passes(pair, ours, theirs):
    if not pair.cell.ran or not pair.base.ran:
        return {"note": why_not(pair)}
    shares = [side.groupby("task_id")["solved_base"].mean().dropna() for side in (ours, theirs)]
    if not len(shares[0]) and not len(shares[1]):
        return {"note": "no task of the domain has a verdict"}
    if set(shares[0].index) != set(shares[1].index):
        return {"note": "the two cells have verdicts of different tasks of the domain"}
    passed = paired(shares[0], shares[1].reindex(shares[0].index), 0.0)
    both = {one.session for one in pair.cell.measured} & {one.session for one in pair.base.measured}
    return {
        "tasks": len(shares[0]),
        "estimate": passed["shares"].difference,
        **ends("ci95", passed["ends"]),
        "method": TANGO if passed["whole"] else AGRESTI,
        "sessions": len(both),
        "n": len(shares[0]),
        "n_reference": len(shares[0]),
        "tasks_lost": passed.get("lost"),
        "tasks_gained": passed.get("gained"),
        "p": passed["p"],
        "minimum_detectable_effect": effects.detectable(passed["shares"].error),
    }


def _energies(pair, ours, theirs):
    """The ratio of the energies of the tasks whose completions all have one, run by run."""
    if not pair.compares(ENERGY):
        return {"note": why_not(pair)}
    both = set(ours["session"]) & set(theirs["session"])
    sides = [side[side["session"].isin(both)] for side in (ours, theirs)]
    lacking = {task for side in sides for task in side["task_id"][side["energy_j"].isna()]}
    every = set(ours["task_id"]) | set(theirs["task_id"])
    known = every - lacking
    if both and (not known or len(known) < 0.95 * len(every)):
        return {"note": "fewer than 95 % of the domain's tasks have an energy"}
    by_session = []
    for side in sides:
        kept = side[side["task_id"].isin(known)]
        runs = kept.groupby(["session", "repeat"])["energy_j"].mean()
        by_session.append({s: of.to_numpy() for s, of in runs.groupby("session")})
    change = statistics.log_sessions(by_session[1], by_session[0], pair.allowance)
    if change is None:
        return {"note": why_not(pair)}
    sessions, apart = len(change.by_session), change.apart
    row = {
        "tasks": len(known),
        "estimate": math.expm1(change.value),
        "method": WELCH if sessions == 1 else STUDENT,
        "sessions": sessions,
        "n": change.n,
        "n_reference": change.n_reference,
        "note": note(pair, sessions),
    }
    if apart is None:
        return row
    smallest = effects.detectable(apart.error, apart.freedom) + apart.allowance
    return {
        **row,
        **ends("ci95", tuple(map(statistics.relative, apart.ends()))),
        "df": apart.freedom if math.isfinite(apart.freedom) else None,
        "p": apart.p(),
        "minimum_detectable_effect": statistics.relative(smallest),
    }
