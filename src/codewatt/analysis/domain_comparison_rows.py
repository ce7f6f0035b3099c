"""Rows of the domain comparison table: each pair of cells on the tasks of each domain.

docs, "How variants are compared", section "Domains of tasks", defines the columns.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

from codewatt.analysis.changes import set_interval, to_change
from codewatt.analysis.columns import CELL_IDS, Row
from codewatt.analysis.compared_pairs import Pair, StudyRows
from codewatt.analysis.comparison_rows import AGRESTI_METHOD, DIFFERENCE, RATIO, TANGO_METHOD
from codewatt.analysis.detectable_effect import minimum_detectable_effect
from codewatt.analysis.domain_rows import domains_of
from codewatt.analysis.log_scale_statistics import change_of_log, finite, holm, mean_of
from codewatt.analysis.paired_tasks import Shares, compare_shares
from codewatt.analysis.run_rows import solved_shares
from codewatt.analysis.session_effects import compare_sessions, logs_by_session
from codewatt.analysis.task_effects import LEAST_KNOWN_TASKS

#: Values of `metric`, columns of the domain table.
PASS, ENERGY = "pass_at_1_base", "j_per_task"

_FEW_ENERGIES = f"fewer than {100 * LEAST_KNOWN_TASKS:.0f} % of the domain's tasks have an energy"
_NO_VERDICTS = "no task of the domain has a verdict"
_OTHER_VERDICTS = "the two cells have verdicts of different tasks of the domain"

#: (Session, repeat) of a run -> task -> the energy (J) of its completions, None where unknown.
_Energies = Mapping[tuple[int, int], Mapping[str, Sequence[float | None]]]


def compare_domains(study: StudyRows, pairs: Iterable[Pair]) -> list[Row]:
    """Compare each pair of cells on the tasks of each domain; no rows for tasks without domains.

    The p values of a metric are Holm-adjusted over all pairs and domains of the study.

    Args:
        study: its rows; pass@1 is in the cells' rows.
        pairs: what is compared (`compared_pairs`).

    Returns:
        The rows of the domain comparison table. A comparison that is withheld has a row with a
        note.
    """
    rows: list[Row] = []
    for pair in pairs:
        if pair.is_itself:
            continue
        members = _members(study, pair)
        shares = [solved_shares(study.tasks[cell], "base") for cell in pair.ids]
        energies = [_energies(study.tasks[cell]) for cell in pair.ids]
        for domain in sorted(members):
            tasks = members[domain]
            if _have_accuracy(pair):
                ours, theirs = ({t: s for t, s in side.items() if t in tasks} for side in shares)
                columns = _pass_columns(study, pair, ours, theirs)
                rows.append(_start(pair, domain, PASS, DIFFERENCE) | columns)
            if any(
                run.get("energy_j") is not None for cell in pair.ids for run in study.runs[cell]
            ):
                columns = _energy_columns(pair, tasks, *energies)
                rows.append(_start(pair, domain, ENERGY, RATIO) | columns)
    _adjust(rows)
    return rows


def _members(study: StudyRows, pair: Pair) -> Mapping[str, Set[str]]:
    """Domain -> ids of its tasks; of a cell that did not run, those of the other one."""
    found: dict[str, set[str]] = defaultdict(set)
    for cell in pair.ids:
        for row in study.tasks[cell]:
            for domain in domains_of(row):
                found[domain].add(row["task_id"])
    return found


def _have_accuracy(pair: Pair) -> bool:
    """Whether those of the two cells that ran have a pass@1."""
    ran = [cell for cell in (pair.cell, pair.reference) if cell["status"] == "ok"]
    return bool(ran) and all(cell.get(PASS) is not None for cell in ran)


def _start(pair: Pair, domain: str, metric: str, scale: str) -> Row:
    return {
        **{name: pair.cell[name] for name in CELL_IDS},
        "reference_cell_id": pair.reference["cell_id"],
        "domain": domain,
        "metric": metric,
        "scale": scale,
    }


def _pass_columns(study: StudyRows, pair: Pair, ours: Shares, theirs: Shares) -> Row:
    """The columns of pass@1, paired by task: the statistics of the comparison table."""
    if not pair.cell["status"] == pair.reference["status"] == "ok":
        return {"note": pair.why_not}
    if not ours and not theirs:
        return {"note": _NO_VERDICTS}
    if ours.keys() != theirs.keys():
        return {"note": _OTHER_VERDICTS}
    comparison = compare_shares(ours, theirs)
    counts = comparison.counts
    sessions = ({run["session"] for run in study.runs[cell]} for cell in pair.ids)
    row: Row = {
        "tasks": len(ours),
        "estimate": comparison.shares.difference,
        "method": AGRESTI_METHOD if counts is None else TANGO_METHOD,
        "sessions": len(set.intersection(*sessions)),
        "n": len(ours),
        "n_reference": len(ours),
        "p": comparison.p,
        "minimum_detectable_effect": minimum_detectable_effect(comparison.shares.error, math.inf),
    }
    if counts is not None:
        row |= {"tasks_lost": counts.lost, "tasks_gained": counts.gained}
    set_interval(row, "ci95", comparison.interval)
    return row


def _energies(tasks: Sequence[Row]) -> _Energies:
    """The energies of a cell's completions by run and task."""
    found: dict[tuple[int, int], dict[str, list[float | None]]] = {}
    for row in tasks:
        of_run = found.setdefault((row["session"], row["repeat"]), {})
        of_run.setdefault(row["task_id"], []).append(row.get("energy_j"))
    return found


def _energy_columns(pair: Pair, tasks: Set[str], ours: _Energies, theirs: _Energies) -> Row:
    """The columns of energy per task: the ratio of the energies of the same tasks, run by run.

    A run counts with the mean energy of its completions of the domain's tasks. Tasks of which a
    completion of one of the two cells has no energy, in a session that has both, are left out.
    """
    if not pair.compares(ENERGY):
        return {"note": pair.why_not}
    sessions = {session for session, _ in ours} & {session for session, _ in theirs}
    runs = [
        {run: of_run for run, of_run in side.items() if run[0] in sessions}
        for side in (ours, theirs)
    ]
    every = [of_run for side in runs for of_run in side.values()]
    known = {task for task in tasks if all(_is_known(of_run.get(task)) for of_run in every)}
    if sessions and len(known) < max(1, LEAST_KNOWN_TASKS * len(tasks)):
        return {"note": _FEW_ENERGIES}
    logs = [logs_by_session(_means(side, known)) for side in runs]
    if logs[0] is None or logs[1] is None:
        return {"note": pair.why_not}
    comparison = compare_sessions(logs[1], logs[0], pair.allowance)
    if comparison is None:
        return {"note": pair.why_not}
    row: Row = {
        "tasks": len(known),
        "estimate": math.expm1(comparison.value),
        "method": comparison.method,
        "sessions": comparison.sessions,
        "n": comparison.n,
        "n_reference": comparison.n_reference,
        "note": pair.interval_note(comparison.sessions),
    }
    difference = comparison.difference
    if difference is not None:
        row |= {
            "df": difference.freedom if math.isfinite(difference.freedom) else None,
            "p": difference.p,
            "minimum_detectable_effect": change_of_log(difference.minimum_detectable()),
        }
        set_interval(row, "ci95", to_change(difference.interval()))
    return row


def _is_known(joules: Sequence[float | None] | None) -> bool:
    return bool(joules) and None not in joules  # type: ignore[operator]


def _means(runs: _Energies, tasks: Set[str]) -> dict[int, list[float]]:
    """Session -> mean energy (J) of a completion of these tasks, of each repeat."""
    found: dict[int, list[float]] = {}
    for (session, _), of_run in sorted(runs.items()):
        joules = [value for task in sorted(tasks) for value in of_run[task]]
        found.setdefault(session, []).append(mean_of(finite(joules)))
    return found


def _adjust(rows: Sequence[Row]) -> None:
    """Add p values, Holm-adjusted over all comparisons of a metric, in place."""
    for metric in (PASS, ENERGY):
        tested = [row for row in rows if row["metric"] == metric and row.get("p") is not None]
        for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
            row |= {"p_holm": p, "comparisons": len(tested)}
