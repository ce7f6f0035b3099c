"""Computes printed numbers of de Reus et al. 2024 again: from runs, counts and other numbers."""

from collections.abc import Iterator
from fractions import Fraction

from codewatt.published.de_reus_2024.paper_runs import (
    LIMITS,
    MODELS,
    PRECISIONS,
    Figure,
    PaperRuns,
    cpu_wh,
    dram_wh,
    gpu_wh,
    runtime_s,
    total_wh,
)
from codewatt.published.de_reus_2024.printed_tables import Config, PaperTables
from codewatt.published.printed_figures import PrintedFigure
from codewatt.published.printed_number import Interval
from codewatt.published.recomputed_figure import RecomputedFigure

#: What each check computes a printed number from.
CHECKS = {
    "solved_tasks": "tables II, III, figure 7: solved tasks of 164, by the recorded verdicts",
    "difference": "table III, README: differences of printed pass@1",
    "runtime": "table IV: mean and standard deviation of the runs' times",
    "throughput": "table IV: 164 * token limit / printed time",
    "figure_energy": "figures 3 to 6: mean and standard deviation of the runs' energies",
    "sum_of_parts": "figures 3 to 6: DRAM + GPU + CPU",
    "pruned_energy": "figure 8: mean of the runs' energies",
    "cache_misses": "README: mean of the five printed increases",
    "number_in_text": "numbers of the running text, from the tables",
}
_PARTS = {"DRAM": dram_wh, "GPU": gpu_wh, "CPU": cpu_wh, "Total": total_wh}
_SD = ", std. deviation"
_ONE = Interval.exactly(1)
_KEYS = {"3b": "StarCoder2-3B", "7b": "StarCoder2-7B"}
_LABELS = {"4bit": "4-bit", "8bit": "8-bit"}


def recompute(tables: PaperTables, runs: PaperRuns) -> Iterator[RecomputedFigure]:
    """Every printed number that runs, counts or other printed numbers determine."""
    for figure in tables.figures:
        yield from _figure(figure, tables, runs)
    yield from _claims(tables)


def config_of(figure: PrintedFigure) -> Config:
    """The configuration of a number of tables II to IV, figures 3 to 8 or the thesis's table 9."""
    model, _, limit = figure.section.partition(", ")
    if figure.table in ("figure 7", "figure 8"):
        return MODELS[model], 128, "none", int(figure.row.split()[0])
    if figure.table in ("II", "thesis 9"):
        return MODELS[model], int(figure.row.split()[0]), "none", 0
    return MODELS[model], int(limit.split()[0]), PRECISIONS[figure.row], 0


def _figure(
    figure: PrintedFigure, tables: PaperTables, runs: PaperRuns
) -> Iterator[RecomputedFigure]:
    if figure.table == "readme":
        if figure.row.startswith("Avg"):
            found = [
                tables.number("readme", f"Run {number}", figure.column, figure.section).rounded
                for number in range(1, 6)
            ]
            yield _made("cache_misses", figure, sum(found, Interval.exactly(0)) / 5)
        return
    config = config_of(figure)
    if figure.table == "IV":
        yield _runtime(figure, tables, runs, config)
    elif figure.table == "figure 8":
        yield _made("pruned_energy", figure, _mean(runs, config, total_wh, "0.0005"))
    elif figure.unit == "Wh":
        yield from _figure_energy(figure, tables, runs, config)
    elif figure.unit == "points":
        yield _made("difference", figure, _difference(figure, tables))
    else:
        counts = tables.samples[config]
        solved = counts.plus_solved if "+" in figure.column else counts.base_solved
        share = Fraction(solved, counts.tasks) * (100 if figure.unit == "%" else 1)
        yield _made("solved_tasks", figure, Interval.exactly(share))


def _runtime(
    figure: PrintedFigure, tables: PaperTables, runs: PaperRuns, config: Config
) -> RecomputedFigure:
    if figure.column == "Throughput":
        time = tables.number("IV", figure.row, "Avg. time", figure.section).rounded
        tokens = int(tables.claim("tasks").value) * config[1]
        return _made("throughput", figure, Interval.exactly(tokens) / time)
    if figure.column == "Avg. time":
        return _made("runtime", figure, _mean(runs, config, runtime_s, "0.05"))
    return _made("runtime", figure, _sd(runs, config, runtime_s, "0.05"))


def _figure_energy(
    figure: PrintedFigure, tables: PaperTables, runs: PaperRuns, config: Config
) -> Iterator[RecomputedFigure]:
    part = _PARTS[figure.column.removesuffix(_SD)]
    if figure.column.endswith(_SD):
        yield _made("figure_energy", figure, _sd(runs, config, part, "0.0005"))
        return
    yield _made("figure_energy", figure, _mean(runs, config, part, "0.0005"))
    if figure.column == "Total":
        parts = [
            tables.number(figure.table, figure.row, name, figure.section).rounded
            for name in ("DRAM", "GPU", "CPU")
        ]
        yield _made("sum_of_parts", figure, sum(parts, Interval.exactly(0)))


def _mean(runs: PaperRuns, config: Config, figure: Figure, half: str) -> Interval:
    """Interval of the mean of numbers that are rounded to within `half`."""
    middle = Fraction(runs.mean(config, figure))
    return Interval(middle - Fraction(half), middle + Fraction(half))


def _sd(runs: PaperRuns, config: Config, figure: Figure, half: str) -> Interval:
    """Interval of the standard deviation of rounded numbers.

    A standard deviation is a norm divided by sqrt(n - 1). Errors of at most `half` change it by at
    most half * sqrt(n / (n - 1)).
    """
    n = len(runs.groups[config])
    margin = Fraction(float(Fraction(half)) * (n / (n - 1)) ** 0.5)
    middle = Fraction(runs.sd(config, figure))
    return Interval(middle - margin, middle + margin)


def _difference(figure: PrintedFigure, tables: PaperTables) -> Interval:
    model, _, limit = figure.section.partition(", ")
    column = figure.column.removesuffix(", difference")
    quantised = tables.number("III", figure.row, column, figure.section).rounded
    return quantised - tables.number("II", limit, column, model).rounded


def _made(check: str, figure: PrintedFigure, derived: Interval) -> RecomputedFigure:
    return RecomputedFigure(
        check, figure.table, figure.label, figure.column, figure.number, derived
    )


def _claims(tables: PaperTables) -> Iterator[RecomputedFigure]:
    """Numbers of the running text of paper and README that the tables determine."""
    for name, derived in derived_claims(tables).items():
        claim = tables.claims[name]
        yield RecomputedFigure(
            "number_in_text", claim.place, name, claim.unit, claim.number, derived
        )


def derived_claims(tables: PaperTables) -> dict[str, Interval]:
    """Claim -> all values that the printed tables allow."""

    def original(key: str, limit: str, column: str = "HumanEval+") -> Interval:
        return tables.number("II", f"{limit} tokens", column, _KEYS[key]).rounded

    def quantised(key: str, limit: str, precision: str) -> Interval:
        section = f"{_KEYS[key]}, {limit} tokens"
        return tables.number("III", _LABELS[precision], "HumanEval+", section).rounded

    def throughput(key: str, row: str) -> Interval:
        found = [
            tables.number("IV", row, "Throughput", f"{_KEYS[key]}, {limit} tokens").rounded
            for limit in LIMITS
        ]
        return Interval(min(one.low for one in found), max(one.high for one in found))

    derived: dict[str, Interval] = {}
    for name in tables.claims:
        kind, _, rest = name.partition("_")
        parts = rest.split("_")
        if kind == "pass":
            derived[name] = (quantised if len(parts) == 3 else original)(*parts)
        elif kind == "points":
            derived[name] = original(parts[0], parts[1]) - quantised(*parts)
        elif kind == "share":
            derived[name] = (_ONE - quantised(*parts) / original(parts[0], parts[1])) * 100
    for key, model in (("3b", "3b"), ("7b", "7b")):
        for suffix, column in (("humaneval", "HumanEval"), ("plus", "HumanEval+")):
            reported = tables.claim(f"starcoder2_{model}_{suffix}").rounded
            derived[f"readme_points_{key}_{suffix}"] = reported - original(key, "256", column)
        derived[f"readme_gain_{key}_256"] = original(key, "256") - original(key, "128")
        for row, end in (("Original", ""), ("4-bit", "_4bit"), ("8-bit", "_8bit")):
            derived[f"throughput_{key}{end}"] = throughput(key, row)
        derived[f"throughput_{key}_divisor"] = throughput(key, "Original") / throughput(
            key, "8-bit"
        )
    derived["readme_3b_over_7b"] = original("3b", "128") - original("7b", "128")
    for misses in ("l1_4bit", "l2_4bit", "l1_8bit", "l2_8bit"):
        level, _, precision = misses.partition("_")
        column = f"{_LABELS[precision]} {level.upper()} misses"
        derived[f"readme_{misses}"] = tables.number(
            "readme", "Avg. increase", column, "StarCoder2-7B, 128 tokens"
        ).rounded
    return derived | _increases(tables)


def share_of_total(tables: PaperTables, precision: str) -> dict[str, Interval]:
    """Increase of the printed energy as a share of the quantised model's total, by figure (%)."""
    return {
        table: (_ONE - _ONE / ratio) * 100 for table, ratio in _ratios(tables, precision).items()
    }


def _increases(tables: PaperTables) -> dict[str, Interval]:
    """The increases of the text, read as increases over the original model."""
    derived = {}
    for name, precision in (("4bit", "4-bit"), ("8bit", "8-bit")):
        found = [(ratio - 1) * 100 for ratio in _ratios(tables, precision).values()]
        derived[f"increase_{name}_low"] = min(found, key=lambda one: one.low)
        derived[f"increase_{name}_high"] = max(found, key=lambda one: one.high)
    derived["increase_at_least"] = min(
        (derived[f"increase_{name}_low"] for name in ("4bit", "8bit")), key=lambda one: one.low
    )
    return derived


def _ratios(tables: PaperTables, precision: str) -> dict[str, Interval]:
    """Printed total energy of a precision relative to the original model's, by figure."""
    found = {}
    for table in ("figure 3", "figure 4", "figure 5", "figure 6"):
        totals = {
            figure.row: figure.number.rounded
            for figure in tables.of(table)
            if figure.column == "Total"
        }
        found[table] = totals[precision] / totals["Original"]
    return found
