"""A model's parameters and its key/value cache, counted from its configuration alone.

Every number is that of the model that transformers 5.23 builds from the same configuration
(`modeling_<model type>.py`); no model and no torch is needed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from codewatt.errors import CodewattError

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """Parameters of a decoder-only model, by what they are for, and what a token leaves behind.

    Attributes:
        model_type: as transformers names it.
        layers: decoder layers.
        input_embedding: weights of the table that token ids are looked up in.
        layer_weights: weights of all matrices of the layers, every expert among them.
        active_layer_weights: those of them that one token is multiplied with; fewer than
            `layer_weights` only in a mixture of experts.
        expert_weights: weights of routed experts, all of them.
        experts, active_experts: routed experts of a layer, and how many a token is sent to; None
            without any.
        head: weights that the last hidden state is multiplied with; the input embedding's own
            when `tied`.
        tied: whether head and input embedding are one table.
        biases: of layers and head.
        norms: weights and biases of all norms.
        cache_elements_per_layer: numbers that one token adds to one layer's cache.
        attention_width: 2 * heads * (size of a key + size of a value): operations of one query on
            one attended token in one layer.
        window: tokens that a layer with a sliding window attends to; None without one.
        windowed_layers: how many layers have that window.
    """

    model_type: str
    layers: int
    input_embedding: int
    layer_weights: int
    active_layer_weights: int
    expert_weights: int
    experts: int | None
    active_experts: int | None
    head: int
    tied: bool
    biases: int
    norms: int
    cache_elements_per_layer: int
    attention_width: int
    window: int | None
    windowed_layers: int

    @property
    def parameters(self) -> int:
        """All parameters; a tied table counts once."""
        own_head = 0 if self.tied else self.head
        return self.input_embedding + self.layer_weights + own_head + self.biases + self.norms

    @property
    def active_parameters(self) -> int:
        """Parameters that one token makes use of: all but the experts it is not sent to."""
        return self.parameters - self.layer_weights + self.active_layer_weights

    def kv_bytes_per_token(self, element_bytes: int) -> int:
        """Bytes that one token adds to the cache of all layers.

        Keys and values: layers * 2 * kv heads * head size * bytes. Multi-head latent attention
        (deepseek_v2) keeps the compressed latent and one rotated key for all heads, as
        transformers 5.23 does: layers * (kv_lora_rank + qk_rope_head_dim) * bytes.

        Args:
            element_bytes: of a number in the cache; 2 for bfloat16.
        """
        return self.layers * self.cache_elements_per_layer * element_bytes


@dataclass(frozen=True)
class _Parts:
    """What the layers of a model are made of; sums over all of them."""

    weights: int
    biases: int
    norms: int
    cache_elements: int
    attention_width: int
    expert_weights: int = 0
    experts: int | None = None
    active_experts: int | None = None


def architecture_of(config: Config) -> Architecture:
    """Count a model.

    Args:
        config: what a config.json holds; keys that are absent have transformers' defaults.

    Raises:
        CodewattError: the model type is not one of `MODEL_TYPES`, or a size is absent.
    """
    model_type = config.get("model_type")
    if model_type not in _MEMBERS:
        allowed = ", ".join(MODEL_TYPES)
        raise CodewattError(f"model type {model_type!r}: its size is not known; known: {allowed}")
    count, final_norm, tied_by_default, head_bias = _MEMBERS[model_type]
    parts = count(config)
    hidden, vocabulary = _size(config, "hidden_size"), _size(config, "vocab_size")
    window, windowed_layers = _window(config)
    inactive = 0
    if parts.experts and parts.active_experts is not None:
        inactive = parts.expert_weights // parts.experts * (parts.experts - parts.active_experts)
    return Architecture(
        model_type=model_type,
        layers=_size(config, "num_hidden_layers"),
        input_embedding=vocabulary * hidden,
        layer_weights=parts.weights,
        active_layer_weights=parts.weights - inactive,
        expert_weights=parts.expert_weights,
        experts=parts.experts,
        active_experts=parts.active_experts,
        head=vocabulary * hidden,
        tied=bool(_given(config, "tie_word_embeddings", tied_by_default)),
        biases=parts.biases + (vocabulary if head_bias else 0),
        norms=parts.norms + final_norm * hidden,
        cache_elements_per_layer=parts.cache_elements,
        attention_width=parts.attention_width,
        window=window,
        windowed_layers=windowed_layers,
    )


def _given(config: Config, key: str, default: Any) -> Any:
    """The configuration's value; where it is absent or null, transformers' default."""
    value = config.get(key)
    return default if value is None else value


def _size(config: Config, key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CodewattError(f"config of {config.get('model_type')}: {key} is {value!r}, not a size")
    return value


@dataclass(frozen=True)
class _Attention:
    """Matrices of ordinary attention with grouped keys and values."""

    hidden: int
    heads: int
    kv_heads: int
    head_size: int

    @classmethod
    def of(cls, config: Config, default_kv_heads: int | None = None) -> "_Attention":
        hidden, heads = _size(config, "hidden_size"), _size(config, "num_attention_heads")
        # A null says "as many as heads"; an absent key has the class's default.
        absent = "num_key_value_heads" not in config and default_kv_heads is not None
        kv_heads = default_kv_heads if absent else config.get("num_key_value_heads")
        return cls(hidden, heads, kv_heads or heads, _given(config, "head_dim", hidden // heads))

    @property
    def query(self) -> int:
        return self.heads * self.head_size

    @property
    def key(self) -> int:
        return self.kv_heads * self.head_size

    @property
    def weights(self) -> int:
        return 2 * self.hidden * (self.query + self.key)

    @property
    def input_biases(self) -> int:
        """Of the query, key and value matrices."""
        return self.query + 2 * self.key

    @property
    def cache_elements(self) -> int:
        return 2 * self.key

    @property
    def attention_width(self) -> int:
        return 4 * self.query


def _starcoder2(config: Config) -> _Parts:
    """LayerNorm, grouped attention and a plain MLP, all with biases unless use_bias is off."""
    layers, inner = _size(config, "num_hidden_layers"), _size(config, "intermediate_size")
    attention = _Attention.of(config, default_kv_heads=2)
    hidden = attention.hidden
    biases = attention.input_biases + hidden + inner + hidden
    return _Parts(
        weights=layers * (attention.weights + 2 * hidden * inner),
        biases=layers * biases if _given(config, "use_bias", True) else 0,
        norms=layers * 2 * 2 * hidden,
        cache_elements=attention.cache_elements,
        attention_width=attention.attention_width,
    )


def _phi(config: Config) -> _Parts:
    """One LayerNorm a layer, attention and MLP side by side, all with biases."""
    layers, inner = _size(config, "num_hidden_layers"), _size(config, "intermediate_size")
    attention = _Attention.of(config)
    hidden = attention.hidden
    qk_norms = 4 * (hidden // attention.heads) if _given(config, "qk_layernorm", False) else 0
    return _Parts(
        weights=layers * (attention.weights + 2 * hidden * inner),
        biases=layers * (attention.input_biases + hidden + inner + hidden),
        norms=layers * (2 * hidden + qk_norms),
        cache_elements=attention.cache_elements,
        attention_width=attention.attention_width,
    )


def _qwen2(config: Config) -> _Parts:
    """RMSNorm, a gated MLP, and biases at query, key and value only."""
    layers, inner = _size(config, "num_hidden_layers"), _size(config, "intermediate_size")
    attention = _Attention.of(config, default_kv_heads=32)
    return _Parts(
        weights=layers * (attention.weights + 3 * attention.hidden * inner),
        biases=layers * attention.input_biases,
        norms=layers * 2 * attention.hidden,
        cache_elements=attention.cache_elements,
        attention_width=attention.attention_width,
    )


def _llama(config: Config) -> _Parts:
    """RMSNorm, a gated MLP, biases only where the configuration asks for them."""
    layers, inner = _size(config, "num_hidden_layers"), _size(config, "intermediate_size")
    attention = _Attention.of(config)
    hidden, biases = attention.hidden, 0
    if _given(config, "attention_bias", False):
        biases += attention.input_biases + hidden
    if _given(config, "mlp_bias", False):
        biases += 2 * inner + hidden
    return _Parts(
        weights=layers * (attention.weights + 3 * hidden * inner),
        biases=layers * biases,
        norms=layers * 2 * hidden,
        cache_elements=attention.cache_elements,
        attention_width=attention.attention_width,
    )


def _gpt_neox(config: Config) -> _Parts:
    """LayerNorm, one matrix for query, key and value of all heads, a plain MLP with biases."""
    layers, inner = _size(config, "num_hidden_layers"), _size(config, "intermediate_size")
    hidden = _size(config, "hidden_size")
    biases = inner + hidden
    if _given(config, "attention_bias", True):
        biases += 3 * hidden + hidden
    return _Parts(
        weights=layers * (4 * hidden * hidden + 2 * hidden * inner),
        biases=layers * biases,
        norms=layers * 2 * 2 * hidden,
        cache_elements=2 * hidden,
        attention_width=4 * hidden,
    )


def _deepseek_v2(config: Config) -> _Parts:
    """Multi-head latent attention; from layer first_k_dense_replace on, a mixture of experts."""
    hidden, layers = _size(config, "hidden_size"), _size(config, "num_hidden_layers")
    heads = _size(config, "num_attention_heads")
    latent, rotated = _given(config, "kv_lora_rank", 512), _given(config, "qk_rope_head_dim", 64)
    key = _given(config, "qk_nope_head_dim", 128) + rotated
    value = _given(config, "v_head_dim", 128)
    query_latent = config.get("q_lora_rank", 1536)  # null: queries are not compressed
    weights = hidden * (latent + rotated) + latent * heads * (key - rotated + value)
    weights += heads * value * hidden
    norms, biases = 2 * hidden + latent, 0
    if query_latent is None:
        weights += hidden * heads * key
    else:
        weights += hidden * query_latent + query_latent * heads * key
        norms += query_latent
    if _given(config, "attention_bias", False):
        biases = (query_latent or 0) + latent + rotated + hidden
    dense = min(_given(config, "first_k_dense_replace", 0), layers)
    sparse = layers - dense
    inner, small = _size(config, "intermediate_size"), _given(config, "moe_intermediate_size", 1407)
    experts = _given(config, "n_routed_experts", 64)
    shared = small * _given(config, "n_shared_experts", 2)
    expert_weights = sparse * experts * 3 * hidden * small
    mlp_biases = 0
    if _given(config, "mlp_bias", False):
        mlp_biases = dense * (2 * inner + hidden) + sparse * (2 * shared + hidden)
    return _Parts(
        weights=layers * weights
        + dense * 3 * hidden * inner
        + sparse * (3 * hidden * shared + experts * hidden)
        + expert_weights,
        biases=layers * biases + mlp_biases,
        norms=layers * norms,
        cache_elements=latent + rotated,
        attention_width=2 * heads * (key + value),
        expert_weights=expert_weights,
        experts=experts if sparse else None,
        active_experts=_size(config, "num_experts_per_tok") if sparse else None,
    )


def _window(config: Config) -> tuple[int | None, int]:
    """The sliding window in tokens, and how many layers have it."""
    layers, window = _size(config, "num_hidden_layers"), config.get("sliding_window")
    if config["model_type"] == "starcoder2":
        return (window, layers) if window is not None else (None, 0)
    if config["model_type"] != "qwen2" or not config.get("use_sliding_window", False):
        return None, 0
    window = config.get("sliding_window", 4096)
    kinds = config.get("layer_types")
    if kinds is not None:
        sliding = sum(kind == "sliding_attention" for kind in kinds[:layers])
    else:
        sliding = max(layers - _given(config, "max_window_layers", 28), 0)
    return (window, sliding) if window is not None and sliding else (None, 0)


#: Model type → its layers; the final norm's vectors of the hidden size (a LayerNorm has weight
#: and bias, an RMSNorm a weight); whether head and embedding are tied unless the configuration
#: says so; whether the head has a bias.
_MEMBERS: dict[str, tuple[Callable[[Config], _Parts], int, bool, bool]] = {
    "starcoder2": (_starcoder2, 2, True, False),
    "phi": (_phi, 2, False, True),
    "qwen2": (_qwen2, 1, False, False),
    "llama": (_llama, 1, False, False),
    "gpt_neox": (_gpt_neox, 2, False, False),
    "deepseek_v2": (_deepseek_v2, 1, False, False),
}
MODEL_TYPES = tuple(_MEMBERS)
