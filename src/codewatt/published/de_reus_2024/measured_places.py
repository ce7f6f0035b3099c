"""Which cell of de-reus-2024.yaml measures each printed number of de Reus et al. 2024."""

from collections.abc import Iterator, Sequence

from codewatt.published.de_reus_2024.paper_runs import MODELS
from codewatt.published.de_reus_2024.pruning_findings import REPOSITORIES
from codewatt.published.de_reus_2024.table_checks import config_of
from codewatt.published.measured_cells import Place, WantedCell, place_of
from codewatt.published.measured_quantities import (
    PERCENT,
    THROUGHPUT,
    AnyQuantity,
    accuracy,
    accuracy_difference,
    energy_spread_wh,
    energy_wh,
    mean,
    spread,
)
from codewatt.published.printed_figures import PrintedFigure

#: Precision in energy.csv -> id in the study file, for StarCoder2. Phi-2 was in float16.
PRECISIONS = {"none": "fp32", "4bit": "fp4", "8bit": "int8"}
_PHI_2 = "fp16"
_NAMES = {MODELS[name]: repository for name, repository in REPOSITORIES.items()}
_TESTS = {"HumanEval": "base", "HumanEval+": "plus"}
_TIMES = {"Avg. time": mean("duration_s"), "Std. deviation": spread("duration_s")}
#: CodeCarbon's total is the GPU, both packages and the DRAM of the node.
_PARTS = {"GPU": "gpu", "CPU": "cpu", "DRAM": "dram", "Total": "node"}


def wanted_cells(
    figures: Sequence[PrintedFigure],
) -> Iterator[tuple[Place, tuple[WantedCell, AnyQuantity]]]:
    """Cell and quantity of each printed number that a cell can measure."""
    for figure in figures:
        if figure.table == "readme":
            continue  # cache misses, which codewatt does not count
        model, limit, precision, layers = config_of(figure)
        original = _PHI_2 if model == "phi-2" else PRECISIONS["none"]
        cell = WantedCell(
            repository=_NAMES[model],
            model=model,
            precision=original if precision == "none" else PRECISIONS[precision],
            benchmark="humaneval-plus",
            tasks=164,
            layers=layers,
            token_limit=limit,
            engine="transformers",
            prompt="as_is",
            reference=original if figure.unit == "points" else None,
        )
        yield place_of(figure), (cell, _quantity(figure))


def _quantity(figure: PrintedFigure) -> AnyQuantity:
    column, _, kind = figure.column.partition(", ")
    if figure.unit == "points":
        return accuracy_difference(_TESTS[column])
    if column in _TESTS:
        return accuracy(_TESTS[column], PERCENT if figure.unit == "%" else 1.0)
    if figure.unit == "Wh":
        return (energy_spread_wh if kind else energy_wh)(_PARTS[column])
    return THROUGHPUT if column == "Throughput" else _TIMES[column]
