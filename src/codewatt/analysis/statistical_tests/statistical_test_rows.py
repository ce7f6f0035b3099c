"""Rows of the table `statistical_test`: tests of a cell, and of cells that differ in a factor."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from codewatt.analysis.columns import Row
from codewatt.analysis.efficient_frontier import energy_basis
from codewatt.analysis.statistical_tests import distribution_tests, rank_tests
from codewatt.analysis.statistical_tests.conclusions import conclusion
from codewatt.analysis.statistical_tests.families import adjust
from codewatt.analysis.statistical_tests.observations import CellObservations, comparable_texts
from codewatt.analysis.statistical_tests.outcomes import Outcome, WithheldError

#: The factor in which the cells of a group differ -> the axes that it changes.
FACTORS = {
    "variant": ("prune", "precision"),
    "model": ("model",),
    "batch_size": ("batch_size",),
}
_AXES = (
    "model", "prune", "precision", "benchmark", "prompt", "token_limit", "batch_size", "engine",
    "hardware",
)  # fmt: skip
TASK = "task"
ENERGY, LOG_ENERGY = "energy_j", "ln energy_j"
_ONE_JOB = "the runs of a cell are of one job: differences between jobs count as those of cells"
_ONE_SESSION = "left out, as they have no energies of two or more sessions"
_SD_RATIO = "largest SD / smallest SD"
#: Test -> name of its statistic and of its effect size.
_NAMES = {
    "Shapiro-Wilk": ("W", "skewness"),
    "Levene": ("F", _SD_RATIO),
    "Brown-Forsythe": ("F", _SD_RATIO),
    "Kruskal-Wallis": ("H", "epsilon squared"),
    "Friedman": ("Q", "Kendall's W"),
    "Dunn": ("z", "Cliff's delta"),
    "Durbin-Watson": ("d", "autocorrelation at lag 1"),
    "Durbin-Watson, not centred": ("d", "coefficient of variation"),
}
_OF_GROUPS: dict[str, Callable[[Sequence[Sequence[float]]], Outcome]] = {
    "Levene": distribution_tests.levene,
    "Brown-Forsythe": distribution_tests.brown_forsythe,
    "Kruskal-Wallis": rank_tests.kruskal_wallis,
}


def statistical_test_rows(cells: Sequence[CellObservations]) -> list[Row]:
    """All rows of the table, with adjusted p values and conclusions."""
    rows = [row for cell in cells for row in _cell_rows(cell)]
    for factor, axes in FACTORS.items():
        for group, members in _groups(cells, axes).items():
            rows += _group_rows(factor, group, members)
    adjust(rows)
    for row in rows:
        row.setdefault("p_holm", None)
        row.setdefault("family_tests", None)
        if row["statistic"] is not None:
            row["conclusion"] = conclusion(row)
    return rows


def _cell_rows(cell: CellObservations) -> Iterator[Row]:
    """Tests of one cell."""
    reason, of_runs = cell.reason_to_withhold(), cell.reason_to_withhold(per_task=False)
    tasks = [] if reason else [float(value) for value in cell.task_energies()]
    halves = [tasks[: len(tasks) // 2], tasks[len(tasks) // 2 :]]
    shapiro = distribution_tests.shapiro_wilk
    for level, values, why in ((TASK, tasks, reason), (cell.run_level, list(cell.runs), of_runs)):
        yield _row(cell, "Shapiro-Wilk", level, ENERGY, shapiro, values, why)
        yield _row(cell, "Shapiro-Wilk", level, LOG_ENERGY, _of_logarithms, values, why)
    for test in ("Levene", "Brown-Forsythe"):
        yield _row(cell, test, TASK, ENERGY, _OF_GROUPS[test], halves, reason)
    raw = distribution_tests.durbin_watson_raw
    yield _row(cell, "Durbin-Watson", TASK, ENERGY, distribution_tests.durbin_watson, tasks, reason)
    yield _row(cell, "Durbin-Watson, not centred", TASK, ENERGY, raw, tasks, reason)


def _of_logarithms(values: Sequence[float]) -> Outcome:
    if values and min(values) <= 0:
        raise WithheldError("an energy is not positive and has no logarithm")
    return distribution_tests.shapiro_wilk(list(np.log(np.asarray(values, float))))


def _row(
    cell: CellObservations,
    test: str,
    level: str,
    metric: str,
    function: Callable[[Any], Outcome],
    values: Any,
    reason: str | None,
) -> Row:
    family = f"{test}, {metric} per {level}"
    if test in _OF_GROUPS:
        family += ", first and second half of the tasks"
    row = _empty(test, level, metric) | {"cell_id": cell.cell_id, "cells": 1, "family": family}
    return row | _outcome(function, values, reason)


def _empty(test: str, level: str, metric: str) -> Row:
    statistic_name, effect_name = _NAMES[test]
    return {
        "test": test,
        "level": level,
        "metric": metric,
        "factor": None,
        "group": None,
        "statistic_name": statistic_name,
        "effect_name": effect_name,
    }


def _outcome(function: Callable[[Any], Outcome], values: Any, reason: str | None) -> Row:
    """The columns of a test's outcome, or the reason why it is withheld."""
    if reason is not None:
        return {"statistic": None, "note": reason}
    try:
        return _outcome_columns(function(values))
    except WithheldError as error:
        return {"statistic": None, "note": str(error)}


def _outcome_columns(found: Outcome) -> Row:
    return {
        "n": found.n,
        "statistic": found.statistic,
        "df": found.df,
        "df_residual": found.df_residual,
        "p": found.p,
        "effect": found.effect,
    }


def _groups(
    cells: Sequence[CellObservations], axes: Sequence[str]
) -> dict[str, list[CellObservations]]:
    """Text of what is the same -> cells that differ in these axes only, by id; two or more."""
    groups: dict[str, list[CellObservations]] = defaultdict(list)
    for cell in sorted(cells, key=lambda cell: cell.cell_id):
        same = [axis for axis in _AXES if axis not in axes and cell.cell[axis] is not None]
        groups[", ".join(f"{axis} {cell.cell[axis]}" for axis in same)].append(cell)
    return {group: members for group, members in groups.items() if len(members) > 1}


def _group_rows(factor: str, group: str, members: Sequence[CellObservations]) -> Iterator[Row]:
    """Tests of cells that differ in one factor."""
    for of_tasks in (True, False):
        usable = [c for c in members if c.reason_to_withhold(of_tasks) is None]
        left_out = [c.cell_id for c in members if c.reason_to_withhold(of_tasks) is not None]
        notes = [f"left out, as not tested: {', '.join(left_out)}"] if left_out else []
        level = TASK
        if not of_tasks:
            level = _run_level(usable or members)
            other = [c.cell_id for c in usable if c.run_level != level]
            notes += [f"{_ONE_SESSION}: {', '.join(other)}"] if other else []
            usable = [c for c in usable if c.run_level == level]
        reason = _not_comparable(usable)
        notes += [*comparable_texts(usable), *([_ONE_JOB] if level == "run" else [])]
        by_task = [cell.task_energies() for cell in usable]
        values = [list(x) for x in (by_task if of_tasks else [cell.runs for cell in usable])]
        common = {"factor": factor, "group": group, "cells": len(usable)}
        for test, function in _OF_GROUPS.items():
            row = _empty(test, level, ENERGY) | common
            row["family"] = f"{test}, energy_j per {level}, cells that differ in {factor}"
            yield _noted(row | _outcome(function, values, reason), notes)
        if of_tasks:
            row = _empty("Friedman", level, ENERGY) | common
            row["family"] = f"Friedman, energy_j per {level}, cells that differ in {factor}"
            yield _noted(row | _outcome(_friedman, by_task, reason), notes)
        yield from _dunn_rows(usable, level, values, common, reason, notes)


def _run_level(cells: Sequence[CellObservations]) -> str:
    """ "session" if a cell has the energies of several sessions, else "run".

    All values of a test are of one level: runs of one job vary less than sessions, so a cell with
    one session would look more precise than the others, and its job would count as the cell.
    """
    return "session" if any(cell.run_level == "session" for cell in cells) else "run"


def _friedman(by_task: Sequence[pd.Series]) -> Outcome:
    """Friedman's test with tasks as blocks: the tasks that have an energy in every cell."""
    joint = pd.concat(by_task, axis=1, join="inner") if by_task else pd.DataFrame()
    return rank_tests.friedman([list(joint.iloc[:, i]) for i in range(joint.shape[1])])


def _dunn_rows(
    cells: Sequence[CellObservations],
    level: str,
    values: Sequence[Sequence[float]],
    common: Row,
    reason: str | None,
    notes: Sequence[str],
) -> Iterator[Row]:
    """Dunn's test of each pair; nothing where Kruskal-Wallis is withheld, which says why."""
    if reason is not None:
        return
    try:
        found = rank_tests.dunn(values)
    except WithheldError:
        return
    for (i, j), outcome in found.items():
        row = _empty("Dunn", level, ENERGY) | common
        row |= {
            "cell_id": cells[i].cell_id,
            "other_cell_id": cells[j].cell_id,
            "cells": 2,
            "family": f"Dunn, energy_j per {level}, pairs of cells of one group that differ in "
            f"{common['factor']}: {common['group']}",
        }
        yield _noted(row | _outcome_columns(outcome), notes)


def _not_comparable(cells: Sequence[CellObservations]) -> str | None:
    """Why the energies of these cells are not compared; None if they are."""
    if len(cells) < 2:
        return "fewer than two cells of the group can be tested"
    if len({energy_basis(cell.cell) for cell in cells}) > 1:
        return "the energies of the cells have different origins"
    if len({cell.cell["cpu_name"] for cell in cells}) > 1:
        return "the cells ran on different CPU models"
    return None


def _noted(row: Row, notes: Sequence[str]) -> Row:
    texts = [text for text in (row.get("note"), *notes) if text]
    return row | {"note": "; ".join(texts) or None}
