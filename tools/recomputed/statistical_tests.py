"""Rows of the table of statistical tests, by scipy.stats and the formulas of Dunn and Durbin."""

import itertools
import math

import numpy as np
from scipy import stats

from recomputed.compare import energy_origin
from recomputed.sentences import sentence
from recomputed.statistics import holm

FACTORS = {"variant": ("prune", "precision"), "model": ("model",), "batch_size": ("batch_size",)}
AXES = (
    "model", "prune", "precision", "benchmark", "prompt", "token_limit", "batch_size", "engine",
    "hardware",
)  # fmt: skip
SPREAD = "largest SD / smallest SD"
NAMES = {
    "Shapiro-Wilk": ("W", "skewness"),
    "Levene": ("F", SPREAD),
    "Brown-Forsythe": ("F", SPREAD),
    "Kruskal-Wallis": ("H", "epsilon squared"),
    "Friedman": ("Q", "Kendall's W"),
    "Dunn": ("z", "Cliff's delta"),
    "Durbin-Watson": ("d", "autocorrelation at lag 1"),
    "Durbin-Watson, not centred": ("d", "coefficient of variation"),
}
COLUMNS = (
    "test", "level", "metric", "factor", "group", "cell_id", "other_cell_id", "cells", "n",
    "statistic_name", "statistic", "df", "df_residual", "p", "p_holm", "family", "family_tests",
    "effect_name", "effect", "conclusion", "note",
)  # fmt: skip


class Withheld(Exception):
    """A test that cannot be made, and why."""


def statistical_test_rows(cells, runs, tasks):
    """All rows, from the recomputed rows of cells, runs and tasks."""
    values = {row["cell_id"]: _values(row, runs, tasks) for row in cells}
    rows = [made for row in cells for made in _of_cell(row, values[row["cell_id"]])]
    for factor, axes in FACTORS.items():
        groups = {}
        for row in sorted(cells, key=lambda row: row["cell_id"]):
            same = [a for a in AXES if a not in axes and row[a] is not None]
            groups.setdefault(", ".join(f"{a} {row[a]}" for a in same), []).append(row)
        for group, members in groups.items():
            if len(members) > 1:
                rows += _of_group(factor, group, members, values)
    families(rows)
    for row in rows:
        row["conclusion"] = None if row["statistic"] is None else sentence(row)
    return rows


def families(rows):
    """Holm's adjustment over the rows with a p value of the same family, in place."""
    by_family = {}
    for row in rows:
        row["p_holm"] = row["family_tests"] = None
        if row["p"] is not None:
            by_family.setdefault(row["family"], []).append(row)
    for members in by_family.values():
        for row, p in zip(members, holm([row["p"] for row in members]), strict=True):
            row["p_holm"], row["family_tests"] = p, len(members)


def why_not(row, tasks):
    """Why nothing is tested of a cell; `tasks`: None for tests of its runs."""
    if row["status"] != "ok":
        return f"the cell is infeasible: {row['status_reason']}"
    if row["valid"] is False:
        return f"the cell failed a validity check: {row['failed_checks']}"
    if tasks is None:
        return None
    everything = {task["task_id"] for task in tasks}
    known = {task for (_, _, task), (_, joules, _) in of_task(tasks).items() if joules is not None}
    if not known:
        return "no task of the cell has an energy"
    if len(known) / len(everything) < 0.95:
        return (
            f"only {len(known)} of the cell's {len(everything)} tasks have an energy, and short "
            "tasks lack it most often"
        )
    return None


def of_task(rows):
    """(session, repeat, task id) -> (tokens, J, domains) by means over samples; J may be None."""
    found = {}
    for row in rows:
        key = row.get("session") or 1, row["repeat"], row["task_id"]
        found.setdefault(key, []).append(row)
    means = {}
    for key, samples in found.items():
        joules = [s["energy_j"] if s["valid"] is not False else None for s in samples]
        known = None if None in joules else float(np.mean(joules))
        tokens = float(np.mean([s["new_tokens"] for s in samples]))
        means[key] = tokens, known, samples[0]["domains"] or ""
    return means


def _values(row, runs, tasks):
    """{"reason", "task": task id -> J, "run" or "session": [J]}."""
    ours = [task for task in tasks if task["cell_id"] == row["cell_id"]]
    by_task = {}
    for (_, _, task), (_, joules, _) in of_task(ours).items():
        if joules is not None:
            by_task.setdefault(task, []).append(joules)
    known = [
        run
        for run in runs
        if run["cell_id"] == row["cell_id"]
        and run["energy_j"] is not None
        and run["valid"] is not False
    ]
    sessions = sorted({run.get("session") or 1 for run in known})
    if len(sessions) < 2:
        level, of_runs = "run", [run["energy_j"] for run in known]
    else:
        level = "session"
        of_runs = [
            float(np.mean([run["energy_j"] for run in known if run["session"] == session]))
            for session in sessions
        ]
    return {
        "reason": why_not(row, ours),
        "reason_of_runs": why_not(row, None),
        "task": {task: float(np.mean(joules)) for task, joules in by_task.items()},
        "level": level,
        "runs": of_runs,
    }


def _row(test, level, metric, family, make, **more):
    row = dict.fromkeys(COLUMNS)
    row |= {"test": test, "level": level, "metric": metric, "family": family, **more}
    row["statistic_name"], row["effect_name"] = NAMES[test]
    try:
        row |= make()
    except Withheld as reason:
        row["note"] = str(reason)
    return row


def _of_cell(cell, values):
    reason = values["reason"]
    tasks = [] if reason else list(values["task"].values())
    half = len(tasks) // 2

    def make(test, *args, why=reason):
        def made():
            if why:
                raise Withheld(why)
            return test(*args)

        return made

    def one(test, level, metric, made, family=""):
        return _row(
            test, level, metric, f"{test}, {metric} per {level}{family}", made,
            cell_id=cell["cell_id"], cells=1,
        )  # fmt: skip

    of_runs = values["level"], values["runs"], values["reason_of_runs"]
    for level, x, why in (("task", tasks, reason), of_runs):
        yield one("Shapiro-Wilk", level, "energy_j", make(shapiro, x, why=why))
        yield one("Shapiro-Wilk", level, "ln energy_j", make(_shapiro_of_logs, x, why=why))
    for test, centre in (("Levene", "mean"), ("Brown-Forsythe", "median")):
        made = make(variances, [tasks[:half], tasks[half:]], centre)
        yield one(test, "task", "energy_j", made, ", first and second half of the tasks")
    yield one("Durbin-Watson", "task", "energy_j", make(durbin, tasks))
    yield one("Durbin-Watson, not centred", "task", "energy_j", make(durbin_raw, tasks))


def _of_group(factor, group, members, values):
    for of, why in (("task", "reason"), ("run", "reason_of_runs")):
        usable = [row for row in members if values[row["cell_id"]][why] is None]
        out = [row["cell_id"] for row in members if values[row["cell_id"]][why] is not None]
        remarks = [f"left out, as not tested: {', '.join(out)}"] if out else []
        levels = {values[row["cell_id"]]["level"] for row in usable or members}
        if of == "run" and "session" in levels:
            of = "session"
            few = {row["cell_id"] for row in usable if values[row["cell_id"]]["level"] == "run"}
            usable = [row for row in usable if row["cell_id"] not in few]
            told = "left out, as they have no energies of two or more sessions"
            remarks += [f"{told}: {', '.join(sorted(few))}"] if few else []
        places = {(row["host"], row["gpu_uuids"]) for row in usable}
        if len(places) > 1:
            remarks.append(
                f"the cells ran on {len(places)} hosts or sets of GPUs, which this test does not "
                "separate from the cells"
            )
        reason = _apart(usable)
        ours = [values[row["cell_id"]] for row in usable]
        x = [list(v["task"].values()) if of == "task" else v["runs"] for v in ours]
        if of == "run":
            remarks.append(
                "the runs of a cell are of one job: differences between jobs count as those of "
                "cells"
            )
        tests = {
            "Levene": lambda x=x: variances(x, "mean"),
            "Brown-Forsythe": lambda x=x: variances(x, "median"),
            "Kruskal-Wallis": lambda x=x: kruskal(x),
        }
        if of == "task":
            tests["Friedman"] = lambda ours=ours: friedman([v["task"] for v in ours])
        for test, made in tests.items():
            family = f"{test}, energy_j per {of}, cells that differ in "
            yield _noted(
                _row(
                    test, of, "energy_j", family + factor,
                    made if reason is None else _refusal(reason),
                    factor=factor, group=group, cells=len(usable),
                ),
                remarks,
            )  # fmt: skip
        for (i, j), made in ({} if reason else dunn(x)).items():
            family = (
                f"Dunn, energy_j per {of}, pairs of cells of one group that differ in {factor}: "
                f"{group}"
            )
            yield _noted(
                _row(
                    "Dunn", of, "energy_j", family, lambda made=made: made, factor=factor,
                    group=group, cells=2, cell_id=usable[i]["cell_id"],
                    other_cell_id=usable[j]["cell_id"],
                ),
                remarks,
            )  # fmt: skip


def _refusal(reason):
    def made():
        raise Withheld(reason)

    return made


def _noted(row, remarks):
    texts = [text for text in (row["note"], *remarks) if text]
    return row | {"note": "; ".join(texts) or None}


def _apart(rows):
    if len(rows) < 2:
        return "fewer than two cells of the group can be tested"
    if len({energy_origin(row) for row in rows}) > 1:
        return "the energies of the cells have different origins"
    if len({row["cpu_name"] for row in rows}) > 1:
        return "the cells ran on different CPU models"
    return None


def _same(x):
    if len(set(x)) == 1:
        raise Withheld("all values are equal")


def shapiro(x):
    """Shapiro-Wilk and the skewness."""
    if not 3 <= len(x) <= 5000:
        raise Withheld(f"{len(x)} values; this test needs 3 to 5000")
    _same(x)
    found = stats.shapiro(stats.zscore(x))
    return {
        "n": len(x),
        "statistic": float(found.statistic),
        "p": float(found.pvalue),
        "effect": float(stats.skew(x)),
    }


def _shapiro_of_logs(x):
    if x and min(x) <= 0:
        raise Withheld("an energy is not positive and has no logarithm")
    return shapiro([math.log(value) for value in x])


def _check(groups):
    if len(groups) < 2:
        raise Withheld("fewer than two cells can be compared")
    least = min(map(len, groups))
    if least < 5:
        raise Withheld(f"a cell has {least} values; this test needs at least 5 in each cell")
    _same([value for group in groups for value in group])


def variances(groups, centre):
    """Levene's test about means or medians, and the ratio of standard deviations."""
    _check(groups)
    found = stats.levene(*groups, center=centre)
    spreads = [float(np.std(group, ddof=1)) for group in groups]
    n = sum(map(len, groups))
    return {
        "n": n,
        "statistic": float(found.statistic),
        "df": len(groups) - 1,
        "df_residual": n - len(groups),
        "p": float(found.pvalue),
        "effect": max(spreads) / min(spreads) if min(spreads) else None,
    }


def kruskal(groups):
    """Kruskal-Wallis and epsilon squared."""
    _check(groups)
    found, n = stats.kruskal(*groups), sum(map(len, groups))
    return {
        "n": n,
        "statistic": float(found.statistic),
        "df": len(groups) - 1,
        "p": float(found.pvalue),
        "effect": float(found.statistic) * (n + 1) / (n**2 - 1),
    }


def friedman(by_task):
    """Friedman's test over the tasks of all cells, and Kendall's W."""
    common = [task for task in by_task[0] if all(task in one for one in by_task)]
    groups = [[one[task] for task in common] for one in by_task]
    _check(groups)
    if len(groups) < 3:
        raise Withheld("Friedman's test needs at least three cells")
    if all(len(set(block)) == 1 for block in zip(*groups, strict=True)):
        raise Withheld("in each task all cells have the same value")
    found = stats.friedmanchisquare(*groups)
    return {
        "n": len(common),
        "statistic": float(found.statistic),
        "df": len(groups) - 1,
        "p": float(found.pvalue),
        "effect": float(found.statistic) / (len(common) * (len(groups) - 1)),
    }


def dunn(groups):
    """Dunn's test of each pair, and Cliff's delta; empty where it is withheld."""
    try:
        _check(groups)
    except Withheld:
        return {}
    pooled = np.concatenate(groups)
    ranks = stats.rankdata(pooled)
    of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    # The variance of ranks, which ties make smaller: N (N + 1) / 12 without any.
    variance = float(np.var(ranks, ddof=1))
    found = {}
    for i, j in itertools.combinations(range(len(groups)), 2):
        a, b = np.asarray(groups[i]), np.asarray(groups[j])
        z = ranks[of == i].mean() - ranks[of == j].mean()
        z = float(z / math.sqrt(variance * (1 / len(a) + 1 / len(b))))
        found[i, j] = {
            "n": len(a) + len(b),
            "statistic": z,
            "p": float(2 * stats.norm.sf(abs(z))),
            "effect": float(np.sign(a[:, None] - b[None, :]).mean()),
        }
    return found


def _series(x):
    if len(x) < 10:
        raise Withheld(f"{len(x)} values; this test needs at least 10")
    _same(x)
    return np.asarray(x)


def durbin(x):
    """Durbin-Watson about the mean; moments by traces of the quadratic form's matrix."""
    e = stats.zscore(_series(x))
    n, step = len(e), np.diff(np.eye(len(e)), axis=0)
    inner = step.T @ step
    mean = np.trace(inner) / (n - 1)
    spread = (n - 1) * np.sum(inner * inner.T) - np.trace(inner) ** 2
    sd = math.sqrt(2 * spread / ((n - 1) ** 2 * (n + 1)))
    d = float(((step @ e) ** 2).sum() / n)
    return {
        "n": n,
        "statistic": d,
        "p": min(1.0, float(2 * stats.norm.sf(abs(d - mean) / sd))),
        "effect": float(e[1:] @ e[:-1] / n),
    }


def durbin_raw(x):
    """The same statistic of values that are not centred, and their coefficient of variation."""
    x = _series(x)
    return {
        "n": len(x),
        "statistic": float((np.diff(x) ** 2).sum() / (x @ x)),
        "effect": float(stats.variation(x)),
    }
