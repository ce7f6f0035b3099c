"""All printed tables of both texts, with the values computed again and the corrected ones."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.published.buis_2024.model.corrected_estimates import CorrectedEstimate
from codewatt.published.buis_2024.model.model_results import ModelResults
from codewatt.published.buis_2024.model.reproduced_estimates import DIFFERS
from codewatt.published.buis_2024.model.study_models import study_models
from codewatt.published.de_reus_2024.paper_runs import (
    PaperRuns,
    corrected_cpu_wh,
    corrected_wh,
)
from codewatt.published.de_reus_2024.printed_tables import PaperTables
from codewatt.published.de_reus_2024.table_checks import config_of
from codewatt.published.printed_number import PrintedNumber
from codewatt.published.recomputed_figure import RecomputedFigure
from codewatt.published.study_files import BUIS, DE_REUS
from codewatt.units import BYTES_PER_GB, FLOPS_PER_TFLOP, MS_PER_S

_MODELS_OF_4_1 = {
    "Qwen2,5-Coder": "Qwen2.5-Coder-7B-Instruct",
    "Meta-Llama-3.1": "Llama-3.1-8B-Instruct",
    "DeepSeek-V2-Lite": "DeepSeek-Coder-V2-Lite-Instruct",
}
_WRAPPED = {"CPU": corrected_cpu_wh, "Total": corrected_wh}
_SD = ", std. deviation"
#: Smallest relative difference by which a corrected value is shown beside a printed one.
_SHOWN = 0.005


@dataclass(frozen=True)
class PrintedValue:
    """One printed number of a table or figure, and what is right.

    Attributes:
        study: `DE_REUS` or `BUIS`.
        table: number, such as "5.24" or "figure 3".
        section, row, column, unit: labels as printed.
        printed: as printed.
        value: the printed number.
        computed: the value that follows from other published data; None if nothing determines it.
        follows: whether printed and computed value agree within rounding; None without a computed
            one.
        corrected: the right value, if the data allow a correction; else None.
        basis: what the computed or the corrected value rests on.
    """

    study: str
    table: str
    section: str
    row: str
    column: str
    unit: str
    printed: str
    value: float
    computed: float | None
    follows: bool | None
    corrected: float | None
    basis: str

    @property
    def difference(self) -> float | None:
        """|printed - computed| / |computed|; None without a computed value or if it is 0."""
        if self.computed is None or self.computed == 0:
            return None
        return abs(self.value - self.computed) / abs(self.computed)


def paper_values(
    tables: PaperTables, runs: PaperRuns, recomputed: Sequence[RecomputedFigure]
) -> Iterator[PrintedValue]:
    """The numbers of de Reus et al., their README and thesis.

    Corrected: energies of runs in which CPU counters wrapped unseen.
    """
    found = _by_place(recomputed)
    for figure in tables.figures:
        match = _match(found, figure)
        corrected = float(match.derived.middle) if match and not match.follows else None
        basis = match.check if match else ""
        energy = _WRAPPED.get(figure.column.removesuffix(_SD))
        if figure.unit == "Wh" and energy and figure.table != "figure 8":
            config = config_of(figure)
            if any(one.wraps and one.wraps.missed for one in runs.groups[config]):
                spread = figure.column.endswith(_SD)
                corrected = (runs.sd if spread else runs.mean)(config, energy)
                basis = "missed counter wraps added"
        yield _value(DE_REUS, figure, match, corrected, basis)


def thesis_values(
    results: ModelResults, recomputed: Sequence[RecomputedFigure]
) -> Iterator[PrintedValue]:
    """The numbers of Buis. Corrected: numbers that do not follow, estimates, table 5.1."""
    found = _by_place(recomputed)
    estimates = {(one.table, one.row): one for one in results.corrected}
    reproduced = {
        (one.figure.table, one.figure.row, one.figure.column): one for one in results.reproduced
    }
    for figure in results.tables.figures:
        again = reproduced.get((figure.table, figure.row, figure.column))
        if again is not None:
            right = _estimate(estimates[figure.table, figure.row], figure.column)
            yield PrintedValue(
                *(BUIS, figure.table, figure.section, figure.row, figure.column, figure.unit),
                figure.number.text,
                float(figure.number),
                float(again.computed),
                again.verdict != DIFFERS,
                right,
                f"equation {again.equation}"
                + ("" if right is None else "; corrected: exact bytes and FLOPs, data sheet rates"),
            )
            continue
        match = _match(found, figure)
        corrected, basis = None, match.check if match else ""
        if figure.table == "5.1":
            domain = results.tables.domains[figure.row]
            corrected = 100 * domain.tasks / domain.all_tasks
            basis = "BigCodeBench's own list of domains"
        elif (figure.table, figure.column) == ("4.1", "n_params"):
            name = _MODELS_OF_4_1[figure.row]
            corrected = float(study_models()[name].architecture.parameters)
            basis = "parameters of the model as transformers builds it"
        elif match is not None and not match.follows:
            corrected = float(match.derived.middle)
        yield _value(BUIS, figure, match, corrected, basis)


def shown_correction(value: PrintedValue) -> str:
    """The corrected value as text, where it differs from the printed one; else ""."""
    if value.corrected is None:
        return ""
    rounded = PrintedNumber.parse(value.printed).rounded
    # A number that does not follow is corrected however small the difference is.
    near = value.follows is not False and math.isclose(value.corrected, value.value, rel_tol=_SHOWN)
    if near or rounded.contains(value.corrected):
        return ""
    return text_like(value.printed, value.corrected)


def text_like(printed: str, number: float) -> str:
    """A number in the form of a printed one: as many decimals, at least two significant digits.

    Args:
        printed: such as "36.00", "64.8%", "7B" (billions) or "3.58e12".
        number: in the unit of the printed number, without a factor of billions.
    """
    if printed.endswith("B"):
        return f"{number / 1e9:.3g}B"
    if "e" in printed:
        return f"{number:.3g}".replace("e+", "e")
    unit = "%" if printed.endswith("%") else ""
    decimals = len(printed.removesuffix("%").partition(".")[2])
    places = decimals
    if 0 < abs(number) < 1:
        places = max(decimals, 1 - math.floor(math.log10(abs(number))))
    return f"{number:.{places}f}{unit}"


def number_text(number: float) -> str:
    """A number with four significant digits, large ones with separators."""
    if number != 0 and (abs(number) < 1e-3 or abs(number) >= 1e7):
        return f"{number:.4g}"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def _estimate(right: CorrectedEstimate, column: str) -> float | None:
    """The corrected value in the unit in which the column is printed, not in its label's.

    TTFT and TPOT of tables 5.19 to 5.35 are printed in seconds.
    """
    first = right.table == "5.14"
    compute = 1.0 if first else FLOPS_PER_TFLOP
    time = MS_PER_S if first else 1.0
    values = {
        "Prefill compute": right.prefill_flops / compute,
        "Decode compute": right.decode_flops / (BYTES_PER_GB if first else FLOPS_PER_TFLOP),
        "TTFT": right.ttft_s * time,
        "TPOT": right.tpot_s * time,
        "TGT": right.tgt_s,
        "VRAM": right.vram_bytes / BYTES_PER_GB,
    }
    return values.get(column)


def _by_place(
    recomputed: Sequence[RecomputedFigure],
) -> Mapping[tuple[str, str, str], RecomputedFigure]:
    """(table, row, column) -> computed number; one that does not follow comes first."""
    found: dict[tuple[str, str, str], RecomputedFigure] = {}
    for one in recomputed:
        key = (one.table, one.row, one.column)
        if key not in found or (found[key].follows and not one.follows):
            found[key] = one
    return found


def _match(
    found: Mapping[tuple[str, str, str], RecomputedFigure], figure: Any
) -> RecomputedFigure | None:
    """The computed number of a printed one; some checks name rows without their section."""
    keys = (
        (figure.table, figure.label, figure.column),
        (figure.table, figure.row, figure.column),
    )
    return next((found[key] for key in keys if key in found), None)


def _value(
    study: str,
    figure: Any,
    match: RecomputedFigure | None,
    corrected: float | None,
    basis: str,
) -> PrintedValue:
    return PrintedValue(
        *(study, figure.table, figure.section, figure.row, figure.column, figure.unit),
        figure.number.text,
        float(figure.number),
        None if match is None else float(match.derived.middle),
        None if match is None else match.follows,
        corrected,
        basis,
    )
