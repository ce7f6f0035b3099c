"""The matrices, biases and norms of each model type's layers, from its configuration alone.

Every number is that of the model that transformers 5.23 builds from the same configuration
(`modeling_<model type>.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from codewatt.errors import CodewattError

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Matrix:
    """Matrices of one shape, `count` of them over all layers.

    `name` is the last part of the layer's name. `kind` is "linear" for a linear layer of its own,
    "expert" for one of a routed expert (transformers fuses them into a parameter), "router" for
    what sends tokens to experts (a parameter too).
    """

    name: str
    outs: int
    ins: int
    count: int
    kind: str = "linear"

    @property
    def weights(self) -> int:
        """Of all of them."""
        return self.outs * self.ins * self.count


@dataclass(frozen=True)
class Layers:
    """What the layers of a model are made of; sums over all of them."""

    matrices: tuple[Matrix, ...]
    biases: int
    norms: int
    cache_elements: int
    attention_width: int
    experts: int | None = None
    active_experts: int | None = None

    @property
    def weights(self) -> int:
        """Of all matrices."""
        return sum(matrix.weights for matrix in self.matrices)

    @property
    def expert_weights(self) -> int:
        """Of the routed experts' matrices."""
        return sum(matrix.weights for matrix in self.matrices if matrix.kind == "expert")


@dataclass(frozen=True)
class Family:
    """A model type.

    Attributes:
        layers: counts them.
        final_norm: vectors of the hidden size in the last norm (a LayerNorm has weight and bias,
            an RMSNorm a weight).
        tied: whether head and embedding are one table unless the configuration says so.
        head_bias: whether the head has a bias.
    """

    layers: Callable[[Config], Layers]
    final_norm: int
    tied: bool
    head_bias: bool


def config_value(config: Config, key: str, default: Any) -> Any:
    """The configuration's value; where it is absent or null, transformers' default."""
    value = config.get(key)
    return default if value is None else value


def config_size(config: Config, key: str) -> int:
    """A size that has to be there.

    Raises:
        CodewattError: it is not, or is no positive integer.
    """
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CodewattError(
            f"config.json of model type {config.get('model_type')}: {key} is {value!r}; allowed: a "
            "positive integer"
        )
    return value


@dataclass(frozen=True)
class _Attention:
    """Ordinary attention with grouped keys and values."""

    hidden: int
    heads: int
    kv_heads: int
    head_size: int

    @classmethod
    def of(cls, config: Config, default_kv_heads: int | None = None) -> "_Attention":
        hidden, heads = (
            config_size(config, "hidden_size"),
            config_size(config, "num_attention_heads"),
        )
        # A null says "as many as heads"; an absent key has the class's default.
        absent = "num_key_value_heads" not in config and default_kv_heads is not None
        kv_heads = default_kv_heads if absent else config.get("num_key_value_heads")
        return cls(
            hidden, heads, kv_heads or heads, config_value(config, "head_dim", hidden // heads)
        )

    @property
    def query(self) -> int:
        return self.heads * self.head_size

    @property
    def key(self) -> int:
        return self.kv_heads * self.head_size

    def matrices(self, layers: int, out: str) -> tuple[Matrix, ...]:
        """Query, key, value and `out`, the one after attention."""
        return (
            Matrix("q_proj", self.query, self.hidden, layers),
            Matrix("k_proj", self.key, self.hidden, layers),
            Matrix("v_proj", self.key, self.hidden, layers),
            Matrix(out, self.hidden, self.query, layers),
        )

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


def _plain_mlp(names: tuple[str, str], hidden: int, inner: int, layers: int) -> tuple[Matrix, ...]:
    """Up and down."""
    return (Matrix(names[0], inner, hidden, layers), Matrix(names[1], hidden, inner, layers))


def _gated_mlp(hidden: int, inner: int, count: int, kind: str = "linear") -> tuple[Matrix, ...]:
    """Gate, up and down."""
    return (
        Matrix("gate_proj", inner, hidden, count, kind),
        Matrix("up_proj", inner, hidden, count, kind),
        Matrix("down_proj", hidden, inner, count, kind),
    )


def _starcoder2(config: Config) -> Layers:
    """LayerNorm, grouped attention and a plain MLP, all with biases unless use_bias is off."""
    layers, inner = (
        config_size(config, "num_hidden_layers"),
        config_size(config, "intermediate_size"),
    )
    attention = _Attention.of(config, default_kv_heads=2)
    hidden = attention.hidden
    biases = attention.input_biases + hidden + inner + hidden
    return Layers(
        matrices=attention.matrices(layers, "o_proj")
        + _plain_mlp(("c_fc", "c_proj"), hidden, inner, layers),
        biases=layers * biases if config_value(config, "use_bias", True) else 0,
        norms=layers * 2 * 2 * hidden,
        cache_elements=attention.cache_elements,
        attention_width=attention.attention_width,
    )


def _phi(config: Config) -> Layers:
    """One LayerNorm a layer, attention and MLP side by side, all with biases."""
    layers, inner = (
        config_size(config, "num_hidden_layers"),
        config_size(config, "intermediate_size"),
    )
    attention = _Attention.of(config)
    hidden = attention.hidden
    qk_norms = 4 * (hidden // attention.heads) if config_value(config, "qk_layernorm", False) else 0
    return Layers(
        matrices=attention.matrices(layers, "dense")
        + _plain_mlp(("fc1", "fc2"), hidden, inner, layers),
        biases=layers * (attention.input_biases + hidden + inner + hidden),
        norms=layers * (2 * hidden + qk_norms),
        cache_elements=attention.cache_elements,
        attention_width=attention.attention_width,
    )


def _qwen2(config: Config) -> Layers:
    """RMSNorm, a gated MLP, and biases at query, key and value only."""
    layers, inner = (
        config_size(config, "num_hidden_layers"),
        config_size(config, "intermediate_size"),
    )
    attention = _Attention.of(config, default_kv_heads=32)
    return Layers(
        matrices=attention.matrices(layers, "o_proj") + _gated_mlp(attention.hidden, inner, layers),
        biases=layers * attention.input_biases,
        norms=layers * 2 * attention.hidden,
        cache_elements=attention.cache_elements,
        attention_width=attention.attention_width,
    )


def _llama(config: Config) -> Layers:
    """RMSNorm, a gated MLP, biases only where the configuration asks for them."""
    layers, inner = (
        config_size(config, "num_hidden_layers"),
        config_size(config, "intermediate_size"),
    )
    attention = _Attention.of(config)
    hidden, biases = attention.hidden, 0
    if config_value(config, "attention_bias", False):
        biases += attention.input_biases + hidden
    if config_value(config, "mlp_bias", False):
        biases += 2 * inner + hidden
    return Layers(
        matrices=attention.matrices(layers, "o_proj") + _gated_mlp(hidden, inner, layers),
        biases=layers * biases,
        norms=layers * 2 * hidden,
        cache_elements=attention.cache_elements,
        attention_width=attention.attention_width,
    )


def _gpt_neox(config: Config) -> Layers:
    """LayerNorm, one matrix for query, key and value of all heads, a plain MLP with biases."""
    layers, inner = (
        config_size(config, "num_hidden_layers"),
        config_size(config, "intermediate_size"),
    )
    hidden = config_size(config, "hidden_size")
    biases = inner + hidden
    if config_value(config, "attention_bias", True):
        biases += 3 * hidden + hidden
    return Layers(
        matrices=(
            Matrix("query_key_value", 3 * hidden, hidden, layers),
            Matrix("dense", hidden, hidden, layers),
            *_plain_mlp(("dense_h_to_4h", "dense_4h_to_h"), hidden, inner, layers),
        ),
        biases=layers * biases,
        norms=layers * 2 * 2 * hidden,
        cache_elements=2 * hidden,
        attention_width=4 * hidden,
    )


def _deepseek_v2(config: Config) -> Layers:
    """Multi-head latent attention; from layer first_k_dense_replace on, a mixture of experts."""
    hidden, layers = config_size(config, "hidden_size"), config_size(config, "num_hidden_layers")
    heads = config_size(config, "num_attention_heads")
    latent, rotated = (
        config_value(config, "kv_lora_rank", 512),
        config_value(config, "qk_rope_head_dim", 64),
    )
    key = config_value(config, "qk_nope_head_dim", 128) + rotated
    value = config_value(config, "v_head_dim", 128)
    query_latent = config.get("q_lora_rank", 1536)  # null: queries are not compressed
    matrices = [
        Matrix("kv_a_proj_with_mqa", latent + rotated, hidden, layers),
        Matrix("kv_b_proj", heads * (key - rotated + value), latent, layers),
        Matrix("o_proj", hidden, heads * value, layers),
    ]
    norms, biases = 2 * hidden + latent, 0
    if query_latent is None:
        matrices.append(Matrix("q_proj", heads * key, hidden, layers))
    else:
        matrices.append(Matrix("q_a_proj", query_latent, hidden, layers))
        matrices.append(Matrix("q_b_proj", heads * key, query_latent, layers))
        norms += query_latent
    if config_value(config, "attention_bias", False):
        biases = (query_latent or 0) + latent + rotated + hidden
    dense = min(config_value(config, "first_k_dense_replace", 0), layers)
    sparse = layers - dense
    inner, small = (
        config_size(config, "intermediate_size"),
        config_value(config, "moe_intermediate_size", 1407),
    )
    experts = config_value(config, "n_routed_experts", 64)
    shared = small * config_value(config, "n_shared_experts", 2)
    if dense:
        matrices += _gated_mlp(hidden, inner, dense)
    if sparse:
        matrices += _gated_mlp(hidden, shared, sparse)
        matrices += _gated_mlp(hidden, small, sparse * experts, "expert")
        matrices.append(Matrix("gate", experts, hidden, sparse, "router"))
    mlp_biases = 0
    if config_value(config, "mlp_bias", False):
        mlp_biases = dense * (2 * inner + hidden) + sparse * (2 * shared + hidden)
    return Layers(
        matrices=tuple(matrices),
        biases=layers * biases + mlp_biases,
        norms=layers * norms,
        cache_elements=latent + rotated,
        attention_width=2 * heads * (key + value),
        experts=experts if sparse else None,
        active_experts=config_size(config, "num_experts_per_tok") if sparse else None,
    )


FAMILIES: dict[str, Family] = {
    "starcoder2": Family(_starcoder2, final_norm=2, tied=True, head_bias=False),
    "phi": Family(_phi, final_norm=2, tied=False, head_bias=True),
    "qwen2": Family(_qwen2, final_norm=1, tied=False, head_bias=False),
    "llama": Family(_llama, final_norm=1, tied=False, head_bias=False),
    "gpt_neox": Family(_gpt_neox, final_norm=2, tied=False, head_bias=False),
    "deepseek_v2": Family(_deepseek_v2, final_norm=1, tied=False, head_bias=False),
}
