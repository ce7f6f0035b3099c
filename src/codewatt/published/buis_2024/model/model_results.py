"""All results of the analytical model of Buis 2024, and their CSV files."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codewatt.files import write_csv_rows
from codewatt.published.buis_2024.model.corrected_estimates import (
    CorrectedEstimate,
    correct_estimate,
)
from codewatt.published.buis_2024.model.cost_formulas import cost_formulas
from codewatt.published.buis_2024.model.estimate_settings import ESTIMATE_TABLES
from codewatt.published.buis_2024.model.figure_data import FigurePoint, figure_points
from codewatt.published.buis_2024.model.formula_row import FormulaRow
from codewatt.published.buis_2024.model.model_estimates import ModelEstimate, estimate_model
from codewatt.published.buis_2024.model.model_sizes import ModelSize, size_of
from codewatt.published.buis_2024.model.parameter_comparison import PartCount, compare_parameters
from codewatt.published.buis_2024.model.prediction_scores import Score, score_predictions
from codewatt.published.buis_2024.model.predictions import PredictedRun, predict_runs
from codewatt.published.buis_2024.model.reproduced_estimates import (
    ReproducedEstimate,
    reproduce_estimates,
)
from codewatt.published.buis_2024.model.size_formulas import size_formulas
from codewatt.published.buis_2024.model.study_models import study_models
from codewatt.published.buis_2024.printed_tables import ThesisTables

Rows = list[dict[str, Any]]
#: File names of the figures, without suffix.
PREDICTIONS, SCALING = "predictions", "figures_4_1_to_4_5"


@dataclass(frozen=True)
class ModelResults:
    """The results.

    Attributes:
        tables: the printed tables that they rest on.
        formulas: the checklist of equations 3.1 to 3.37.
        parts: parameters of each part of each model.
        sizes: KV cache and VRAM of each model.
        reproduced: the printed estimates, from the printed formulas.
        corrected: the same estimates as they are.
        estimates: costs of every model of both studies with the settings of these tables.
        figures: data of figures 4.1 to 4.5.
        predicted: predictions for the measured runs.
        scores: agreement of the predictions with the measured runs.
    """

    tables: ThesisTables
    formulas: list[FormulaRow]
    parts: list[PartCount]
    sizes: list[ModelSize]
    reproduced: list[ReproducedEstimate]
    corrected: list[CorrectedEstimate]
    estimates: list[ModelEstimate]
    figures: list[FigurePoint]
    predicted: list[PredictedRun]
    scores: list[Score]

    def score(self, predictor: str, quantity: str, group: str) -> Score:
        """One score."""
        return next(
            one
            for one in self.scores
            if (one.predictor, one.quantity, one.group) == (predictor, quantity, group)
        )


def compute_results(tables: ThesisTables) -> ModelResults:
    """All results, from the printed tables and the models' configurations."""
    predicted = list(predict_runs(tables))
    return ModelResults(
        tables=tables,
        formulas=[*size_formulas(), *cost_formulas(tables)],
        parts=compare_parameters(),
        sizes=[size_of(model) for model in study_models().values()],
        reproduced=list(reproduce_estimates(tables)),
        corrected=[correct_estimate(table, row) for table, _, row in tables.rows(*ESTIMATE_TABLES)],
        estimates=[estimate_model(model) for model in study_models().values()],
        figures=list(figure_points()),
        predicted=predicted,
        scores=score_predictions(predicted),
    )


def write_results(results: ModelResults, folder: Path) -> list[Path]:
    """Write one CSV file for each kind of result; returns their paths."""
    paths = []
    for name, rows in _files(results):
        path = folder / f"{name}.csv"
        write_csv_rows(path, list(rows[0]), rows)
        paths.append(path)
    return paths


def _files(results: ModelResults) -> Iterator[tuple[str, Rows]]:
    yield "formulas", [asdict(row) for row in results.formulas]
    yield "parameters", [asdict(row) for row in results.parts]
    yield "sizes", [asdict(row) for row in results.sizes]
    yield "printed_estimates", [_reproduced(row) for row in results.reproduced]
    yield "corrected_estimates", [asdict(row) for row in results.corrected]
    yield "model_estimates", [_estimated(row) for row in results.estimates]
    yield "figures_4_1_to_4_5", [asdict(row) for row in results.figures]
    yield "predictions", [_predicted(row) for row in results.predicted]
    yield "scores", [asdict(row) for row in results.scores]


def _reproduced(row: ReproducedEstimate) -> dict[str, Any]:
    figure = row.figure
    return {
        "table": figure.table,
        "row": figure.row,
        "column": figure.column,
        "unit": figure.unit,
        "printed": figure.number.text,
        "equation": row.equation,
        "computed": row.computed,
        "verdict": row.verdict,
    }


def _estimated(row: ModelEstimate) -> dict[str, Any]:
    both = {"printed": asdict(row.printed), "right": asdict(row.right)}
    costs = {f"{name}_{key}": value for name, one in both.items() for key, value in one.items()}
    return {"model": row.model, **costs}


def _predicted(row: PredictedRun) -> dict[str, Any]:
    run = row.run
    return {
        "predictor": row.predictor,
        "run": run.label,
        "group": run.group,
        "tokens_per_task": run.tokens,
        "measured_s": run.seconds,
        "predicted_s": row.prediction.seconds,
        "measured_j": run.joules,
        "predicted_j": row.prediction.joules,
    }
