"""How well predictions agree with the measured runs, by group of runs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import fmean

from scipy import stats

from codewatt.published.buis_2024.model.measured_runs import GROUPS, OTHER
from codewatt.published.buis_2024.model.predictions import PredictedRun

ALL = "all 25"
#: Time or energy per token of quantised runs, divided by that of the Instruct run of the same size.
RELATIVE = "quantised / Instruct"
QUANTITIES = ("time", "energy")
_REFERENCE = "Instruct"


@dataclass(frozen=True)
class Score:
    """Agreement of one predictor with one group of runs.

    Attributes:
        predictor: name of the predictor.
        quantity: "time" or "energy", per task.
        group: one of `GROUPS`, `ALL` or `RELATIVE`.
        runs: number of runs.
        ratio: geometric mean of predicted / measured; 1 is unbiased.
        spread: geometric standard deviation of predicted / measured; 1 is constant.
        error: mean of |predicted / measured - 1|.
        rank: Spearman's rank correlation of predicted and measured; None with fewer than 5 runs.
    """

    predictor: str
    quantity: str
    group: str
    runs: int
    ratio: float
    spread: float
    error: float
    rank: float | None


def score_predictions(predicted: Iterable[PredictedRun]) -> list[Score]:
    """Scores of all predictors, quantities and groups."""
    by_predictor: dict[str, list[PredictedRun]] = {}
    for one in predicted:
        by_predictor.setdefault(one.predictor, []).append(one)
    return [
        score(name, quantity, group, pairs)
        for name, runs in by_predictor.items()
        for quantity in QUANTITIES
        for group, pairs in _grouped(runs, quantity)
    ]


def score(predictor: str, quantity: str, group: str, pairs: Sequence[tuple[float, float]]) -> Score:
    """The score of pairs of (predicted, measured)."""
    logs = [log(predicted / measured) for predicted, measured in pairs]
    mean = fmean(logs)
    spread = (sum((value - mean) ** 2 for value in logs) / (len(logs) - 1)) ** 0.5
    rank = None
    if len(pairs) >= 5:
        rank = float(stats.spearmanr(*zip(*pairs, strict=True)).statistic)
    error = fmean(abs(predicted / measured - 1) for predicted, measured in pairs)
    return Score(predictor, quantity, group, len(pairs), exp(mean), exp(spread), error, rank)


def _grouped(
    runs: Sequence[PredictedRun], quantity: str
) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """(group, pairs of predicted and measured)."""
    pairs = {one.run.label: _pair(one, quantity) for one in runs}
    yield ALL, [pairs[one.run.label] for one in runs if one.run.group != OTHER]
    for group in GROUPS:
        yield group, [pairs[one.run.label] for one in runs if one.run.group == group]
    references = {one.run.size: _per_token(one, quantity) for one in runs if _is_reference(one)}
    yield (
        RELATIVE,
        [
            (predicted / reference[0], measured / reference[1])
            for one in runs
            if one.run.settings.suffix
            for predicted, measured in [_per_token(one, quantity)]
            for reference in [references[one.run.size]]
        ],
    )


def _is_reference(one: PredictedRun) -> bool:
    return one.run.group == _REFERENCE


def _per_token(one: PredictedRun, quantity: str) -> tuple[float, float]:
    predicted, measured = _pair(one, quantity)
    return predicted / one.prediction.tokens, measured / one.run.tokens


def _pair(one: PredictedRun, quantity: str) -> tuple[float, float]:
    if quantity == "time":
        return one.prediction.seconds, one.run.seconds
    return one.prediction.joules, one.run.joules
