"""Which cell of buis-2024.yaml measures each printed number of Buis 2024.

The thesis states neither engine nor prompt style nor token limit, so a cell may have any. Of the
estimates, those of one token and of the weights are compared with measurements; generation time
(TGT) and compute are estimated for numbers of tokens that no run has.
"""

from collections.abc import Iterator, Sequence

from codewatt.published.buis_2024.batch_findings import DEEPSEEK, LLAMA, QWEN_CODER
from codewatt.published.buis_2024.model.estimate_settings import (
    ESTIMATE_TABLES,
    settings_of,
    split_label,
)
from codewatt.published.buis_2024.model.study_models import REPOSITORIES
from codewatt.published.buis_2024.published_runs import TASKS
from codewatt.published.measured_cells import Place, WantedCell, place_of
from codewatt.published.measured_quantities import (
    NET_GPU_KWH,
    THROUGHPUT,
    WEIGHTS_GB,
    AnyQuantity,
    PassPerEnergy,
    accuracy,
    mean,
)
from codewatt.published.printed_figures import PrintedFigure
from codewatt.units import MS_PER_S, S_PER_MIN

RUN_TABLES = ("5.18", "5.24", "5.29", "5.34", "5.40")
_PASS = accuracy("base")
_RUN_QUANTITIES: dict[str, AnyQuantity] = {
    "Energy consumption": NET_GPU_KWH,
    "Latency": mean("duration_s", S_PER_MIN),
    "Throughput": THROUGHPUT,
    "Pass@1": _PASS,
    "Pass@kWh": PassPerEnergy(_PASS, NET_GPU_KWH),
}
_MODELS = {
    "Qwen2.5-Coder-7B-Instruct": "qwen-coder-7b",
    "Llama-3.1-8B-Instruct": "llama-8b",
    "DeepSeek-Coder-V2-Lite-Instruct": "deepseek-lite",
}
#: Label of table 5.18 -> model.
_BATCH_MODELS = dict(zip((QWEN_CODER, LLAMA, DEEPSEEK), _MODELS, strict=True))
#: Suffix of a label -> end of the model's id, and id of the precision.
_SUFFIXES = {
    "AWQ": ("awq", "awq"),
    "GPTQ-Int8": ("gptq8", "gptq8"),
    "GPTQ-Int4": ("gptq4", "gptq4"),
}


def wanted_cells(
    figures: Sequence[PrintedFigure],
) -> Iterator[tuple[Place, tuple[WantedCell, AnyQuantity]]]:
    """Cell and quantity of each printed number that a cell can measure."""
    for figure in figures:
        quantity = _quantity(figure)
        if quantity is not None:
            yield place_of(figure), (_cell(figure), quantity)


def _cell(figure: PrintedFigure) -> WantedCell:
    if figure.table == "5.18":
        return _wanted(_BATCH_MODELS[figure.section], int(figure.row.removeprefix("Batch size ")))
    if figure.table == "5.14":
        return _wanted(settings_of(figure.table, figure.row).model)
    size, kind, suffix = split_label(figure.row)
    name = f"Qwen2.5-{size}{kind}"
    if suffix:
        end, precision = _SUFFIXES[suffix]
        cell = (f"{REPOSITORIES[name][1]}-{suffix}", f"qwen-{size.lower()}-{end}", precision)
    else:
        end = "-it" if kind else ""
        cell = (REPOSITORIES[name][1], f"qwen-{size.lower()}{end}", "bf16")
    return WantedCell(*cell, benchmark="bigcodebench", tasks=TASKS)


def _wanted(model: str, batch_size: int = 1) -> WantedCell:
    """A cell of one of the three coding models."""
    ids = (REPOSITORIES[model][1], _MODELS[model], "bf16")
    return WantedCell(*ids, benchmark="bigcodebench", tasks=TASKS, batch_size=batch_size)


def _quantity(figure: PrintedFigure) -> AnyQuantity | None:
    if figure.table in RUN_TABLES:
        return _RUN_QUANTITIES[figure.column]
    if figure.table not in ESTIMATE_TABLES:
        return None
    # Times of tables 5.19 to 5.35 are labelled ms and are seconds (unit_of_estimated_times).
    seconds_per_unit = 1 / MS_PER_S if figure.table == "5.14" else 1.0
    quantities = {
        "TTFT": mean("ttft_s", seconds_per_unit),
        "TPOT": mean("tpot_s", seconds_per_unit),
        "VRAM": WEIGHTS_GB,
    }
    return quantities.get(figure.column)
