"""Rows of the table `regression`: a row for each cell, model, standard error and coefficient."""

import math
from collections.abc import Iterator, Sequence

from codewatt.analysis.columns import CELL_IDS, Row
from codewatt.analysis.descriptions import format_p, format_percent, format_percent_interval
from codewatt.analysis.statistical_tests.energy_regression import (
    CORRECTED,
    INTERCEPT,
    LAG,
    MODELS,
    THESIS,
    TOKENS,
    Coefficient,
    Fit,
    Model,
    fit,
)
from codewatt.analysis.statistical_tests.families import ALPHA, adjust
from codewatt.analysis.statistical_tests.observations import CellObservations
from codewatt.analysis.statistical_tests.outcomes import WithheldError


def regression_rows(cells: Sequence[CellObservations]) -> list[Row]:
    """All rows of the table, with adjusted p values and what changes against the thesis model."""
    rows = [row for cell in cells for row in _cell_rows(cell)]
    # The intercept is the level of the outcome in its unit: no hypothesis of interest.
    adjust([row for row in rows if row["term"] != INTERCEPT])
    thesis = {
        (row["cell_id"], row["term"]): row for row in rows if row["model_name"] == THESIS.name
    }
    for row in rows:
        row.setdefault("p_holm", None)
        row.setdefault("family_tests", None)
        if row["coefficient"] is not None:
            _conclude(row, thesis)
    return rows


def _cell_rows(cell: CellObservations) -> Iterator[Row]:
    reason = cell.reason_to_withhold()
    ids = {name: cell.cell[name] for name in CELL_IDS}
    for model in MODELS:
        try:
            if reason is not None:
                raise WithheldError(reason)
            found = fit(model, cell.tasks)
        except WithheldError as error:
            for errors in model.errors:
                yield ids | _model_columns(model, errors) | {"term": None, "note": str(error)}
            continue
        for errors in model.errors:
            common = ids | _model_columns(model, errors) | _fit_columns(found)
            for term, coefficient in found.coefficients[errors].items():
                yield common | {"term": term} | _coefficient_columns(coefficient)
            for term, note in found.left_out.items():
                yield common | {"term": term, "note": note}


def _model_columns(model: Model, errors: str) -> Row:
    return {
        "model_name": model.name,
        "errors": errors,
        "outcome": model.outcome,
        "statistic_name": "z" if model.normal else "t",
        "family": f"coefficients of the model '{model.name}', errors {errors}, all cells",
        "coefficient": None,
    }


def _fit_columns(found: Fit) -> Row:
    return {
        "n": found.n,
        "tasks": found.tasks,
        "series": found.series,
        "lags": found.lags,
        "r_squared_uncentred": found.r_squared_uncentred,
        "r_squared_centred": found.r_squared_centred,
        "residual_durbin_watson": found.residual_durbin_watson,
    }


def _coefficient_columns(coefficient: Coefficient) -> Row:
    return {
        "coefficient": coefficient.value,
        "std_error": coefficient.error,
        "ci95_low": coefficient.ci95[0],
        "ci95_high": coefficient.ci95[1],
        "statistic": coefficient.statistic,
        "df": coefficient.df,
        "p": coefficient.p,
    }


def _conclude(row: Row, thesis: dict[tuple[str, str], Row]) -> None:
    """Set the conclusion, and for other models what changes against the thesis model."""
    if row["term"] == INTERCEPT:
        row["conclusion"] = _explained(row)
        return
    row["conclusion"] = _finding(row)
    as_thesis = thesis.get((row["cell_id"], row["term"]))
    if row["model_name"] == THESIS.name or as_thesis is None:
        return
    if as_thesis["coefficient"] is None:
        return
    row["thesis_coefficient"], row["thesis_p"] = as_thesis["coefficient"], as_thesis["p"]
    before, now = _direction(as_thesis["coefficient"], as_thesis["p"]), _direction_of(row)
    row["conclusion_changes"] = before != now
    if before == now:
        row["conclusion"] += " The thesis model has the same finding."
    else:
        row["conclusion"] += f" The thesis model's finding differs: {before}."


def _direction(value: float, p: float) -> str:
    if p >= ALPHA:
        return "no effect is shown"
    return "the energy is higher" if value > 0 else "the energy is lower"


def _direction_of(row: Row) -> str:
    """The finding of a row: by p as it is in the models with the thesis's own outcome."""
    return _direction(row["coefficient"], _decisive_p(row))


def _decisive_p(row: Row) -> float:
    """The thesis does not adjust its p values; the corrected model does."""
    p = row["p_holm"] if row["model_name"] == CORRECTED.name else row["p"]
    return float(p)


def _finding(row: Row) -> str:
    p = _decisive_p(row)
    adjusted = row["model_name"] == CORRECTED.name and (row["family_tests"] or 0) > 1
    shown = f"{'Holm-adjusted ' if adjusted else ''}{format_p(p)}"
    subject = _SUBJECTS.get(row["term"], f"Tasks of the domain {row['term']}")
    if row["model_name"] != CORRECTED.name:
        verb = "differs from zero" if p < ALPHA else "is not shown to differ from zero"
        return f"{subject}: the coefficient {row['coefficient']:.4g} {verb} ({shown})."
    if row["term"] == LAG:
        size = f"{row['coefficient']:+.3g} % energy for 1 % more energy of the previous task"
    else:
        ends = (math.expm1(row[name]) for name in ("ci95_low", "ci95_high"))
        size = f"{format_percent(math.expm1(row['coefficient']))} energy"
        size += f" {format_percent_interval(*ends)}"
    verb = "" if p < ALPHA else "no effect is shown; "
    return f"{subject}: {verb}{size} ({shown})."


def _explained(row: Row) -> str:
    centred, uncentred = row["r_squared_centred"], row["r_squared_uncentred"]
    return (
        f"The regressors explain {centred:.1%} of the variance about the mean (centred R² = "
        f"{centred:.4f}); the uncentred R², which counts the mean as explained, is {uncentred:.4f}."
    )


_SUBJECTS = {TOKENS: "One more generated token", LAG: "Energy of the previous task"}
