"""Predicted time and energy per task of the measured runs, by seven predictors.

Every predictor except the first is given the measured number of new tokens. The last two are fitted
to the unquantised runs of the other model sizes; all others know nothing of the measured times.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codewatt.published.buis_2024.model import printed_costs as printed
from codewatt.published.buis_2024.model.corrected_estimates import DTYPE, demand_of, roofline_s
from codewatt.published.buis_2024.model.measured_runs import MeasuredRun, measured_runs
from codewatt.published.buis_2024.model.reproduced_estimates import printed_times
from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.sizing.decode_rates import gpu_step, idle_w, measured_kind, power_w
from codewatt.sizing.estimate_assumptions import assumed_value
from codewatt.sizing.gpu_datasheets import get_gpu
from codewatt.sizing.roofline import GeneratedSequence, decode_work, prefill_work
from codewatt.sizing.workload import BENCHMARKS

GPU = get_gpu("l40s")
#: Mean prompt of BigCodeBench (tokens); the thesis does not say which prompts it used.
PROMPT_TOKENS = BENCHMARKS["bigcodebench"].prompt_tokens
#: Power above idle at full load (W): section 3.1 subtracts idle power from the measured energy.
ABOVE_IDLE_W = GPU.tdp_w - idle_w(GPU)


@dataclass(frozen=True)
class Prediction:
    """Predicted time (s) and energy (J) of one task, and the new tokens that it was made with."""

    seconds: float
    joules: float
    tokens: float


@dataclass(frozen=True)
class Predictor:
    """One way to predict.

    Attributes:
        name: identifier.
        what: meaning, for the tables of the page.
        predict: the prediction for a run; the second argument is all runs.
    """

    name: str
    what: str
    predict: Callable[[MeasuredRun, Sequence[MeasuredRun]], Prediction]


@dataclass(frozen=True)
class PredictedRun:
    """A run with its prediction by one predictor."""

    predictor: str
    run: MeasuredRun
    prediction: Prediction


def predict_runs(tables: ThesisTables) -> Iterator[PredictedRun]:
    """Every predictor on every run."""
    runs = measured_runs(tables)
    for predictor in predictors(tables):
        for run in runs:
            yield PredictedRun(predictor.name, run, predictor.predict(run, runs))


def predictors(tables: ThesisTables) -> tuple[Predictor, ...]:
    """All predictors."""
    return (
        Predictor(
            "printed_tables",
            "TGT as printed in tables 5.14 to 5.35 (660 tokens, other models 256), times 350 W",
            lambda run, _: _printed_table(tables, run),
        ),
        Predictor(
            "printed_formulas",
            "equations 3.27 to 3.34 with the settings of these tables and the measured tokens, "
            "350 W",
            lambda run, _: _printed_formulas(run),
        ),
        Predictor(
            "corrected_formulas",
            "exact bytes and FLOPs, the larger of both times at data sheet rates; 350 W less idle",
            lambda run, _: _corrected(run),
        ),
        Predictor(
            "measured_share",
            "the same bytes at the share of the bandwidth, and the power, that an H200 was "
            "measured to reach with CUDA graphs",
            lambda run, _: _measured_rates(run, "graph"),
        ),
        Predictor(
            "measured_host",
            "the same with the measured host time of transformers' generate()",
            lambda run, _: _measured_rates(run, "transformers"),
        ),
        Predictor(
            "fitted_bandwidth",
            "bytes per step / one bandwidth, energy in proportion; fitted to the unquantised "
            "runs of the other sizes",
            lambda run, runs: _fitted(run, runs, fixed=False),
        ),
        Predictor(
            "fitted_fixed_and_bandwidth",
            "a fixed time and energy per step in addition; fitted in the same way",
            lambda run, runs: _fitted(run, runs, fixed=True),
        ),
    )


def step_bytes(run: MeasuredRun) -> float:
    """Bytes that a decode step of a run moves (mean)."""
    sequence = _sequence(run)
    work = decode_work(demand_of(run.settings.model, run.settings.precision), [sequence])
    return work.moved_bytes / (sequence.new_tokens - 1)


def fit(
    runs: Sequence[MeasuredRun], quantity: Callable[[MeasuredRun], float], fixed: bool
) -> tuple[float, float]:
    """Fit (fixed part, slope per byte) of a quantity per token; least squares of relative errors.

    Args:
        runs: the runs to fit.
        quantity: time or energy of a task.
        fixed: whether there is a fixed part; else it is 0.
    """
    per_token = np.array([quantity(run) / run.tokens for run in runs])
    moved = np.array([step_bytes(run) for run in runs])
    columns = np.stack([np.full(len(runs), float(fixed)), moved]) / per_token
    start, slope = np.linalg.lstsq(columns.T, np.ones(len(runs)), rcond=None)[0]
    return float(start), float(slope)


def _sequence(run: MeasuredRun) -> GeneratedSequence:
    return GeneratedSequence(PROMPT_TOKENS, round(run.tokens))


def _printed_table(tables: ThesisTables, run: MeasuredRun) -> Prediction:
    seconds = float(tables.number(run.estimate_table, run.estimate_row, "TGT"))
    return Prediction(seconds, printed.energy_j(GPU.tdp_w, seconds), run.settings.tokens)


def _printed_formulas(run: MeasuredRun) -> Prediction:
    seconds = printed.total_generation_time_s(*printed_times(run.settings), run.tokens)
    return Prediction(seconds, printed.energy_j(GPU.tdp_w, seconds), run.tokens)


def _corrected(run: MeasuredRun) -> Prediction:
    seconds = sum(
        roofline_s(demand_of(run.settings.model, run.settings.precision), _sequence(run), GPU)
    )
    return Prediction(seconds, printed.energy_j(ABOVE_IDLE_W, seconds), run.tokens)


def _measured_rates(run: MeasuredRun, engine: str) -> Prediction:
    """The model of `codewatt estimate`: steps and power measured on an H200, scaled to the L40S."""
    precision, sequence = run.settings.precision, _sequence(run)
    demand, (kind, _) = demand_of(run.settings.model, precision), measured_kind(precision)
    context = sequence.prompt_tokens + sequence.new_tokens // 2
    step = gpu_step(engine, kind, 1, demand, context, GPU, DTYPE)
    share = "prefill_share_transformers" if engine == "transformers" else "prefill_share"
    if kind == "int4":
        share = "prefill_share_int4"
    flops = prefill_work(demand, [sequence]).flops
    prefill_s = max(flops / (GPU.flops_per_s[DTYPE] * assumed_value(share)), step.seconds)
    decode_s = (sequence.new_tokens - 1) * step.seconds
    idle = idle_w(GPU)
    joules = prefill_s * (power_w(GPU, assumed_value("prefill_utilisation")) - idle)
    joules += decode_s * (power_w(GPU, step.utilisation) - idle)
    return Prediction(prefill_s + decode_s, joules, run.tokens)


def _fitted(run: MeasuredRun, runs: Sequence[MeasuredRun], *, fixed: bool) -> Prediction:
    known = [one for one in runs if one.group in ("base", "Instruct") and one.size != run.size]
    moved = step_bytes(run)
    seconds, joules = (
        run.tokens * (start + slope * moved)
        for start, slope in (
            fit(known, lambda one: one.seconds, fixed),
            fit(known, lambda one: one.joules, fixed),
        )
    )
    return Prediction(seconds, joules, run.tokens)
