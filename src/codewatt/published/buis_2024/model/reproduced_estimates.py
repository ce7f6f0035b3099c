"""Tables 5.14, 5.19, 5.25, 5.30 and 5.35 computed from the printed formulas, number by number."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from codewatt.published.buis_2024.model import printed_costs as printed
from codewatt.published.buis_2024.model.estimate_settings import (
    ESTIMATE_TABLES,
    EstimateSettings,
    settings_of,
)
from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.printed_figures import PrintedFigure
from codewatt.published.printed_number import Interval
from codewatt.units import BYTES_PER_GB, FLOPS_PER_TFLOP, MS_PER_S

FOLLOWS = "follows"
ROUNDED_TWICE = "follows if rounded twice"
WITHOUT_COMPUTE = "follows without the decode compute"
DIFFERS = "does not follow"
VERDICTS = (FOLLOWS, ROUNDED_TWICE, WITHOUT_COMPUTE, DIFFERS)

_GIGA = 1e9
#: Factor of table 5.14 on two bytes per parameter, in no formula.
_VRAM_FACTOR = 1.2
#: What floating point may add to the interval of a printed number.
_SLACK = Fraction(1, 10**12)


@dataclass(frozen=True)
class ReproducedEstimate:
    """A printed estimate beside what its formula gives.

    Attributes:
        figure: the printed number.
        equation: number of the equation.
        computed: what the equation gives, in the unit of the column.
        verdict: one of `VERDICTS`.
    """

    figure: PrintedFigure
    equation: str
    computed: float
    verdict: str


def reproduce_estimates(tables: ThesisTables) -> Iterator[ReproducedEstimate]:
    """Every number of the five tables, in their order."""
    for (table, _, row), cells in tables.rows(*ESTIMATE_TABLES).items():
        settings = settings_of(table, row)
        computed, without = _columns(table, settings), _total_without_compute(settings)
        for column, figure in cells.items():
            equation, value = computed[column]
            verdict = _verdict(figure, value)
            if verdict == DIFFERS and column == "TGT" and _holds(figure, without):
                verdict = WITHOUT_COMPUTE
            yield ReproducedEstimate(figure, equation, value, verdict)


def tokens_that_fit(tables: ThesisTables, table: str) -> Interval:
    """Numbers of new tokens that equation 3.33 needs for all rows of a table: (TGT - TTFT) / TPOT.

    Only the printed numbers and their rounding are used. Low > high: no number fits all rows.
    """
    low, high = Fraction(0), Fraction(10**9)
    unit = Fraction(1, 1000) if table == "5.14" else Fraction(1)
    for cells in tables.rows(table).values():
        tpot = cells["TPOT"].number.rounded * unit
        if tpot.low > 0:
            tokens = (cells["TGT"].number.rounded - cells["TTFT"].number.rounded * unit) / tpot
            low, high = max(low, tokens.low), min(high, tokens.high)
    return Interval(low, high)


def printed_times(settings: EstimateSettings) -> tuple[float, float]:
    """TTFT and TPOT (s) by equations 3.27 to 3.32, times the factor on compute and memory."""
    n, share = settings.n_params, settings.share
    ttft_s = printed.time_to_first_token_s(
        share * printed.prefill_compute(n, 1, settings.tokens),
        settings.prefill_rate,
        share * printed.prefill_memory(n),
        settings.memory_rate,
    )
    tpot_s = printed.time_per_output_token_s(
        share * printed.decode_compute(n, 1),
        settings.decode_rate,
        share * printed.decode_memory(n),
        settings.memory_rate,
    )
    return ttft_s, tpot_s


def _columns(table: str, settings: EstimateSettings) -> dict[str, tuple[str, float]]:
    """Column -> (equation, value in the unit of the column)."""
    n, share = settings.n_params, settings.share
    prefill = share * printed.prefill_compute(n, 1, settings.tokens)
    decode = share * printed.decode_compute(n, 1)
    memory = (share * printed.prefill_memory(n), share * printed.decode_memory(n))
    ttft_s, tpot_s = printed_times(settings)
    tgt_s = printed.total_generation_time_s(ttft_s, tpot_s, settings.tokens)
    # The cache is left out: no table contains one.
    vram = printed.vram_bytes(n, 2 * share, 0, 2) / BYTES_PER_GB
    if table == "5.14":
        return {
            "Prefill compute": ("3.27", prefill),
            "Decode compute": ("3.29", decode / _GIGA),
            "Prefill and decode memory": ("3.28 + 3.30", sum(memory) / BYTES_PER_GB),
            "TTFT": ("3.31", ttft_s * MS_PER_S),
            "TPOT": ("3.32", tpot_s * MS_PER_S),
            "TGT": ("3.33", tgt_s),
            "VRAM": ("3.26, without a cache, times 1.2", _VRAM_FACTOR * vram),
        }
    return {
        "Prefill compute": ("3.27", prefill / FLOPS_PER_TFLOP),
        "Decode compute": ("3.29", decode / FLOPS_PER_TFLOP),
        "Prefill memory": ("3.28", memory[0] / FLOPS_PER_TFLOP),
        "Decode memory": ("3.30", memory[1] / FLOPS_PER_TFLOP),
        "TTFT": ("3.31", ttft_s),
        "TPOT": ("3.32", tpot_s),
        "TGT": ("3.33", tgt_s),
        "VRAM": ("3.26, without a cache", vram),
    }


def _total_without_compute(settings: EstimateSettings) -> float:
    """TGT (s) if TPOT has the time of the memory only."""
    ttft_s, _ = printed_times(settings)
    memory_s = settings.share * printed.decode_memory(settings.n_params) / settings.memory_rate
    return printed.total_generation_time_s(ttft_s, memory_s, settings.tokens)


def _verdict(figure: PrintedFigure, value: float) -> str:
    if _holds(figure, value):
        return FOLLOWS
    decimals = len(figure.number.text.partition(".")[2])
    once = _round(Decimal(repr(value)), decimals + 1)
    return ROUNDED_TWICE if _round(once, decimals) == Decimal(figure.number.text) else DIFFERS


def _round(value: Decimal, decimals: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)


def _holds(figure: PrintedFigure, value: float) -> bool:
    rounded = figure.number.rounded
    slack = _SLACK * max(abs(rounded.high), Fraction(1))
    return rounded.low - slack <= Fraction(value) <= rounded.high + slack
