"""Counts a model's parameters and the size of its KV cache from config.json alone.

Every number equals that of the model that transformers 5.23 builds from the same configuration.
Neither the model nor torch is needed. The layers of each model type are in `layer_shapes`.
"""

from dataclasses import dataclass

from codewatt.errors import CodewattError
from codewatt.sizing.layer_shapes import FAMILIES, Config, Matrix, config_size, config_value

MODEL_TYPES = tuple(FAMILIES)


@dataclass(frozen=True)
class Architecture:
    """Parameter counts of a decoder-only model, and sizes of its KV cache and attention.

    Attributes:
        model_type: name of the model type in transformers.
        layers: number of decoder layers.
        hidden_size: size of the hidden state.
        vocabulary: size of the vocabulary.
        input_embedding: number of weights of the input embedding.
        matrices: the matrices of all layers, with those of all experts.
        layer_weights: number of weights of `matrices`.
        active_layer_weights: number of these weights that one token uses; smaller than
            `layer_weights` only in a mixture of experts.
        expert_weights: number of weights of all routed experts.
        experts: number of routed experts per layer; None without experts.
        active_experts: number of routed experts that one token uses; None without experts.
        head: number of weights of the output head.
        tied: whether head and input embedding share their weights.
        biases: number of biases of layers and head.
        norms: number of weights and biases of all norms.
        cache_elements_per_layer: elements that one token adds to the KV cache of one layer.
        attention_width: FLOPs of one query for one attended token in one layer:
            2 * heads * (size of a key + size of a value).
        window: tokens in the sliding window; None without one.
        windowed_layers: number of layers with a sliding window.
    """

    model_type: str
    layers: int
    hidden_size: int
    vocabulary: int
    input_embedding: int
    matrices: tuple[Matrix, ...]
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
        """Number of all parameters; tied weights count once."""
        own_head = 0 if self.tied else self.head
        return self.input_embedding + self.layer_weights + own_head + self.biases + self.norms

    @property
    def active_parameters(self) -> int:
        """Number of parameters that one token uses: all except those of inactive experts."""
        return self.parameters - self.layer_weights + self.active_layer_weights

    def kv_bytes_per_token(self, element_bytes: int) -> int:
        """Bytes that one token adds to the KV cache of all layers.

        layers * 2 * kv heads * head size * element_bytes. For multi-head latent attention
        (deepseek_v2), transformers 5.23 caches the compressed latent and one rotated key for all
        heads: layers * (kv_lora_rank + qk_rope_head_dim) * element_bytes.

        Args:
            element_bytes: bytes of one element of the cache; 2 for bfloat16.
        """
        return self.layers * self.cache_elements_per_layer * element_bytes


def architecture_of(config: Config) -> Architecture:
    """The architecture of a model.

    Args:
        config: content of config.json; missing keys have the defaults of transformers.

    Raises:
        CodewattError: the model type is not one of `MODEL_TYPES`, or a size is missing.
    """
    model_type = config.get("model_type")
    if model_type not in FAMILIES:
        allowed = ", ".join(MODEL_TYPES)
        raise CodewattError(f"model type {model_type!r}: its size is unknown; allowed: {allowed}")
    family = FAMILIES[model_type]
    layers = family.layers(config)
    hidden, vocabulary = config_size(config, "hidden_size"), config_size(config, "vocab_size")
    window, windowed_layers = _window(config)
    inactive = 0
    if layers.experts and layers.active_experts is not None:
        idle = layers.experts - layers.active_experts
        inactive = layers.expert_weights // layers.experts * idle
    return Architecture(
        model_type=model_type,
        layers=config_size(config, "num_hidden_layers"),
        hidden_size=hidden,
        vocabulary=vocabulary,
        input_embedding=vocabulary * hidden,
        matrices=layers.matrices,
        layer_weights=layers.weights,
        active_layer_weights=layers.weights - inactive,
        expert_weights=layers.expert_weights,
        experts=layers.experts,
        active_experts=layers.active_experts,
        head=vocabulary * hidden,
        tied=bool(config_value(config, "tie_word_embeddings", family.tied)),
        biases=layers.biases + (vocabulary if family.head_bias else 0),
        norms=layers.norms + family.final_norm * hidden,
        cache_elements_per_layer=layers.cache_elements,
        attention_width=layers.attention_width,
        window=window,
        windowed_layers=windowed_layers,
    )


def _window(config: Config) -> tuple[int | None, int]:
    """(sliding window in tokens or None, number of layers that have it)."""
    layers, window = config_size(config, "num_hidden_layers"), config.get("sliding_window")
    if config["model_type"] == "starcoder2":
        return (window, layers) if window is not None else (None, 0)
    if config["model_type"] != "qwen2" or not config.get("use_sliding_window", False):
        return None, 0
    window = config.get("sliding_window", 4096)
    kinds = config.get("layer_types")
    if kinds is not None:
        sliding = sum(kind == "sliding_attention" for kind in kinds[:layers])
    else:
        sliding = max(layers - config_value(config, "max_window_layers", 28), 0)
    return (window, sliding) if window is not None and sliding else (None, 0)
