"""Parameter counts by equations 3.4 to 3.22 of Buis 2024, exactly as printed.

Some of these equations are wrong; `size_formulas.py` says which, and what is right. Right counts
are in `codewatt.sizing.parameter_counts`. Nothing else in codewatt computes with this module.

The text of the thesis was read from its PDF. Equation 3.20 is missing in it, and 3.15 has a letter
that no variable has; the docstrings say how both were reconstructed.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelVariables:
    """The variables of table 3.1, and those that sections 3.6.1.4 to 3.6.1.9 add.

    Attributes:
        layers: l, number of decoder layers.
        model_size: m, size of the hidden state.
        heads: h, number of query heads.
        head_size: d, size of a head.
        vocabulary: v, number of tokens of the vocabulary.
        context: c, maximum number of tokens of an input.
        inner_size: d_ff, size of the inner layer of the feed-forward network.
        norms: k, number of normalisation layers.
        expert_inner_size: `moe_intermediate_size` of config.json; 0 without experts.
        routed_experts, shared_experts: numbers of experts in a layer.
        expert_layers: number of layers with experts.
    """

    layers: int
    model_size: int
    heads: int
    head_size: int
    vocabulary: int
    context: int
    inner_size: int
    norms: int
    expert_inner_size: int = 0
    routed_experts: int = 0
    shared_experts: int = 0
    expert_layers: int = 0


def embedding_parameters(x: ModelVariables) -> int:
    """Equation 3.4: v * m."""
    return x.vocabulary * x.model_size


def positional_parameters(x: ModelVariables) -> int:
    """Equation 3.5: c * m. The sentence before it gives the matrix the shape (v, m)."""
    return x.context * x.model_size


def attention_parameters(x: ModelVariables) -> int:
    """Equation 3.7, all layers: 4 * m * d * h * l."""
    return 4 * x.model_size * x.head_size * x.heads * x.layers


def feed_forward_parameters_per_layer(x: ModelVariables) -> int:
    """Equation 3.9: (d_ff * m)^2 + d_ff + m."""
    return (x.inner_size * x.model_size) ** 2 + x.inner_size + x.model_size


def feed_forward_parameters(x: ModelVariables) -> int:
    """Equation 3.10: equation 3.9 times l."""
    return feed_forward_parameters_per_layer(x) * x.layers


def feed_forward_parameters_meant(x: ModelVariables) -> int:
    """Equation 3.10 with two matrices in place of the square: (2 * d_ff * m + d_ff + m) * l.

    Not printed. Section 3.6.1.4 describes two matrices: W_1 of (m, d_ff) and W_2 of (d_ff, m).
    """
    return (2 * x.inner_size * x.model_size + x.inner_size + x.model_size) * x.layers


def norm_parameters(x: ModelVariables) -> int:
    """Equation 3.12: 2 * m * k."""
    return 2 * x.model_size * x.norms


def output_parameters(x: ModelVariables) -> int:
    """Equation 3.13: m * v + v."""
    return x.model_size * x.vocabulary + x.vocabulary


def scaled_inner_size(x: ModelVariables) -> float:
    """Equation 3.14: j = 1.5 * moe_intermediate_size."""
    return 1.5 * x.expert_inner_size


def parameters_per_expert(x: ModelVariables) -> float:
    """Equation 3.15: (m * j) + (j * m) + j + m.

    The text that was read has "i" for the third term, a letter that is defined nowhere. It is read
    as j, because b_1 has the inner size in equation 3.9 as well. No printed number depends on it.
    """
    inner = scaled_inner_size(x)
    return x.model_size * inner + inner * x.model_size + inner + x.model_size


def total_experts(x: ModelVariables) -> int:
    """Equation 3.16: routed plus shared experts."""
    return x.routed_experts + x.shared_experts


def expert_parameters(x: ModelVariables) -> float:
    """Equation 3.17, one layer: equation 3.15 times equation 3.16."""
    return parameters_per_expert(x) * total_experts(x)


def gating_parameters(x: ModelVariables) -> int:
    """Equation 3.18, one layer: m * n_routed_experts."""
    return x.model_size * x.routed_experts


def moe_parameters_per_layer(x: ModelVariables) -> float:
    """Equation 3.20, reconstructed: experts plus gating network.

    The equation is missing in the text that was read. Its sentence names "the number of experts in
    a layer, the number of shared feed-forward network parameters and the gating network
    parameters". Shared experts are in equation 3.16 already, so they are not added again here. No
    printed number depends on this equation, so no table confirms the reconstruction.
    """
    return expert_parameters(x) + gating_parameters(x)


def moe_parameters(x: ModelVariables) -> float:
    """Equation 3.21: equation 3.20 times the number of layers with experts."""
    return moe_parameters_per_layer(x) * x.expert_layers


def total_dense_parameters(x: ModelVariables) -> int:
    """Equation 3.19, first line: the sum of equations 3.4, 3.5, 3.7, 3.10, 3.12 and 3.13."""
    return _other_parameters(x) + feed_forward_parameters(x)


def total_dense_parameters_expanded(x: ModelVariables) -> int:
    """Equation 3.19, second line: vm + cm + 4mdhl + (d_ff m)^2 l + 5ml + 2mk + mv + v.

    5ml stands for (d_ff + m) l, which it equals for d_ff = 4 m only.
    """
    biases = 5 * x.model_size * x.layers
    return _other_parameters(x) + (x.inner_size * x.model_size) ** 2 * x.layers + biases


def total_dense_parameters_meant(x: ModelVariables) -> int:
    """Equation 3.19 with `feed_forward_parameters_meant`. Not printed."""
    return _other_parameters(x) + feed_forward_parameters_meant(x)


def total_moe_parameters(x: ModelVariables) -> float:
    """Equation 3.22: the sum of equations 3.4, 3.5, 3.7, 3.21, 3.12 and 3.13."""
    return _other_parameters(x) + moe_parameters(x)


def _other_parameters(x: ModelVariables) -> int:
    """Everything outside feed-forward networks and experts."""
    return (
        embedding_parameters(x)
        + positional_parameters(x)
        + attention_parameters(x)
        + norm_parameters(x)
        + output_parameters(x)
    )
