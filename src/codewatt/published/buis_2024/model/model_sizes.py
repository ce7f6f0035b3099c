"""KV cache and memory of the studies' models: by the printed formulas, and as they are."""

from dataclasses import dataclass

from codewatt.published.buis_2024.model import printed_costs as printed
from codewatt.published.buis_2024.model.corrected_estimates import CACHE_BYTES
from codewatt.published.buis_2024.model.estimate_settings import UNQUANTISED
from codewatt.published.buis_2024.model.study_models import StudyModel
from codewatt.sizing.layer_shapes import config_value
from codewatt.sizing.weight_bytes import weight_bytes

#: Tokens of the sequence for which VRAM is compared: prompt and new tokens of tables 5.19 to 5.35.
SEQUENCE_TOKENS = 2 * 660


@dataclass(frozen=True)
class ModelSize:
    """KV cache of a token, and memory for one sequence in 16 bits (bytes).

    Attributes:
        model: name of the model.
        cache_printed: equation 3.23.
        cache_meant: the same with the number of layers in place of n_params, and the size of a
            head in place of d_model; every query head has keys and values of its own.
        cache_true: what transformers stores.
        vram_printed: equation 3.26 with equation 3.24 and the true number of parameters.
        vram_true: weights and KV cache.
    """

    model: str
    cache_printed: float
    cache_meant: int
    cache_true: int
    vram_printed: float
    vram_true: int


def size_of(model: StudyModel) -> ModelSize:
    """The sizes of one model."""
    x, true = model.variables, model.architecture
    n, h, m = true.parameters, x.heads, x.model_size
    cache_true = true.kv_bytes_per_token(CACHE_BYTES)
    cache = printed.kv_bytes(1, SEQUENCE_TOKENS, n, h, m, CACHE_BYTES)
    return ModelSize(
        model.name,
        printed.kv_bytes_per_token(n, h, m, CACHE_BYTES),
        meant_cache_bytes(x.layers, h, x.head_size, CACHE_BYTES),
        cache_true,
        printed.vram_bytes(n, 2, cache, CACHE_BYTES),
        weight_bytes(true, UNQUANTISED).total + SEQUENCE_TOKENS * cache_true,
    )


def meant_cache_bytes(layers: int, heads: int, head_size: int, element_bytes: int) -> int:
    """2 * l * h * d * p (bytes of a token): the cache without grouped heads. Not printed."""
    return 2 * layers * heads * head_size * element_bytes


def kv_heads(model: StudyModel) -> int:
    """Number of key-value heads by config.json."""
    return int(config_value(model.known.config, "num_key_value_heads", model.variables.heads))
