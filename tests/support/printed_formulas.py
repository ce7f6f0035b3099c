"""Formulas that papers print for a model's size, beside what the models really have.

They hold for the decoder of 2017: attention as wide as the model, as many heads for keys and values
as for queries, an inner layer four times as wide. The studies' models are built otherwise, so each
formula is off by what `compare` tells. Nothing in codewatt computes with them.
"""

from dataclasses import dataclass

from codewatt.sizing.layer_shapes import Config
from codewatt.sizing.parameter_counts import architecture_of
from codewatt.sizing.roofline import Demand


def kaplan_parameters(layers: int, hidden: int) -> int:
    """Kaplan et al. 2020 (arXiv:2001.08361), eq. 2.1: N = 12 * layers * hidden^2, no embeddings.

    Wrong for: inner layers that are not four times as wide, gated ones, which have three matrices,
    grouped keys and values, experts. The head, which is computed for each new token, is left out.
    """
    return 12 * layers * hidden**2


def kaplan_forward_flops(parameters: int, layers: int, context: int, hidden: int) -> int:
    """Kaplan et al. 2020, eq. 2.2: C = 2 * N + 2 * layers * context * hidden, a token.

    The second term is that of a token halfway into the context; one at its end attends to all of
    it, twice as much. The head is left out here too.
    """
    return 2 * parameters + 2 * layers * context * hidden


def multi_head_cache_bytes(layers: int, hidden: int, element_bytes: int) -> int:
    """Keys and values a token if every head has its own: 2 * layers * hidden * bytes.

    Wrong for grouped heads, by heads / key-value heads, and for latent attention.
    """
    return 2 * layers * hidden * element_bytes


@dataclass(frozen=True)
class Comparison:
    """Printed over exact: 1 is right."""

    layer_weights: float
    flops: float
    cache: float


def compare(config: Config, context: int = 300) -> Comparison:
    """How far the formulas are off for a model.

    Args:
        config: what its config.json holds.
        context: tokens that the token attends to, itself among them.
    """
    counted = architecture_of(config)
    layers, hidden = counted.layers, counted.hidden_size
    demand = Demand.of(counted, 0, 2)
    attention = demand.attended(context, context) * demand.attention_flops // layers
    exact = demand.flops_per_token + demand.head_flops + attention
    parameters = kaplan_parameters(layers, hidden)
    return Comparison(
        layer_weights=parameters / counted.layer_weights,
        flops=kaplan_forward_flops(parameters, layers, context, hidden) / exact,
        cache=multi_head_cache_bytes(layers, hidden, 2) / counted.kv_bytes_per_token(2),
    )
