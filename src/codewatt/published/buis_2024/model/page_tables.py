"""The tables of the page on the analytical model of Buis 2024, in Markdown."""

from collections import Counter
from collections.abc import Iterable, Sequence

from codewatt.published.buis_2024.model.corrected_estimates import correct_estimate
from codewatt.published.buis_2024.model.estimate_settings import ESTIMATE_TABLES
from codewatt.published.buis_2024.model.formula_row import MISSING
from codewatt.published.buis_2024.model.model_results import ModelResults
from codewatt.published.buis_2024.model.model_sizes import kv_heads
from codewatt.published.buis_2024.model.prediction_scores import ALL, QUANTITIES, RELATIVE
from codewatt.published.buis_2024.model.predictions import predictors
from codewatt.published.buis_2024.model.reproduced_estimates import (
    DIFFERS,
    ROUNDED_TWICE,
    VERDICTS,
)
from codewatt.published.buis_2024.model.study_models import study_models
from codewatt.units import BYTES_PER_GB, FLOPS_PER_TFLOP, J_PER_KJ, MS_PER_S

_DETAILED = ("Qwen2.5-7B", "DeepSeek-Coder-V2-Lite-Instruct", "StarCoder2-3B", "Phi-2")
#: Row of table 4.1 -> model.
_CHARACTERISTICS = {
    "Qwen2,5-Coder": "Qwen2.5-Coder-7B-Instruct",
    "Meta-Llama-3.1": "Llama-3.1-8B-Instruct",
    "DeepSeek-V2-Lite": "DeepSeek-Coder-V2-Lite-Instruct",
}
#: The same rows -> listing and name of their configuration in the appendix.
_LISTINGS = {
    "Qwen2,5-Coder": ("listing 5.1", "Qwen2.5-7B"),
    "Meta-Llama-3.1": ("listing 5.2", "Llama-3.1-8B"),
    "DeepSeek-V2-Lite": ("listing 5.3", "DeepseekV2-Lite-16B"),
}


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; bars in cells are escaped."""
    lines = [list(head), ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines
    )


def formula_table(results: ModelResults) -> str:
    """The checklist of all formulas."""
    return markdown_table(
        ("equation", "quantity", "as printed", "verdict", "as it is", "consequence", "in codewatt"),
        (
            (
                row.number,
                row.what,
                row.printed if row.verdict == MISSING else f"`{row.printed}`",
                row.verdict,
                row.right or "-",
                f"{row.consequence} {row.text}".strip(),
                f"`{row.function}`" + (f"; right: `{row.where}`" if row.where else ""),
            )
            for row in results.formulas
        ),
    )


def verdict_table(results: ModelResults) -> str:
    """How many printed estimates follow, by table."""
    counts = Counter((row.figure.table, row.verdict) for row in results.reproduced)
    rows = [
        [table, *(str(counts[table, verdict]) for verdict in VERDICTS)] for table in ESTIMATE_TABLES
    ]
    totals = Counter(row.verdict for row in results.reproduced)
    rows.append(["all", *(str(totals[verdict]) for verdict in VERDICTS)])
    return markdown_table(("table", *VERDICTS), rows)


def deviating_table(results: ModelResults) -> str:
    """Printed estimates that do not follow, or by another rounding only."""
    return markdown_table(
        ("table", "row", "column", "printed", "equation", "computed", "verdict"),
        (
            (
                row.figure.table,
                row.figure.row,
                row.figure.column,
                row.figure.number.text,
                row.equation,
                f"{row.computed:.6g}",
                row.verdict,
            )
            for row in results.reproduced
            if row.verdict in (ROUNDED_TWICE, DIFFERS)
        ),
    )


def parameter_table(results: ModelResults) -> str:
    """Parameters of every model."""
    totals = {row.model: row for row in results.parts if row.part == "total"}
    rows = []
    for name, model in study_models().items():
        total = totals[name]
        printed, meant, published = total.printed or 0, total.meant or 0, model.known.parameters
        rows.append(
            (
                *(name, f"{total.true:,}"),
                f"{published:,}" if published is not None else "-",
                f"{model.architecture.active_parameters:,}",
                f"{printed:.3g} ({printed / total.true:.3g} times)",
                f"{meant:,.0f} ({meant / total.true:.3f} times)",
            )
        )
    return markdown_table(
        (
            *("model", "parameters", "published", "used by a token"),
            *("equation 3.19 or 3.22", "without its misprint"),
        ),
        rows,
    )


def part_table(results: ModelResults) -> str:
    """Parameters by part of four models."""
    rows = []
    for row in results.parts:
        if row.model in _DETAILED:
            printed = "-" if row.printed is None else f"{row.printed:,.0f}"
            if row.printed is not None and row.printed > 1e13:
                printed = f"{row.printed:.3g}"
            meant = "-" if row.meant is None else f"{row.meant:,.0f}"
            rows.append((row.model, row.part, row.equation or "-", printed, meant, f"{row.true:,}"))
    return markdown_table(
        ("model", "part", "equation", "printed", "without its misprint", "right"), rows
    )


def size_table(results: ModelResults) -> str:
    """KV cache and VRAM of every model."""
    return markdown_table(
        (
            *("model", "KV cache of a token: 3.23", "layers and heads, none shared", "right"),
            *("VRAM: 3.26", "right"),
        ),
        (
            (
                size.model,
                f"{size.cache_printed:.2e} B",
                f"{size.cache_meant:,} B",
                f"{size.cache_true:,} B",
                f"{size.vram_printed / BYTES_PER_GB:.1e} GB",
                f"{size.vram_true / BYTES_PER_GB:.2f} GB",
            )
            for size in results.sizes
        ),
    )


def characteristics_table(results: ModelResults) -> str:
    """Table 4.1, printed and corrected."""
    rows = []
    for (_, _, row), cells in results.tables.rows("4.1").items():
        model = study_models()[_CHARACTERISTICS[row]]
        context = results.tables.number(*_LISTINGS[row], "max_position_embeddings")
        latent = model.architecture.model_type == "deepseek_v2"
        config = model.known.config
        key = config["qk_nope_head_dim"] + config["qk_rope_head_dim"] if latent else None
        rows.append(
            (
                *(row, cells["n_params"].number.text, f"{model.architecture.parameters:,}"),
                *(cells["n_layers"].number.text, cells["d_model"].number.text),
                *(cells["n_heads"].number.text, "latent" if latent else str(kv_heads(model))),
                cells["d_head"].number.text + (f" (keys {key})" if key else ""),
                *(cells["n_vocab"].number.text, cells["n_ctx"].number.text),
                f"{int(context.value):,}",
            )
        )
    return markdown_table(
        (
            *("model", "n_params printed", "right", "n_layers", "d_model", "n_heads"),
            *("key-value heads (not printed)", "d_head", "n_vocab", "n_ctx printed", "listing"),
        ),
        rows,
    )


def estimate_table(results: ModelResults) -> str:
    """Tables 5.14 to 5.35, printed and corrected; rows that a table repeats are left out.

    Table 5.19 is repeated by table 5.25, which has more digits.
    """
    rows, seen = [], set()
    shown = [table for table in ESTIMATE_TABLES if table != "5.19"]
    for (table, _, row), cells in results.tables.rows(*shown).items():
        key = (table == "5.14", row.removesuffix("-Instruct"))
        if key in seen:
            continue
        seen.add(key)
        right = correct_estimate(table, row)
        tera = table != "5.14"
        prefill = cells["Prefill compute"].number.text
        printed_prefill = float(prefill) if tera else float(prefill) / FLOPS_PER_TFLOP
        scale = MS_PER_S if tera else 1.0
        memory = cells["Decode memory" if tera else "Decode compute"].number
        moved = float(memory) * (1e3 if tera else 1.0)
        rows.append(
            (
                *(table, row),
                f"{printed_prefill:.2f} → {right.prefill_flops / FLOPS_PER_TFLOP:.2f}",
                f"{moved:.3g} → {right.step_bytes / BYTES_PER_GB:.2f}",
                f"{float(cells['TTFT'].number) * scale:.3g} → {right.ttft_s * MS_PER_S:.2f}",
                f"{float(cells['TPOT'].number) * scale:.3g} → {right.tpot_s * MS_PER_S:.2f}",
                f"{cells['TGT'].number.text} → {right.tgt_s:.2f}",
                f"{cells['VRAM'].number.text} → {right.vram_bytes / BYTES_PER_GB:.2f}",
            )
        )
    return markdown_table(
        (
            *("table", "row", "prefill, TFLOP", "decode step, GB", "TTFT, ms", "TPOT, ms"),
            *("TGT, s", "VRAM, GB"),
        ),
        rows,
    )


def model_estimate_table(results: ModelResults) -> str:
    """Costs of every model; models of the same configuration share a row."""
    rows: dict[int, tuple[list[str], list[str]]] = {}
    for one in results.estimates:
        key = id(study_models()[one.model].known.config)
        pairs = (
            (
                f"{costs.prefill_flops / FLOPS_PER_TFLOP:.2f}",
                f"{costs.decode_flops / 1e9:.2f}",
                f"{costs.step_bytes / BYTES_PER_GB:.2f}",
                f"{costs.ttft_s * MS_PER_S:.1f}",
                f"{costs.tpot_s * MS_PER_S:.2f}",
                f"{costs.tgt_s:.2f}",
                f"{costs.vram_bytes / BYTES_PER_GB:.2f}",
                f"{costs.energy_j / J_PER_KJ:.2f}",
            )
            for costs in (one.printed, one.right)
        )
        cells = [f"{printed} → {right}" for printed, right in zip(*pairs, strict=True)]
        rows.setdefault(key, ([], cells))[0].append(one.model)
    return markdown_table(
        (
            *("model", "prefill, TFLOP", "decode step, GFLOP", "decode step, GB", "TTFT, ms"),
            *("TPOT, ms", "TGT, s", "VRAM, GB", "energy at 350 W, kJ"),
        ),
        ((", ".join(models), *cells) for models, cells in rows.values()),
    )


def predictor_table(results: ModelResults) -> str:
    """What each predictor is."""
    return markdown_table(
        ("predictor", "what"), ((one.name, one.what) for one in predictors(results.tables))
    )


def score_table(results: ModelResults, quantity: str) -> str:
    """Scores of all predictors: ratio, error and rank correlation of the groups."""
    groups = list(dict.fromkeys(one.group for one in results.scores))
    rows = []
    for predictor in predictors(results.tables):
        scores = [results.score(predictor.name, quantity, group) for group in groups]
        cells = [f"{one.ratio:.2f} ({100 * one.error:.0f} %)" for one in scores]
        ranks = {one.group: one.rank for one in scores}
        rows.append(
            [
                predictor.name,
                *cells,
                *(f"{ranks[group]:.2f}" for group in (ALL, RELATIVE)),
            ]
        )
    runs = {one.group: one.runs for one in results.scores}
    heads = [f"{group} (n = {runs[group]})" for group in groups]
    return markdown_table(("predictor", *heads, f"rank, {ALL}", f"rank, {RELATIVE}"), rows)


def run_table(results: ModelResults) -> str:
    """Measured and predicted time and energy of every run."""
    names = [one.name for one in predictors(results.tables)]
    rows = []
    runs = {one.run.label: one.run for one in results.predicted}
    guesses = {(one.run.label, one.predictor): one.prediction for one in results.predicted}
    for label, run in runs.items():
        cells = [label, f"{run.tokens:.0f}"]
        for quantity in QUANTITIES:
            attribute = "seconds" if quantity == "time" else "joules"
            cells.append(f"{getattr(run, attribute):.3g}")
            cells += [f"{getattr(guesses[label, name], attribute):.3g}" for name in names]
        rows.append(cells)
    heads = [f"{unit}, {name}" for unit in ("s", "J") for name in ("measured", *names)]
    return markdown_table(("run", "tokens", *heads), rows)
