"""Matrices, biases and norms of the layers of each model type, from config.json alone.

Every number equals that of the model that transformers 5.23 builds from the same configuration
(`modeling_<model type>.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from codewatt.errors import CodewattError

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Matrix:
    """Matrices of the same name and shape in all layers.

    Attributes:
        name: last part of the layer's name in transformers.
        outs, ins: shape of the matrix.
        count: number of such matrices in all layers.
        kind: "linear" for a linear layer; "expert" for a matrix of a routed expert (transformers
            fuses experts into one parameter); "router" for the gate that selects experts.
    """

    name: str
    outs: int
    ins: int
    count: int
    kind: str = "linear"

    @property
    def weights(self) -> int:
        """Number of weights of all `count` matrices."""
        return self.outs * self.ins * self.count


@dataclass(frozen=True)
class Layers:
    """Matrices and parameter counts, summed over all layers of a model.

    For `cache_elements` (per layer and token), `attention_width`, `experts` and `active_experts`
    see `parameter_counts.Architecture`.
    """

    matrices: tuple[Matrix, ...]
    biases: int
    norms: int
    cache_elements: int
    attention_width: int
    experts: int | None = None
    active_experts: int | None = None

    @property
    def weights(self) -> int:
        """Number of weights of all matrices."""
        return sum(matrix.weights for matrix in self.matrices)

    @property
    def expert_weights(self) -> int:
        """Number of weights of the routed experts."""
        return sum(matrix.weights for matrix in self.matrices if matrix.kind == "expert")


@dataclass(frozen=True)
class Family:
    """A model type.

    Attributes:
        layers: function that counts the layers' parameters from config.json.
        final_norm: vectors in the last norm: 2 for LayerNorm (weight and bias), 1 for RMSNorm.
        tied: whether head and input embedding are tied, unless config.json sets it.
        head_bias: whether the head has a bias.
    """

    layers: Callable[[Config], Layers]
    final_norm: int
    tied: bool
    head_bias: bool


def config_value(config: Config, key: str, default: Any) -> Any:
    """The value of a key of config.json; `default` if it is absent or null."""
    value = config.get(key)
    return default if value is None else value


def config_size(config: Config, key: str) -> int:
    """The value of a required key of config.json: a positive integer.

    Raises:
        CodewattError: the key is missing or its value is not a positive integer.
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
    """Multi-head attention with grouped keys and values (GQA)."""

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
        # null means "as many as heads"; a missing key has the default of transformers' class.
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
        """Matrices of query, key, value and the output projection, whose name is `out`."""
        return (
            Matrix("q_proj", self.query, self.hidden, layers),
            Matrix("k_proj", self.key, self.hidden, layers),
            Matrix("v_proj", self.key, self.hidden, layers),
            Matrix(out, self.hidden, self.query, layers),
        )

    @property
    def input_biases(self) -> int:
        """Number of biases of query, key and value."""
        return self.query + 2 * self.key

    @property
    def cache_elements(self) -> int:
        return 2 * self.key

    @property
    def attention_width(self) -> int:
        return 4 * self.query


def _plain_mlp(names: tuple[str, str], hidden: int, inner: int, layers: int) -> tuple[Matrix, ...]:
    """Matrices of an ungated MLP: up and down projection."""
    return (Matrix(names[0], inner, hidden, layers), Matrix(names[1], hidden, inner, layers))


def _gated_mlp(hidden: int, inner: int, count: int, kind: str = "linear") -> tuple[Matrix, ...]:
    """Matrices of a gated MLP: gate, up and down projection."""
    return (
        Matrix("gate_proj", inner, hidden, count, kind),
        Matrix("up_proj", inner, hidden, count, kind),
        Matrix("down_proj", hidden, inner, count, kind),
    )


def _starcoder2(config: Config) -> Layers:
    """LayerNorm, GQA and an ungated MLP, all with biases if use_bias is true."""
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
    """One LayerNorm per layer, attention and MLP in parallel, all with biases."""
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
    """RMSNorm, a gated MLP, and biases of query, key and value only."""
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
    """RMSNorm and a gated MLP; biases only if the configuration sets them."""
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
    """LayerNorm, one fused matrix for query, key and value, and an ungated MLP with biases."""
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
    """Multi-head latent attention; a mixture of experts from layer first_k_dense_replace on."""
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
