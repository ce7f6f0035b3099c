"""Weights and structure of a dense decoder-only model, read from its transformers modules.

transformers runs some twenty calls per decoder layer. Here the same computation is data: fused
linear layers, norms, rotary embedding, activation. `cached_forward.DenseForward` runs it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from codewatt.generate.static.linear_layers import FusedLinear, fuse_linears

Activation = Literal["gelu_tanh", "gelu", "silu", "relu"]

#: transformers' names of activations; gelu_new is the tanh approximation written out.
_ACTIVATIONS: dict[str, Activation] = {
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu": "gelu",
    "silu": "silu",
    "relu": "relu",
}
#: Rotary embeddings whose angles depend on the sequence length: no table of them can be made.
_LENGTH_DEPENDENT_ROTARY = {"dynamic", "longrope"}


@dataclass(frozen=True)
class Norm:
    """LayerNorm (Ba et al. 2016), or RMSNorm (Zhang and Sennrich 2019) where `rms`.

    Attributes:
        weight, bias: (features,); bias None if there is none.
        eps: added to the variance.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    eps: float
    rms: bool


@dataclass(frozen=True)
class HeadLayout:
    """Where the heads of queries, keys and values lie in a row of fused qkv, in elements.

    Attributes:
        heads, kv_heads: number of query heads, and of key/value heads.
        size: elements of one head.
        query, key, value: (first element, stride from one head to the next).
        rotary: leading elements of a head that rotary embedding changes.
        scaling: factor of the attention scores.
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
class DecoderLayer:
    """One decoder layer.

    Attributes:
        attention_norm, mlp_norm: norms before attention and before the MLP.
        qkv, out: linear layers of the attention.
        up, down: linear layers of the MLP; `up` holds gate and up projection if it is gated.
        parallel: attention and MLP both read the layer's input (parallel residual).
    """

    attention_norm: Norm
    qkv: FusedLinear
    out: FusedLinear
    mlp_norm: Norm
    up: FusedLinear
    down: FusedLinear
    parallel: bool


@dataclass(frozen=True)
class DenseDecoder:
    """A dense decoder-only model.

    Attributes:
        embedding: (vocabulary, hidden).
        layers: decoder layers, in order.
        final_norm, lm_head: norm and linear layer after the last decoder layer.
        heads: layout of the fused qkv, the same in all layers.
        activation: of the MLP.
        rotary_tables: maps a length to (cos, sin), each (length, rotary size).
    """

    embedding: torch.Tensor
    layers: list[DecoderLayer]
    final_norm: Norm
    lm_head: FusedLinear
    heads: HeadLayout
    activation: Activation
    rotary_tables: Callable[[int], tuple[torch.Tensor, torch.Tensor]]


def read_dense_decoder(model: Any) -> DenseDecoder | str:
    """Read a causal language model of transformers, or say why it cannot run as a DenseDecoder.

    Fuses linear layers: see `fuse_linears` for what that does to the model.

    Returns:
        The decoder, or the reason as text.
    """
    config = model.config
    reader = _READERS.get(config.model_type)
    if reader is None:
        return (
            f"model type {config.model_type} is not supported; supported: "
            f"{', '.join(sorted(_READERS))}"
        )
    activation = _ACTIVATIONS.get(config.hidden_act)
    if activation is None:
        return f"activation {config.hidden_act} has no kernel"
    rope_type = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope_type in _LENGTH_DEPENDENT_ROTARY:
        return f"rotary embedding {rope_type} depends on the sequence length"
    if getattr(config, "qk_layernorm", False):
        return "queries and keys are normalised (qk_layernorm)"
    if any(type(module).__name__ == "ScaledActivation" for module in model.modules()):
        return "activations are scaled per channel (AWQ)"
    return reader(model, activation)


def _starcoder2(model: Any, activation: Activation) -> DenseDecoder:
    return _decoder(
        model,
        activation,
        [
            _ungated_layer(layer, layer.mlp.c_fc, layer.mlp.c_proj, layer.self_attn.o_proj)
            for layer in model.model.layers
        ],
    )


def _llama(model: Any, activation: Activation) -> DenseDecoder:
    layers = []
    for layer in model.model.layers:
        mlp, attention = layer.mlp, layer.self_attn
        layers.append(
            DecoderLayer(
                _norm(layer.input_layernorm),
                fuse_linears([attention.q_proj, attention.k_proj, attention.v_proj]),
                fuse_linears([attention.o_proj]),
                _norm(layer.post_attention_layernorm),
                fuse_linears([mlp.gate_proj, mlp.up_proj], gated=True),
                fuse_linears([mlp.down_proj]),
                parallel=False,
            )
        )
    return _decoder(model, activation, layers)


def _phi(model: Any, activation: Activation) -> DenseDecoder:
    return _decoder(
        model,
        activation,
        [
            _ungated_layer(
                layer, layer.mlp.fc1, layer.mlp.fc2, layer.self_attn.dense, parallel=True
            )
            for layer in model.model.layers
        ],
        norm=model.model.final_layernorm,
    )


def _gpt_neox(model: Any, activation: Activation) -> DenseDecoder:
    base, config = model.gpt_neox, model.config
    layers = [
        DecoderLayer(
            _norm(layer.input_layernorm),
            fuse_linears([layer.attention.query_key_value]),
            fuse_linears([layer.attention.dense]),
            _norm(layer.post_attention_layernorm),
            fuse_linears([layer.mlp.dense_h_to_4h]),
            fuse_linears([layer.mlp.dense_4h_to_h]),
            parallel=config.use_parallel_residual,
        )
        for layer in base.layers
    ]
    size = config.hidden_size // config.num_attention_heads
    strides = [(part * size, 3 * size) for part in range(3)]  # q, k and v of a head are adjacent
    return _decoder(
        model, activation, layers, norm=base.final_layer_norm, embedding=base.embed_in,
        base=base, strides=strides,
    )  # fmt: skip


_READERS: dict[str, Callable[[Any, Activation], DenseDecoder]] = {
    "starcoder2": _starcoder2,
    "llama": _llama,
    "qwen2": _llama,
    "phi": _phi,
    "gpt_neox": _gpt_neox,
}


def _ungated_layer(
    layer: Any, up: Any, down: Any, out: Any, parallel: bool = False
) -> DecoderLayer:
    """A layer with separate q, k, v and an ungated MLP; if parallel, both halves share one norm."""
    attention = layer.self_attn
    mlp_norm = layer.input_layernorm if parallel else layer.post_attention_layernorm
    return DecoderLayer(
        _norm(layer.input_layernorm),
        fuse_linears([attention.q_proj, attention.k_proj, attention.v_proj]),
        fuse_linears([out]),
        _norm(mlp_norm),
        fuse_linears([up]),
        fuse_linears([down]),
        parallel,
    )


def _decoder(
    model: Any,
    activation: Activation,
    layers: list[DecoderLayer],
    norm: Any = None,
    embedding: Any = None,
    base: Any = None,
    strides: Sequence[tuple[int, int]] | None = None,
) -> DenseDecoder:
    base, config = base or model.model, model.config
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    device, dtype = base.rotary_emb.inv_freq.device, model.dtype

    def rotary_tables(length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(cos, sin), each (length, rotary size), by the model's own module and in its dtype."""
        sample = torch.empty(1, dtype=dtype, device=device)
        cos, sin = base.rotary_emb(sample, torch.arange(length, device=device)[None])
        return cos[0].contiguous(), sin[0].contiguous()

    query, key, value = strides or (
        (0, size),
        (heads * size, size),
        ((heads + kv_heads) * size, size),
    )
    rotary = rotary_tables(1)[0].shape[-1]
    return DenseDecoder(
        (embedding or base.embed_tokens).weight,
        layers,
        _norm(norm or base.norm),
        fuse_linears([model.lm_head]),
        HeadLayout(heads, kv_heads, size, query, key, value, rotary, size**-0.5),
        activation,
        rotary_tables,
    )


def _norm(module: Any) -> Norm:
    """Read a norm; transformers' RMSNorm modules call their eps variance_epsilon."""
    rms = hasattr(module, "variance_epsilon")
    return Norm(
        module.weight,
        None if rms else module.bias,
        module.variance_epsilon if rms else module.eps,
        rms,
    )
