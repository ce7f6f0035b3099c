"""Changes of energy by quantisation: published, corrected, and codewatt's own, in one form."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scipy.stats import t

from codewatt.published.buis_2024.published_runs import QUANTISED, SIZES
from codewatt.published.buis_2024.published_runs import Run as ThesisRun
from codewatt.published.de_reus_2024.paper_runs import (
    Figure,
    PaperRuns,
    corrected_wh,
    gpu_wh,
    original,
    quantised,
)
from codewatt.published.page.own_measurements import OwnChange, OwnEnergy
from codewatt.published.study_files import BUIS, DE_REUS

OWN = "codewatt"
#: References: the same model, engine and batch size with these weights.
FLOAT32, BFLOAT16, SIXTEEN_BITS = "float32", "bfloat16", "16 bits"
GPU, NODE = "GPU", "GPU, both CPU packages, DRAM"
_CONFIDENCE = 0.95
#: Energies (J) of the same work on two boards, docs/archive/h200-sessions.md. Limits of a change
#: between two boards are wider by their ratio.
BOARD_JOULES = (4159, 4649)


@dataclass(frozen=True)
class EnergyChange:
    """The change of energy of one quantised model against the same model in floating point.

    Attributes:
        study: who measured it.
        source: table of the text, or page of docs/archive.
        gpu: name of the GPU.
        engine: name of the engine; "not stated".
        model: name of the model.
        batch_size: sequences completed together; None if not stated.
        method: quantisation.
        reference: dtype of the reference.
        boundary: components whose energy is counted.
        quantity: "per token, decode", "per token" or "per task".
        change_percent: quantised / reference - 1 (%).
        low, high: limits of the change (%), see `uncertainty`; `high` is infinite if the interval
            of the reference contains 0.
        uncertainty: what the limits are.
    """

    study: str
    source: str
    gpu: str
    engine: str
    model: str
    batch_size: int | None
    method: str
    reference: str
    boundary: str
    quantity: str
    change_percent: float
    low: float
    high: float
    uncertainty: str

    @property
    def sign_shown(self) -> bool:
        """Whether the limits exclude a change of zero."""
        return self.low > 0 or self.high < 0


def paper_changes(runs: PaperRuns) -> Iterator[EnergyChange]:
    """Changes per run of de Reus et al., all of its four configurations, for two boundaries.

    Runs of a token limit have the same number of tokens, so that the change per token is the same.
    """
    labels = {"4bit": "bitsandbytes 4-bit", "8bit": "LLM.int8()"}
    boundaries: dict[str, Figure] = {NODE: corrected_wh, GPU: gpu_wh}
    for boundary, energy in boundaries.items():
        for precision, label in labels.items():
            for config in quantised(precision):
                low, high = _limits(
                    _mean_interval([energy(one) for one in runs.groups[config]]),
                    _mean_interval([energy(one) for one in runs.groups[original(config)]]),
                )
                size, limit = config[0].removeprefix("starcoder2-").upper(), config[1]
                figure = {"3B": {128: 3, 256: 4}, "7B": {128: 5, 256: 6}}[size][limit]
                yield EnergyChange(
                    DE_REUS,
                    f"figure {figure}",
                    "A100",
                    "transformers",
                    f"StarCoder2-{size}",
                    1,
                    label,
                    FLOAT32,
                    boundary,
                    "per token",
                    runs.change(config, energy),
                    low,
                    high,
                    "95 % t intervals of both means, five runs each, opposite ends",
                )


def thesis_changes(runs: Mapping[str, ThesisRun]) -> Iterator[EnergyChange]:
    """Changes per new token of the 15 quantised models of Buis, against the Instruct model."""
    for size in SIZES:
        reference = runs[f"{size}-Instruct"]
        for suffix, table in QUANTISED.items():
            run = runs[f"{size}-Instruct-{suffix}"]
            allowed = (run.j_per_token / reference.j_per_token - 1) * 100
            yield EnergyChange(
                BUIS,
                f"tables 5.29 and {table}",
                "L40S",
                "not stated",
                f"Qwen2.5-{size}",
                None,
                {"AWQ": "AWQ int4"}.get(suffix, suffix.replace("-Int", " int")),
                SIXTEEN_BITS,
                GPU,
                "per token",
                100 * (_joules_per_token(run) / _joules_per_token(reference) - 1),
                float(allowed.low),
                float(allowed.high),
                "rounding of the printed numbers; one run of each model",
            )


def own_changes(
    energies: Sequence[OwnEnergy], changes: Sequence[OwnChange]
) -> Iterator[EnergyChange]:
    """Changes of codewatt's own measurements: against bfloat16, and float32 where measured."""
    for reference, dtype in (("bf16", BFLOAT16), ("fp32", FLOAT32)):
        known: dict[tuple[str, int, str, int], OwnEnergy] = {}
        for one in energies:
            if one.setting.method == reference:
                known.setdefault(_place(one), one)  # the first, where a twin follows
        for one in energies:
            if one.setting.method not in ("bf16", "fp32") and _place(one) in known:
                yield _own_change(one, known[_place(one)], dtype)
    for stated in changes:
        setting = stated.setting
        yield EnergyChange(
            OWN,
            setting.page,
            setting.gpu,
            setting.engine,
            setting.model,
            setting.batch_size,
            setting.method,
            BFLOAT16,
            GPU,
            "per token",
            stated.change_percent,
            stated.low,
            stated.high,
            "95 % interval over sessions",
        )


def _own_change(one: OwnEnergy, reference: OwnEnergy, dtype: str) -> EnergyChange:
    low, high = _limits((one.low, one.high), (reference.low, reference.high))
    uncertainty = "95 % intervals of both means, opposite ends"
    if one.board != reference.board:
        ratio = BOARD_JOULES[1] / BOARD_JOULES[0]
        low, high = (
            100 * ((1 + end / 100) * by - 1) for end, by in ((low, 1 / ratio), (high, ratio))
        )
        uncertainty += ", and the difference of two boards"
    setting = one.setting
    change = EnergyChange(
        OWN,
        setting.page,
        setting.gpu,
        setting.engine,
        setting.model,
        setting.batch_size,
        setting.method,
        dtype,
        GPU,
        "per token, decode",
        100 * (one.j_per_token / reference.j_per_token - 1),
        low,
        high,
        uncertainty,
    )
    return change if setting.scope == "decode" else replace(change, quantity="per token")


def _place(one: OwnEnergy) -> tuple[str, int, str, int]:
    """Energies of one place were measured together: page, table, engine and batch size."""
    return one.setting.page, one.table, one.setting.engine, one.setting.batch_size


def _limits(own: tuple[float, float], reference: tuple[float, float]) -> tuple[float, float]:
    """Limits of the change (%) that two intervals of energy allow."""
    low = 100 * (own[0] / reference[1] - 1)
    high = 100 * (own[1] / reference[0] - 1) if reference[0] > 0 else math.inf
    return low, high


def _mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's t interval of a mean."""
    n, mean = len(values), math.fsum(values) / len(values)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(t.ppf((1 + _CONFIDENCE) / 2, n - 1)) * sd / math.sqrt(n)
    return mean - half, mean + half


def _joules_per_token(run: ThesisRun) -> float:
    """Energy per new token, of the printed numbers (up to a factor that all runs share)."""
    tokens = run.latency_min.value * run.throughput.value
    return float(run.energy_kwh.value / tokens)
