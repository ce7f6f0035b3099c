"""Findings on the estimates of compute, memory and time of Buis 2024 (tables 4.1, 5.14 to 5.35)."""

from collections.abc import Iterator

from codewatt.published.buis_2024.batch_findings import DEEPSEEK, LLAMA, QWEN_CODER
from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.buis_2024.published_runs import SIZES, read_runs
from codewatt.published.finding import CONTRADICTED, NOT_SHOWN, Finding
from codewatt.units import MS_PER_S

_ESTIMATED = {
    "Qwen2.5-Coder-7B": QWEN_CODER,
    "Meta-Llama-3.1-8B": LLAMA,
    "DeepSeek-V2-Lite-16B": DEEPSEEK,
}
_CONFIGS = {
    "Qwen2,5-Coder": ("listing 5.1", "Qwen2.5-7B"),
    "Meta-Llama-3.1": ("listing 5.2", "Llama-3.1-8B"),
    "DeepSeek-V2-Lite": ("listing 5.3", "DeepseekV2-Lite-16B"),
}


def estimate_findings(tables: ThesisTables) -> Iterator[Finding]:
    """Findings on estimates."""
    yield _prefill_of_quantised(tables)
    yield _awq_bits(tables)
    yield _unit_of_times(tables)
    yield _vram(tables)
    yield _experts(tables)
    yield _context(tables)
    yield _formulas(tables)
    yield _slips(tables)


def _number(tables: ThesisTables, table: str, row: str, column: str) -> float:
    return float(tables.number(table, row, column))


def _prefill_of_quantised(tables: ThesisTables) -> Finding:
    """TTFT - TPOT is the compute part of the prefill: both contain the same time of memory."""
    names = {"whole": "", "Int8": "-GPTQ-Int8", "Int4": "-GPTQ-Int4"}
    values: dict[str, float] = {}
    for name, suffix in names.items():
        row = f"14B-Instruct{suffix}"
        times = [_number(tables, "5.35", row, column) for column in ("TTFT", "TPOT")]
        values[f"compute_time_{name}"] = times[0] - times[1]
        values[f"compute_{name}"] = _number(tables, "5.35", row, "Prefill compute")
    for name in ("Int8", "Int4"):
        values[f"compute_factor_{name}"] = values["compute_whole"] / values[f"compute_{name}"]
        values[f"time_factor_{name}"] = (
            values["compute_time_whole"] / values[f"compute_time_{name}"]
        )
    return Finding(
        "prefill_compute_of_quantised_models",
        CONTRADICTED,
        "Section 4.2.3.4: reduced precision gives “significant savings in prefill and decode "
        "compute”. Tables 5.30 and 5.35 halve the prefill compute for AWQ and GPTQ-Int8 and "
        "quarter it for GPTQ-Int4.",
        "Equation 3.27, 2 * parameters * batch * tokens, has no precision in it: a model with "
        "quantised weights makes the same multiplications. TTFT minus TPOT, the time of the "
        "prefill compute, even falls by a factor of "
        f"{values['time_factor_Int8']:.1f} for Int8 and {values['time_factor_Int4']:.1f} for Int4 "
        f"of 14B, where the printed compute falls by {values['compute_factor_Int8']:.0f} and "
        f"{values['compute_factor_Int4']:.0f}. So the rate of the tensor cores was doubled too.",
        "Section 3.8.2 says that GPTQ “quantizes weights, activations and gradients”; the papers "
        "that it cites quantise weights only, and such kernels multiply in 16 bits. Memory and "
        "decode time fall with the precision, the compute of the prefill does not. The estimated "
        "TTFT of quantised models is too short.",
        values,
    )


def _awq_bits(tables: ThesisTables) -> Finding:
    equal = sum(
        figure.number.rounded.overlaps(
            tables.number("5.35", f"{size}-Instruct-GPTQ-Int8", figure.column).rounded
        )
        for size in SIZES
        for figure in tables.of("5.30")
        if figure.row == f"{size}-Instruct-AWQ"
    )
    values = {
        "equal": equal,
        "compared": len(SIZES) * 8,
        "vram_awq_14b": _number(tables, "5.30", "14B-Instruct-AWQ", "VRAM"),
        "vram_int4_14b": _number(tables, "5.35", "14B-Instruct-GPTQ-Int4", "VRAM"),
    }
    return Finding(
        "awq_counted_as_8_bits",
        NOT_SHOWN,
        "Section 4.2.3.3: “VRAM requirements drop by 50% using a quantized model”, table 5.30.",
        f"{values['equal']:.0f} of {values['compared']:.0f} estimates of AWQ equal those of "
        "GPTQ-Int8 in table 5.35 within rounding, so AWQ was counted with 8 bits. The thesis does "
        "not state its bits. Qwen's published AWQ checkpoints of Qwen2.5 have 4 bits; that the "
        "thesis used them is an assumption.",
        f"With 4 bits AWQ of 14B has the {values['vram_int4_14b']:.0f} GB of GPTQ-Int4 by this "
        f"rule, not {values['vram_awq_14b']:.0f} GB, and the measured saving of AWQ is less than "
        "estimated for 14B, not “in line with the estimated energy consumption savings”.",
        values,
    )


def _unit_of_times(tables: ThesisTables) -> Finding:
    row = {
        figure.column: figure.number.rounded for figure in tables.of("5.25") if figure.row == "7B"
    }
    tokens = (row["TGT"] - row["TTFT"]) / row["TPOT"]
    runs = read_runs(tables)
    values = {
        "tokens_if_seconds": float(tokens.middle),
        "tokens_if_ms": float(tokens.middle) * MS_PER_S,
        "measured_7b": float(runs["7B"].tokens_per_task.middle),
        "ttft_5_14_ms": _number(tables, "5.14", "Qwen2.5-Coder-7B", "TTFT"),
    }
    return Finding(
        "unit_of_estimated_times",
        CONTRADICTED,
        "Tables 5.19, 5.25, 5.30 and 5.35 give TTFT and TPOT in ms, such as 0.042 and 0.016 for "
        "7B.",
        "With TGT = TTFT + TPOT * tokens (equation 3.33) 10.74 s need "
        f"{values['tokens_if_ms']:,.0f} tokens per task if these are ms, and "
        f"{values['tokens_if_seconds']:.0f} if they are seconds. Table 5.14 has "
        f"{values['ttft_5_14_ms']:.2f} ms for a model of this size. "
        f"Measured are {values['measured_7b']:.0f} tokens per task.",
        "The columns are in seconds. Section 4.2.3.4 has a similar slip: latencies of “191.68 ms”, "
        "“109.55 ms” and “72.62 ms” are minutes of a whole run of 1,140 tasks (table 5.40).",
        values,
    )


def _vram(tables: ThesisTables) -> Finding:
    ratios = {
        row: tables.number("5.14", row, "VRAM").rounded
        / tables.number("5.14", row, "Decode compute").rounded
        for row in _ESTIMATED
    }
    values = {f"ratio_{row}": float(ratio.middle) for row, ratio in ratios.items()}
    values["vram_7b_5_14"] = _number(tables, "5.14", "Qwen2.5-Coder-7B", "VRAM")
    values["vram_7b_5_19"] = _number(tables, "5.19", "7B", "VRAM")
    return Finding(
        "two_rules_of_vram",
        CONTRADICTED,
        "Equation 3.26: VRAM is the weights plus the KV cache. Table 5.14 has 16.80 GB for a model "
        "with 7 billion parameters, tables 5.19 to 5.35 have 14.00 GB.",
        "VRAM in table 5.14 is 1.20 times two bytes per parameter for all three models; in tables "
        "5.19 to 5.35 it is two bytes per parameter, times the precision. Neither contains a KV "
        "cache.",
        "The estimates of both kinds of tables cannot be compared, and neither follows equation "
        "3.26.",
        values,
    )


def _experts(tables: ThesisTables) -> Finding:
    config = {figure.column: int(figure.number.value) for figure in tables.of("listing 5.3")}
    layers = config["num_hidden_layers"] - config["first_k_dense_replace"]
    idle = config["n_routed_experts"] - config["num_experts_per_tok"]
    inactive = layers * idle * 3 * config["hidden_size"] * config["moe_intermediate_size"]
    runs = read_runs(tables)
    values = {"inactive_billion": inactive / 1e9}
    values["counted_billion"] = (
        _number(tables, "5.14", "DeepSeek-V2-Lite-16B", "Decode compute") / 2
    )
    values["active_billion"] = values["counted_billion"] - values["inactive_billion"]
    lines = []
    for row, model in _ESTIMATED.items():
        limit = float(MS_PER_S) / _number(tables, "5.14", row, "TPOT")
        measured = float(runs[f"{model}, Batch size 1"].throughput)
        values[f"estimated_{row}"], values[f"measured_{row}"] = limit, measured
        lines.append(f"{row} {limit:.0f} and {measured:.1f}")
    return Finding(
        "all_experts_counted",
        CONTRADICTED,
        "Section 2.2.4.2: in mixture-of-experts models “only a subset of parameters is active "
        "during inference”. Table 5.14 estimates a TPOT of 36.66 ms for DeepSeek-V2-Lite.",
        f"Its decode compute, 31.60, is two operations for each of {values['counted_billion']:.1f} "
        "billion parameters. By listing 5.3 a token uses 6 of 64 routed experts, so "
        f"{values['inactive_billion']:.1f} billion parameters are not used and about "
        f"{values['active_billion']:.1f} billion are. Tokens per second by 1 / TPOT of table 5.14 "
        f"and measured in table 5.18: {'; '.join(lines)}.",
        "The estimate makes DeepSeek-V2-Lite the slowest model; it was the fastest, at more than "
        "twice its estimated limit. The dense models reach about two thirds of theirs.",
        values,
    )


def _context(tables: ThesisTables) -> Finding:
    values: dict[str, float] = {}
    lines = []
    for row, (listing, name) in _CONFIGS.items():
        values[f"printed_{row}"] = _number(tables, "4.1", row, "n_ctx")
        values[f"config_{row}"] = _number(tables, listing, name, "max_position_embeddings")
        lines.append(f"{row} {values[f'config_{row}']:,.0f}")
    return Finding(
        "context_length",
        CONTRADICTED,
        "Table 4.1 gives a context length of 128,000 for all three models, “extracted from the "
        "config.json files”.",
        f"max_position_embeddings in the thesis's own listings: {'; '.join(lines)}.",
        "128,000 is the rounded setting, 128K. For equation 3.5, which multiplies "
        "with it, the difference is 2 % (Qwen, Llama) and 28 % (DeepSeek); these models have no "
        "such parameters, because they rotate queries and keys instead.",
        values,
    )


def _formulas(tables: ThesisTables) -> Finding:
    """Two printed formulas with the numbers of the thesis's own listing."""
    config = {figure.column: int(figure.number.value) for figure in tables.of("listing 5.1")}
    inner, model = config["intermediate_size"], config["hidden_size"]
    parameters = int(tables.number("4.1", "Qwen2,5-Coder", "n_params").value)
    values = {
        "ffn_per_layer": float((inner * model) ** 2 + inner + model),
        "cache_bytes_per_token": float(2 * parameters * config["num_attention_heads"] * model * 2),
        "cache_bytes_per_token_true": float(
            2
            * config["num_hidden_layers"]
            * config["num_key_value_heads"]
            * (model // config["num_attention_heads"])
            * 2
        ),
    }
    return Finding(
        "formulas_of_size",
        CONTRADICTED,
        "Equation 3.9: parameters of a feed-forward layer are (d_ff * m)^2 + d_ff + m. Equations "
        "3.23 to 3.25: the KV cache of a token is 2 * n_params * (h_heads * d_model) * p bytes.",
        f"With listing 5.1 (Qwen2.5-7B) equation 3.9 gives {values['ffn_per_layer']:.1e} "
        "parameters per layer; the whole model has 7 billion. Equation 3.23 gives "
        f"{values['cache_bytes_per_token']:.1e} bytes per token with p = 2. Keys and values of 28 "
        f"layers, 4 key-value heads and 128 dimensions are "
        f"{values['cache_bytes_per_token_true']:,.0f} bytes.",
        "The formulas are misprinted: two matrices are 2 * d_ff * m, not a square, and the cache "
        "has the number of layers in place of the parameters and the size of a head in place of "
        "the model's. The tables were not computed with the printed formulas.",
        values,
    )


def _slips(tables: ThesisTables) -> Finding:
    runs = read_runs(tables)
    values = {
        "pass_awq_14b": float(runs["14B-Instruct-AWQ"].pass_at_1),
        "energy_14b": float(runs["14B"].energy_kwh),
        "energy_14b_instruct": float(runs["14B-Instruct"].energy_kwh),
    }
    return Finding(
        "units_and_labels_in_the_text",
        CONTRADICTED,
        "Section 4.2.3.3: “a pass@k drop from 51% to 0.27%” by AWQ of 14B. Section 4.3: "
        "“unquantized models such as Qwen2.5-14B consume approximately 1.35 kWh”.",
        f"pass@1 of table 5.34 is {values['pass_awq_14b']:.2f}, 27 %. 1.35 kWh is the energy of "
        f"14B-Instruct; the base model Qwen2.5-14B has {values['energy_14b']:.2f} kWh (table "
        "5.24).",
        "Slips without consequence for the tables.",
        values,
    )
