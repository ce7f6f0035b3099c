"""A model's parameters and its key/value cache, counted from its configuration alone.

Every number is that of the model that transformers 5.23 builds from the same configuration; no
model and no torch is needed. What the layers of each model type hold stands in `families`.
"""

from dataclasses import dataclass

from codewatt.errors import CodewattError
from codewatt.sizing.layer_shapes import FAMILIES, Config, Matrix, config_size, config_value

MODEL_TYPES = tuple(FAMILIES)


@dataclass(frozen=True)
class Architecture:
    """Parameters of a decoder-only model, by what they are for, and what a token leaves behind.

    Attributes:
        model_type: as transformers names it.
        layers: decoder layers.
        hidden_size: numbers that go from layer to layer for each token.
        vocabulary: tokens.
        input_embedding: weights of the table that token ids are looked up in.
        matrices: of the layers, every expert's among them.
        layer_weights: weights of all of them.
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
        attention_width: 2 * heads * (size of a key + size of a value): FLOPs of one query on
            one attended token in one layer.
        window: tokens that a layer with a sliding window attends to; None without one.
        windowed_layers: how many layers have that window.
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


def architecture_of(config: Config) -> Architecture:
    """Count a model.

    Args:
        config: what a config.json holds; keys that are absent have transformers' defaults.

    Raises:
        CodewattError: the model type is not one of `MODEL_TYPES`, or a size is absent.
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
    """The sliding window in tokens, and how many layers have it."""
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
