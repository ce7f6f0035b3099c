"""The checklist of equations 3.23 to 3.37 of Buis 2024: memory, time, energy, accuracy."""

from collections.abc import Iterator, Sequence

from codewatt.published.buis_2024.model import printed_costs as c
from codewatt.published.buis_2024.model.corrected_estimates import correct_estimate
from codewatt.published.buis_2024.model.figure_data import CACHE_TOKENS
from codewatt.published.buis_2024.model.formula_row import (
    BYTES,
    COSTS,
    COUNTS,
    DEFINITIONS,
    PARTLY,
    RIGHT,
    ROOFLINE,
    WRONG,
    FormulaRow,
)
from codewatt.published.buis_2024.model.measured_runs import OTHER, measured_runs
from codewatt.published.buis_2024.model.model_sizes import size_of
from codewatt.published.buis_2024.model.reproduced_estimates import tokens_that_fit
from codewatt.published.buis_2024.model.study_models import study_models
from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.units import BYTES_PER_GB, BYTES_PER_GIB, FLOPS_PER_TFLOP, MS_PER_S

_QWEN = "Qwen2.5-Coder-7B-Instruct"


def cost_formulas(tables: ThesisTables) -> Iterator[FormulaRow]:
    """Equations 3.23 to 3.37."""
    yield from _memory()
    yield from _work()
    yield from _times(tables)
    yield from _scores()


def _memory() -> Iterator[FormulaRow]:
    model = study_models()[_QWEN]
    size, x = size_of(model), model.variables
    yield FormulaRow(
        *("3.23", "KV cache of a token (bytes)", "2 n_params (h_heads d_model) p"),
        *(
            f"{COSTS}: kv_bytes_per_token",
            WRONG,
            "2 l h_kv d_head p; latent attention: l (r + d_rope) p",
        ),
        COUNTS,
        f"{_QWEN}, p = 2: {size.cache_printed:.2e} instead of {size.cache_true:,}. With layers for "
        f"n_params and d_head for d_model: {size.cache_meant:,}, still 7 times too large without "
        "shared heads.",
    )
    slope = c.kv_bytes(1, 1, 7e9, x.heads, x.model_size, 2) / BYTES_PER_GB
    grouped = CACHE_TOKENS * size.cache_true / BYTES_PER_GB
    whole = 5000 * size.cache_meant / BYTES_PER_GIB
    yield FormulaRow(
        *("3.24", "KV cache (bytes)", "2 b s n_params h_heads d_model p"),
        *(f"{COSTS}: kv_bytes", WRONG, "b s times the right 3.23", COUNTS),
        "Section 4.1.2 states 1.875 GB for each sequence of a batch, and 0.67 GB for 10 heads "
        f"(0.67 / 10 x 28 = 1.88). The equation gives {slope:,.0f} GB for one token, so figure 4.4 "
        f"was not made with it. The right one gives {grouped:.3f} GB for {CACHE_TOKENS:,} tokens; "
        f"without shared heads 5,000 tokens give {whole:.3f} GiB. The text does not say which.",
    )
    yield FormulaRow(
        *("3.25", "KV cache with shared heads (bytes)", "2 b s n_params (h_heads / g) d_model p"),
        *(f"{COSTS}: kv_bytes_grouped", WRONG, "2 b s l h_kv d_head p", COUNTS),
        "g is “how much groups of heads there are”. With the 4 groups of Qwen2.5-7B 28 / 4 = 7 "
        "heads would be stored; 4 are. The division is right if g is the number of query heads in "
        "a group, 7.",
    )
    yield FormulaRow(
        *("3.26", "VRAM (bytes)", "n_parameters p + KV-cache p"),
        *(
            f"{COSTS}: vram_bytes",
            WRONG,
            "bytes of weights + KV cache; + activations, CUDA context",
        ),
        BYTES,
        "The KV cache in bytes is multiplied by p a second time. No table contains a cache: VRAM "
        "is 2 n_params times the precision, in table 5.14 times 1.2. 16.80 and 14.00 GB are "
        f"printed for 7B; {size.vram_true / BYTES_PER_GB:.2f} GB are weights and cache of 1,320 "
        "tokens.",
    )


def _work() -> Iterator[FormulaRow]:
    seven = correct_estimate("5.19", "7B")
    int4 = correct_estimate("5.35", "14B-Instruct-GPTQ-Int4")
    deepseek = correct_estimate("5.14", "DeepSeek-V2-Lite-16B")
    yield FormulaRow(
        *("3.27", "compute of the prefill (FLOPs)", "2 n_params b s"),
        *(f"{COSTS}: prefill_compute", PARTLY),
        *("2 active layer weights b s + head for the last token + attention", ROOFLINE),
        f"7B, 660 tokens: 9.24 TFLOP printed, {seven.prefill_flops / FLOPS_PER_TFLOP:.2f} right. "
        f"14B GPTQ-Int4: 4.62 printed, {int4.prefill_flops / FLOPS_PER_TFLOP:.2f} right, because "
        "weights alone are quantised. DeepSeek-V2-Lite, 256 tokens: 8.09 printed, "
        f"{deepseek.prefill_flops / FLOPS_PER_TFLOP:.2f} right, because 6 of 64 routed experts "
        "are used. The text's last sentence says s where the batch size is meant.",
    )
    yield FormulaRow(
        *("3.28", "memory traffic of the prefill (bytes)", "2 n_params"),
        *(f"{COSTS}: prefill_memory", PARTLY, "bytes of the weights + keys and values", ROOFLINE),
        "2 are the bytes of a 16-bit weight; the tables multiply by the precision. 28.00 in table "
        "5.14 equals the sum of 3.28 and 3.30.",
    )
    yield FormulaRow(
        *("3.29", "compute of a decode step (FLOPs)", "2 n_params b 1"),
        *(f"{COSTS}: decode_compute", PARTLY),
        *("2 (active layer weights + head) b + attention", ROOFLINE),
        f"7B: 14.0 GFLOP printed, {seven.decode_flops / 1e9:.1f} right. DeepSeek-V2-Lite: 31.60 "
        f"printed, {deepseek.decode_flops / 1e9:.2f} right.",
    )
    yield FormulaRow(
        *("3.30", "memory traffic of a decode step (bytes)", "2 n_params"),
        *(f"{COSTS}: decode_memory", PARTLY),
        *("bytes of the active weights + KV cache of all sequences", ROOFLINE),
        f"7B: 14.0 GB printed, {seven.step_bytes / BYTES_PER_GB:.2f} right. 14B GPTQ-Int4: 7.0 "
        f"printed, {int4.step_bytes / BYTES_PER_GB:.2f} right, because scales, the head and the KV "
        f"cache stay. DeepSeek-V2-Lite: 31.6 printed, {deepseek.step_bytes / BYTES_PER_GB:.2f} "
        "right. The memory is not counted twice: TPOT of table 5.14 contains 14 GB, not 28.",
    )


def _times(tables: ThesisTables) -> Iterator[FormulaRow]:
    seven = correct_estimate("5.14", "Qwen2.5-Coder-7B")
    fits = tokens_that_fit(tables, "5.14")
    measured = measured_runs(tables)
    coder = next(run for run in measured if run.estimate_row == "Qwen2.5-Coder-7B")
    slower = coder.seconds / coder.tokens / seven.tpot_s
    runs = [run for run in measured if run.group != OTHER]
    watts = [run.joules / run.seconds for run in runs]
    tokens = [run.tokens for run in runs]
    yield FormulaRow(
        *("3.31", "time to first token (s)", "prefill compute / FLOPs rate + memory / HBM rate"),
        *(f"{COSTS}: time_to_first_token_s", WRONG, "the larger of both times, at reached rates"),
        ROOFLINE,
        "Compute and memory traffic overlap, so the sum is no lower bound. 36.00 ms printed for "
        f"Qwen2.5-Coder-7B, at least {seven.ttft_s * MS_PER_S:.2f} ms right. Table 5.14 contains "
        "the L40's 181.05 TFLOP/s, the others the L40S's 362.05.",
    )
    yield FormulaRow(
        *("3.32", "time per output token (s)", "decode compute / FLOPs rate + memory / HBM rate"),
        *(f"{COSTS}: time_per_output_token_s", WRONG, "the larger of both times, at reached rates"),
        ROOFLINE,
        f"16.24 ms printed, at least {seven.tpot_s * MS_PER_S:.2f} ms right: at batch size 1 the "
        f"compute is small. The measured time per token is {slower:.2f} times this bound.",
    )
    yield FormulaRow(
        *("3.33", "total generation time (s)", "TTFT + TPOT n_tokens"),
        *(f"{COSTS}: total_generation_time_s", WRONG, "TTFT + TPOT (n_tokens - 1)", ROOFLINE),
        "TTFT contains the first token. Table 5.14 needs "
        f"{float(fits.low):.2f} to {float(fits.high):.2f} tokens, no whole number. Tables 5.19 to "
        "5.35 follow with 660 tokens if TPOT has no compute. Measured are "
        f"{min(tokens):.0f} to {max(tokens):.0f} tokens per task.",
    )
    yield FormulaRow(
        *("3.34", "energy (J)", "P t"),
        *(f"{COSTS}: energy_j", RIGHT, "", ""),
        "P is the mean power. 350 W is the only power that the thesis states; its own runs drew "
        f"{min(watts):.0f} to {max(watts):.0f} W above idle.",
    )


def _scores() -> Sequence[FormulaRow]:
    return (
        FormulaRow(
            *("3.35", "probability that no drawn sample is correct", "C(n - c, k) / C(n, k)"),
            *(f"{DEFINITIONS}: all_wrong_probability", RIGHT, "", "evaluate/pass_at_k.py"),
            "With one greedy sample n = k = 1: 0 or 1.",
        ),
        FormulaRow(
            *("3.36", "pass@k", "E[1 - C(n - c, k) / C(n, k)]"),
            *(f"{DEFINITIONS}: pass_at_k", RIGHT, "", "evaluate/pass_at_k.py"),
            "pass@1 of one sample is the share of solved tasks.",
        ),
        FormulaRow(
            *("3.37", "pass@kWh (1/kWh)", "pass@k / energy"),
            *(f"{DEFINITIONS}: pass_per_kwh", RIGHT, "", ""),
            "All 40 printed values follow. The energy is that of the whole run, so the value "
            "depends on the number of tasks.",
        ),
    )
