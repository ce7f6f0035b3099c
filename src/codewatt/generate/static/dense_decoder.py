"""What a decoding step of a dense decoder-only model computes, read off its modules.

transformers runs a step as some twenty calls a layer. Here it is data: which products, which norms,
which rotation, in which order; what runs it (step.py) can then join what stands next to each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from codewatt.generate.static.linear_layers import Projection, projection

Activation = Literal["gelu_tanh", "gelu", "silu", "relu"]

#: transformers' names of activations; gelu_new is the tanh form written out.
_ACTIVATIONS: dict[str, Activation] = {
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu": "gelu",
    "silu": "silu",
    "relu": "relu",
}
#: Rotations whose angles change with the length of the text: no table of them can be made.
_MOVING_ROTATIONS = {"dynamic", "longrope"}


@dataclass(frozen=True)
class Norm:
    """LayerNorm (Ba et al. 2016), or RMSNorm (Zhang and Sennrich 2019) where `rms`.

    Attributes:
        weight, bias: (features,); bias None without one.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    eps: float
    rms: bool


@dataclass(frozen=True)
class Heads:
    """How a row of q, k and v is laid out, in elements.

    Attributes:
        heads, kv_heads, size: query heads, key/value heads, elements of one.
        query, key, value: (first element, elements from one head to the next).
        rotary: leading elements of a head that are rotated.
        scaling: factor of the scores.
    """

    heads: int
    kv_heads: int
    size: int
    query: tuple[int, int]
    key: tuple[int, int]
    value: tuple[int, int]
    rotary: int
    scaling: float


@dataclass(frozen=True)
class Layer:
    """One decoder layer.

    Attributes:
        attention_norm, mlp_norm: before the two halves.
        qkv, out, up, down: the products; `up` holds gate and up where it is gated.
        parallel: both halves read the layer's input and are added to it together.
    """

    attention_norm: Norm
    qkv: Projection
    out: Projection
    mlp_norm: Norm
    up: Projection
    down: Projection
    parallel: bool


@dataclass(frozen=True)
class Plan:
    """A whole step: embedding, layers, last norm, head."""

    embedding: torch.Tensor
    layers: list[Layer]
    norm: Norm
    head: Projection
    heads: Heads
    activation: Activation
    rotations: Callable[[int], tuple[torch.Tensor, torch.Tensor]]


def plan_of(model: Any) -> Plan | str:
    """The plan of a causal language model of transformers, or why there is none."""
    config = model.config
    maker = _MAKERS.get(config.model_type)
    if maker is None:
        return f"model type {config.model_type} has no plan"
    activation = _ACTIVATIONS.get(config.hidden_act)
    if activation is None:
        return f"activation {config.hidden_act} has no kernel"
    rotation = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rotation in _MOVING_ROTATIONS:
        return f"rotation {rotation} depends on the length of the text"
    if getattr(config, "qk_layernorm", False):
        return "queries and keys are normed"
    if any(type(module).__name__ == "ScaledActivation" for module in model.modules()):
        return "activations are scaled channel by channel (AWQ)"
    return maker(model, activation)


def _starcoder2(model: Any, activation: Activation) -> Plan:
    return _plan(
        model,
        activation,
        [
            _layer(layer, layer.mlp.c_fc, layer.mlp.c_proj, layer.self_attn.o_proj)
            for layer in model.model.layers
        ],
    )


def _llama(model: Any, activation: Activation) -> Plan:
    layers = []
    for layer in model.model.layers:
        mlp, attention = layer.mlp, layer.self_attn
        layers.append(
            Layer(
                _norm(layer.input_layernorm),
                projection([attention.q_proj, attention.k_proj, attention.v_proj]),
                projection([attention.o_proj]),
                _norm(layer.post_attention_layernorm),
                projection([mlp.gate_proj, mlp.up_proj], gated=True),
                projection([mlp.down_proj]),
                parallel=False,
            )
        )
    return _plan(model, activation, layers)


def _phi(model: Any, activation: Activation) -> Plan:
    return _plan(
        model,
        activation,
        [
            _layer(layer, layer.mlp.fc1, layer.mlp.fc2, layer.self_attn.dense, parallel=True)
            for layer in model.model.layers
        ],
        norm=model.model.final_layernorm,
    )


def _gpt_neox(model: Any, activation: Activation) -> Plan:
    base, config = model.gpt_neox, model.config
    layers = [
        Layer(
            _norm(layer.input_layernorm),
            projection([layer.attention.query_key_value]),
            projection([layer.attention.dense]),
            _norm(layer.post_attention_layernorm),
            projection([layer.mlp.dense_h_to_4h]),
            projection([layer.mlp.dense_4h_to_h]),
            parallel=config.use_parallel_residual,
        )
        for layer in base.layers
    ]
    size = config.hidden_size // config.num_attention_heads
    strides = [(part * size, 3 * size) for part in range(3)]  # of each head: its q, k and v
    return _plan(
        model, activation, layers, norm=base.final_layer_norm, embedding=base.embed_in,
        base=base, strides=strides,
    )  # fmt: skip


_MAKERS: dict[str, Callable[[Any, Activation], Plan]] = {
    "starcoder2": _starcoder2,
    "llama": _llama,
    "qwen2": _llama,
    "phi": _phi,
    "gpt_neox": _gpt_neox,
}


def _layer(layer: Any, up: Any, down: Any, out: Any, parallel: bool = False) -> Layer:
    """A layer with separate q, k, v and an ungated MLP; parallel halves share one norm."""
    attention = layer.self_attn
    second = layer.input_layernorm if parallel else layer.post_attention_layernorm
    return Layer(
        _norm(layer.input_layernorm),
        projection([attention.q_proj, attention.k_proj, attention.v_proj]),
        projection([out]),
        _norm(second),
        projection([up]),
        projection([down]),
        parallel,
    )


def _plan(
    model: Any,
    activation: Activation,
    layers: list[Layer],
    norm: Any = None,
    embedding: Any = None,
    base: Any = None,
    strides: Sequence[tuple[int, int]] | None = None,
) -> Plan:
    base, config = base or model.model, model.config
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    device, dtype = base.rotary_emb.inv_freq.device, model.dtype

    def rotations(length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(cos, sin), each (length, rotary): the model's own, in its dtype."""
        sample = torch.empty(1, dtype=dtype, device=device)
        cos, sin = base.rotary_emb(sample, torch.arange(length, device=device)[None])
        return cos[0].contiguous(), sin[0].contiguous()

    query, key, value = strides or (
        (0, size),
        (heads * size, size),
        ((heads + kv_heads) * size, size),
    )
    rotary = rotations(1)[0].shape[-1]
    return Plan(
        (embedding or base.embed_tokens).weight,
        layers,
        _norm(norm or base.norm),
        projection([model.lm_head]),
        Heads(heads, kv_heads, size, query, key, value, rotary, size**-0.5),
        activation,
        rotations,
    )


def _norm(module: Any) -> Norm:
    """A norm's content; RMSNorm modules of transformers name their eps variance_epsilon."""
    rms = hasattr(module, "variance_epsilon")
    return Norm(
        module.weight,
        None if rms else module.bias,
        module.variance_epsilon if rms else module.eps,
        rms,
    )
