"""The checklist of equations 3.1 to 3.22 of Buis 2024: parameters."""

from collections.abc import Iterator

from codewatt.published.buis_2024.model import printed_parameters as p
from codewatt.published.buis_2024.model.formula_row import (
    COUNTS,
    DEFINITIONS,
    MISSING,
    PARAMETERS,
    PARTLY,
    RIGHT,
    SHAPES,
    WRONG,
    FormulaRow,
)
from codewatt.published.buis_2024.model.parameter_comparison import PartCount, compare_model
from codewatt.published.buis_2024.model.study_models import study_models

_QWEN, _DEEPSEEK, _PHI = "Qwen2.5-7B", "DeepSeek-Coder-V2-Lite-Instruct", "Phi-2"


def size_formulas() -> Iterator[FormulaRow]:
    """Equations 3.1 to 3.22."""
    yield from _definitions()
    yield from _dense()
    yield from _experts()
    yield from _totals()


def _parts(model: str) -> dict[str, PartCount]:
    return {row.part: row for row in compare_model(study_models()[model])}


def _definitions() -> Iterator[FormulaRow]:
    yield FormulaRow(
        *("3.1", "gate of a mixture of experts", "p_i = exp(h_i) / sum_j exp(h_j)"),
        f"{DEFINITIONS}: gate_probabilities",
        *(RIGHT, "", ""),
        "No printed number uses it. DeepSeek-V2's gate is this softmax (listing 5.3).",
    )
    yield FormulaRow(
        *("3.2", "output of a mixture of experts", "y = sum over selected i of p_i E_i(x)"),
        *(f"{DEFINITIONS}: mixture_output", PARTLY),
        *("the same; the shared experts' output is added", ""),
        "The text calls it a convex combination. It is one only if the selected probabilities are "
        "scaled to sum 1; DeepSeek-Coder-V2-Lite does not scale them (norm_topk_prob is false in "
        "listing 5.3).",
    )
    yield FormulaRow(
        *("3.3", "input of the first layer", "h_0 = U W_e + W_p"),
        *(f"{DEFINITIONS}: embedded_input", WRONG, "h_0 = U W_e", SHAPES),
        "That of GPT. All models of both studies rotate queries and keys instead of adding "
        "positions.",
    )


def _dense() -> Iterator[FormulaRow]:
    x, qwen, phi = study_models()[_QWEN].variables, _parts(_QWEN), _parts(_PHI)
    embedding, positions = qwen["input embedding"], qwen["position embedding"]
    attention, feed_forward = qwen["attention"], qwen["feed-forward"]
    yield FormulaRow(
        *("3.4", "parameters of the input embedding", "v m"),
        *(f"{PARAMETERS}: embedding_parameters", RIGHT, "", COUNTS),
        f"{_QWEN}: {embedding.true:,}, exact.",
    )
    yield FormulaRow(
        *("3.5", "parameters of the position embedding", "c m"),
        *(f"{PARAMETERS}: positional_parameters", WRONG, "0", SHAPES),
        f"{_QWEN}: {positions.printed:,.0f} parameters that do not exist. The sentence before the "
        "equation gives the matrix v rows, the equation c.",
    )
    yield FormulaRow(
        *("3.6", "multi-head attention", "Concat(head_1, ..., head_h) W_O"),
        *(f"{DEFINITIONS}: multi_head", PARTLY),
        *("the same; groups of query heads share keys and values", SHAPES),
        "Right for Phi-2 and Pythia-2.8B. Qwen2.5, Llama 3.1 and StarCoder2 share keys and values, "
        "DeepSeek-V2 compresses them.",
    )
    ratio = attention.printed / attention.true if attention.printed else 0.0
    yield FormulaRow(
        *("3.7", "parameters of attention", "4 m d h l"),
        *(f"{PARAMETERS}: attention_parameters", PARTLY),
        *("2 m d (h + h_kv) l, and biases where a model has them", SHAPES),
        f"{_QWEN}: {attention.printed:,.0f} instead of {attention.true:,} ({ratio:.2f} times). "
        f"{_PHI}: {phi['attention'].true:,}, exact.",
    )
    yield FormulaRow(
        *("3.8", "feed-forward network", "max(0, x W_1 + b_1) W_2 + b_2"),
        *(f"{DEFINITIONS}: feed_forward", WRONG),
        *("(act(x W_gate) * (x W_up)) W_down; StarCoder2, Phi-2, Pythia: GELU(x W_1) W_2", SHAPES),
        "No model of the studies has ReLU. Qwen2.5, Llama 3.1 and DeepSeek-V2 have three matrices.",
    )
    squared = p.feed_forward_parameters_per_layer(x)
    meant = p.feed_forward_parameters_meant(x) // x.layers
    true = feed_forward.true // x.layers
    yield FormulaRow(
        *("3.9", "feed-forward parameters of a layer", "(d_ff m)^2 + d_ff + m"),
        *(f"{PARAMETERS}: feed_forward_parameters_per_layer", WRONG),
        *("3 d_ff m (gated), else 2 d_ff m + d_ff + m", SHAPES),
        f"{_QWEN}: {squared:.2e} instead of {true:,} ({squared / true:.1e} times). With 2 d_ff m "
        f"in place of the square, as the text derives: {meant:,} ({meant / true:.2f} times).",
    )
    yield FormulaRow(
        *("3.10", "feed-forward parameters of a model", "equation 3.9 times l"),
        *(f"{PARAMETERS}: feed_forward_parameters", WRONG, "the right 3.9 times l", SHAPES),
        f"{_QWEN}: {feed_forward.printed:.2e} instead of {feed_forward.true:,}. No printed number "
        "is computed with it: tables 5.14 to 5.35 use the rounded parameters of the models' names.",
    )
    yield FormulaRow(
        *("3.11", "layer normalisation", "(x - E[x]) / sqrt(Var[x] + eps) gamma + beta"),
        *(f"{DEFINITIONS}: layer_norm", PARTLY, "x / sqrt(mean(x^2) + eps) gamma", SHAPES),
        "Right for StarCoder2, Phi-2 and Pythia. Qwen2.5, Llama 3.1 and DeepSeek-V2 use RMSNorm.",
    )
    norms = qwen["norms"]
    yield FormulaRow(
        *("3.12", "parameters of norms", "2 m k"),
        *(f"{PARAMETERS}: norm_parameters", PARTLY, "m k for RMSNorm", SHAPES),
        f"{_QWEN}: {norms.printed:,.0f} instead of {norms.true:,}. {_PHI}: {phi['norms'].true:,}, "
        "exact. The text calls the scale lambda, the equation gamma.",
    )
    head = qwen["output head"]
    tied = ", ".join(name for name, m in study_models().items() if m.architecture.tied)
    yield FormulaRow(
        *("3.13", "parameters of the output head", "m v + v"),
        *(f"{PARAMETERS}: output_parameters", PARTLY, "m v; 0 if tied to the embedding", COUNTS),
        f"{_QWEN}: {head.printed:,.0f} instead of {head.true:,}. Exact for {_PHI}, whose head has "
        f"a bias. 0 for {tied}.",
    )


def _experts() -> Iterator[FormulaRow]:
    x, parts = study_models()[_DEEPSEEK].variables, _parts(_DEEPSEEK)
    experts = parts["experts and dense feed-forward"]
    gated = 3 * x.model_size * x.expert_inner_size
    expert = p.parameters_per_expert(x)
    yield FormulaRow(
        *("3.14", "inner size of an expert", "j = 1.5 moe_intermediate_size"),
        *(f"{PARAMETERS}: scaled_inner_size", WRONG, "j = moe_intermediate_size", SHAPES),
        f"{_DEEPSEEK}: {p.scaled_inner_size(x):,.0f} instead of {x.expert_inner_size:,}. The "
        "factor is not for overhead: 2 m (1.5 i) = 3 m i, so it stands for the third matrix of a "
        "gated network, which 3.15 leaves out.",
    )
    yield FormulaRow(
        *("3.15", "parameters of an expert", "m j + j m + j + m"),
        *(f"{PARAMETERS}: parameters_per_expert", WRONG, "3 m moe_intermediate_size", SHAPES),
        f"{_DEEPSEEK}: {expert:,.0f} instead of {gated:,}: only the biases, which do not exist, "
        "differ.",
        "The third term is i in the text, which is defined nowhere. Read as j, the inner size, as "
        "the bias b_1 has it in 3.9. No printed number confirms it.",
    )
    yield FormulaRow(
        *("3.16", "number of experts", "routed + shared"),
        *(f"{PARAMETERS}: total_experts", RIGHT, "", SHAPES),
        f"{_DEEPSEEK}: {p.total_experts(x)}. transformers keeps the {x.shared_experts} shared ones "
        "as one network of twice the size.",
    )
    yield FormulaRow(
        *("3.17", "parameters of all experts of a layer", "equation 3.15 times 3.16"),
        *(f"{PARAMETERS}: expert_parameters", WRONG, "3 m moe_intermediate_size (64 + 2)", SHAPES),
        f"{_DEEPSEEK}, {x.expert_layers} layers: {experts.printed:,.0f}. The model has "
        f"{experts.true:,} with the dense network of the first layer, which no equation has.",
    )
    yield FormulaRow(
        *("3.18", "parameters of the gate", "m n_routed_experts"),
        *(f"{PARAMETERS}: gating_parameters", RIGHT, "", SHAPES),
        f"{_DEEPSEEK}: {p.gating_parameters(x):,} in a layer, exact.",
    )


def _totals() -> Iterator[FormulaRow]:
    x, qwen = study_models()[_QWEN].variables, _parts(_QWEN)["total"]
    moe, deepseek = study_models()[_DEEPSEEK].variables, _parts(_DEEPSEEK)["total"]
    biases = (5 * x.model_size * x.layers, (x.inner_size + x.model_size) * x.layers)
    meant = (qwen.meant or 0) / qwen.true
    yield FormulaRow(
        *(
            "3.19",
            "parameters of a dense model",
            "vm + cm + 4mdhl + (d_ff m)^2 l + 5ml + 2mk + mv + v",
        ),
        f"{PARAMETERS}: total_dense_parameters, total_dense_parameters_expanded",
        *(WRONG, "the sum of the right parts; tied weights once", COUNTS),
        f"{_QWEN}: {qwen.printed:.2e} instead of {qwen.true:,}. With two matrices in place of the "
        f"square: {qwen.meant:,.0f} ({meant:.2f} times). 5ml is (d_ff + m) l for d_ff = 4m only: "
        f"{biases[0]:,} instead of {biases[1]:,}.",
    )
    yield FormulaRow(
        *("3.20", "parameters of a layer with experts", "missing; read as 3.17 + 3.18"),
        *(f"{PARAMETERS}: moe_parameters_per_layer", MISSING, "the right 3.17 + 3.18", SHAPES),
        "No printed number uses it.",
        "The equation is missing. Its sentence names experts, shared feed-forward parameters and "
        "gate; shared experts are in 3.16 already. No table confirms the reading.",
    )
    yield FormulaRow(
        *("3.21", "parameters of all layers with experts", "equation 3.20 times layers"),
        *(f"{PARAMETERS}: moe_parameters", RIGHT, "", SHAPES),
        f"{_DEEPSEEK}: {moe.expert_layers} of {moe.layers} layers have experts.",
    )
    ratio = (deepseek.printed or 0) / deepseek.true
    yield FormulaRow(
        *(
            "3.22",
            "parameters of a mixture of experts",
            "embedding + positions + attention + 3.21 + norms + output",
        ),
        *(f"{PARAMETERS}: total_moe_parameters", WRONG, "the sum of the right parts", COUNTS),
        f"{_DEEPSEEK}: {deepseek.printed:,.0f} instead of {deepseek.true:,} ({ratio:.3f} times). "
        "Table 5.14 was computed with 15.8 billion, table 4.1 has 16B.",
    )
