"""Computes printed figures of Buis 2024 again from other printed figures.

Energies, percentages and pass@kWh are here, and rows that two tables print. Statistics are in
`statistics_checks.py`.
"""

from collections.abc import Iterator
from fractions import Fraction

from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.buis_2024.published_runs import SIZES, read_runs, saving
from codewatt.published.printed_number import Interval
from codewatt.published.recomputed_figure import RecomputedFigure

#: Tables that print rows again, by kind: the first one has each row's first print.
_REPEATING = (
    ("5.24", "5.29", "5.34", "5.40"),
    ("5.20", "5.26", "5.31", "5.36"),
    ("5.25", "5.19", "5.30", "5.35"),
)
#: Claims about savings: claim -> (model, reference).
_SAVINGS = {
    "abstract_fine_tuning": ("14B-Instruct", "14B"),
    "conclusion_fine_tuning": ("14B-Instruct", "14B"),
    "abstract_awq": ("7B-Instruct-AWQ", "7B-Instruct"),
    "conclusion_awq": ("14B-Instruct-AWQ", "14B-Instruct"),
    "text_awq_14b": ("14B-Instruct-AWQ", "14B-Instruct"),
    "abstract_gptq_int8": ("14B-Instruct-GPTQ-Int8", "14B-Instruct"),
    "conclusion_gptq_int8": ("14B-Instruct-GPTQ-Int8", "14B-Instruct"),
    "text_int8_14b": ("14B-Instruct-GPTQ-Int8", "14B-Instruct"),
    "text_int8_1.5b": ("1.5B-Instruct-GPTQ-Int8", "1.5B-Instruct"),
    "abstract_gptq_int4": ("14B-Instruct-GPTQ-Int4", "14B-Instruct"),
    "conclusion_gptq_int4": ("14B-Instruct-GPTQ-Int4", "14B-Instruct"),
    "discussion_int4_14b": ("14B-Instruct-GPTQ-Int4", "14B-Instruct"),
    "text_int4_14b": ("14B-Instruct-GPTQ-Int4", "14B-Instruct"),
    "text_int4_1.5b": ("1.5B-Instruct-GPTQ-Int4", "1.5B-Instruct"),
}
_BATCH_MODELS = {
    "qwen": "Qwen-Coder2.5-7B-Instruct",
    "llama": "Meta Llama3.1-8B-Instruct",
    "deepseek": "DeepSeekCoder-V2-Lite-16B",
}
#: Bits of the weights that the estimates assume, as a share of the Instruct model's.
_SCALES = {"AWQ": Fraction(1, 2), "GPTQ-Int8": Fraction(1, 2), "GPTQ-Int4": Fraction(1, 4)}


def recompute_tables(tables: ThesisTables) -> Iterator[RecomputedFigure]:
    """Every figure of the tables of runs and estimates that follows from others."""
    yield from _pass_per_kwh(tables)
    yield from _repeated_rows(tables)
    yield from _savings(tables)
    yield from _batch_means(tables)
    yield from _estimate_scales(tables)
    yield from _head_sizes(tables)


def _pass_per_kwh(tables: ThesisTables) -> Iterator[RecomputedFigure]:
    for (table, _, row), cells in tables.rows("5.24", "5.29", "5.34", "5.40").items():
        derived = cells["Pass@1"].number.rounded / cells["Energy consumption"].number.rounded
        printed = cells["Pass@kWh"].number
        yield RecomputedFigure("pass_per_kwh", table, row, "Pass@kWh", printed, derived)


def _repeated_rows(tables: ThesisTables) -> Iterator[RecomputedFigure]:
    for group in _REPEATING:
        first: dict[tuple[str, str], Interval] = {}
        for name in group:
            for figure in tables.of(name):
                key = (figure.row, figure.column)
                if key in first:
                    yield RecomputedFigure(
                        "repeated_row", name, figure.row, figure.column, figure.number, first[key]
                    )
                first.setdefault(key, figure.number.rounded)


def _savings(tables: ThesisTables) -> Iterator[RecomputedFigure]:
    runs = read_runs(tables)
    for claim, (model, reference) in _SAVINGS.items():
        yield RecomputedFigure(
            "saving_in_text",
            tables.claims[claim].place,
            claim,
            "saving of energy, %",
            tables.claim(claim),
            saving(runs[model], runs[reference]) * 100,
        )
    llama, deepseek = (
        runs[f"{_BATCH_MODELS[name]}, Batch size 1"].energy_kwh.rounded
        for name in ("llama", "deepseek")
    )
    for claim in ("abstract", "text", "conclusion"):
        name = f"{claim}_llama_over_deepseek"
        yield RecomputedFigure(
            "saving_in_text",
            tables.claims[name].place,
            name,
            "additional energy, %",
            tables.claim(name),
            (llama / deepseek - 1) * 100,
        )


def _batch_means(tables: ThesisTables) -> Iterator[RecomputedFigure]:
    """Energies and pass@1 of the text that have more digits than table 5.18."""
    runs = read_runs(tables)
    for name, model in _BATCH_MODELS.items():
        energies = [run.energy_kwh.rounded for run in runs.values() if run.model == model]
        mean = sum(energies, Interval.exactly(0)) / len(energies)
        claim = f"mean_energy_{name}"
        yield RecomputedFigure(
            "mean_in_text", "4.2.2.1", claim, "mean energy, kWh", tables.claim(claim), mean
        )
    for name in ("deepseek", "llama"):
        claim, run = f"pass_{name}_8", runs[f"{_BATCH_MODELS[name]}, Batch size 8"]
        yield RecomputedFigure(
            "mean_in_text", "4.2.2.1", claim, "Pass@1", tables.claim(claim), run.pass_at_1.rounded
        )


def _estimate_scales(tables: ThesisTables) -> Iterator[RecomputedFigure]:
    """Compute, memory and times of a quantised model: a half or a quarter of the Instruct model's.

    Every term of equations 3.26 to 3.33 is proportional to compute or memory.
    """
    rows = tables.rows("5.30", "5.35")
    for suffix, scale in _SCALES.items():
        table = "5.30" if suffix == "AWQ" else "5.35"
        for size in SIZES:
            row = f"{size}-Instruct-{suffix}"
            for column, figure in rows[table, "", row].items():
                whole = rows[table, "", f"{size}-Instruct"][column].number.rounded
                yield RecomputedFigure(
                    "estimate_scale", table, row, column, figure.number, whole * scale
                )


def _head_sizes(tables: ThesisTables) -> Iterator[RecomputedFigure]:
    for (table, _, row), cells in tables.rows("4.1").items():
        derived = Interval.exactly(cells["d_model"].number.value / cells["n_heads"].number.value)
        printed = cells["d_head"].number
        yield RecomputedFigure("head_size", table, row, "d_head", printed, derived)
