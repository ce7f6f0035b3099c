"""The data of figures 4.1 to 4.5 of Buis 2024, made anew from the formulas.

The thesis shows these figures as images without numbers, and does not state their settings. Model:
Qwen2.5-Coder-7B-Instruct, which the text names for figures 4.4 and 4.5. Tokens, precision and GPU
are those of table 5.14, except for the KV cache, where a sequence has 32,768 tokens: this gives
1.88 GB for a sequence, close to the 1.875 GB that section 4.1.2 states.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from codewatt.published.buis_2024.model import printed_costs as costs
from codewatt.published.buis_2024.model import printed_parameters as printed
from codewatt.published.buis_2024.model.corrected_estimates import (
    CACHE_BYTES,
    demand_of,
    roofline_s,
)
from codewatt.published.buis_2024.model.estimate_settings import settings_of
from codewatt.published.buis_2024.model.model_sizes import kv_heads, meant_cache_bytes
from codewatt.published.buis_2024.model.reproduced_estimates import printed_times
from codewatt.published.buis_2024.model.study_models import study_models
from codewatt.sizing.gpu_datasheets import get_gpu
from codewatt.sizing.parameter_counts import architecture_of
from codewatt.sizing.roofline import GeneratedSequence

MODEL = "Qwen2.5-Coder-7B-Instruct"
#: Tokens of a sequence in figures 4.4 and 4.5.
CACHE_TOKENS = 32_768
#: Values of a varied variable, as a share of the model's own.
FACTORS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
_BATCHES = range(1, 9)


@dataclass(frozen=True)
class FigurePoint:
    """One point of a figure.

    Attributes:
        figure: number of the figure.
        variable: what is varied, or the part of a sum.
        value: value of the variable.
        unit: of the three results.
        printed: by the printed formulas.
        meant: by the formulas with their misprints removed; None where nothing is removed.
        true: as it is.
    """

    figure: str
    variable: str
    value: float
    unit: str
    printed: float
    meant: float | None
    true: float


def figure_points() -> Iterator[FigurePoint]:
    """All points, in the order of the figures."""
    yield from _generation_time("4.1", 1)
    yield from _generation_time("4.2", 10)
    yield from _parameters()
    yield from _cache()
    yield from _vram()


def _generation_time(figure: str, new_tokens: int) -> Iterator[FigurePoint]:
    """TTFT, and the time of the output tokens.

    The printed formula multiplies TPOT with all tokens, although TTFT contains the first one.
    """
    settings = settings_of("5.14", "Qwen2.5-Coder-7B")
    ttft_s, tpot_s = printed_times(settings)
    sequence = GeneratedSequence(settings.tokens, new_tokens)
    prefill_s, decode_s = roofline_s(
        demand_of(settings.model, settings.precision), sequence, get_gpu("l40s")
    )
    yield FigurePoint(figure, "TTFT", new_tokens, "s", ttft_s, None, prefill_s)
    yield FigurePoint(figure, "TPOT * tokens", new_tokens, "s", tpot_s * new_tokens, None, decode_s)


def _parameters() -> Iterator[FigurePoint]:
    """Figure 4.3: each variable of equation 3.19 varied alone.

    In the true counts the number of key-value heads, the inner size and the head size stay, so that
    one number only changes.
    """
    model = study_models()[MODEL]
    x = model.variables
    config = {**model.known.config, "head_dim": x.head_size}
    keys = {
        "layers": "num_hidden_layers",
        "model_size": "hidden_size",
        "heads": "num_attention_heads",
        "head_size": "head_dim",
        "vocabulary": "vocab_size",
        "context": "max_position_embeddings",
    }
    for variable, key in keys.items():
        for factor in FACTORS:
            value = round(getattr(x, variable) * factor)
            varied = replace(x, **{variable: value})
            if variable == "layers":
                varied = replace(varied, norms=2 * value + 1)
            yield FigurePoint(
                "4.3",
                variable,
                value,
                "parameters",
                printed.total_dense_parameters(varied),
                printed.total_dense_parameters_meant(varied),
                architecture_of({**config, key: value}).parameters,
            )


def _cache() -> Iterator[FigurePoint]:
    """Figure 4.4: batch size, tokens, heads, model size, bytes of an element and groups."""
    model = study_models()[MODEL]
    x, n = model.variables, model.architecture.parameters
    own, size = kv_heads(model), x.head_size

    def point(
        variable: str,
        value: float,
        *,
        batch: int = 1,
        tokens: int = CACHE_TOKENS,
        heads: int = x.heads,
        model_size: int = x.model_size,
        element: int = CACHE_BYTES,
        groups: int = 1,
        kept: int = own,
        head_size: int = size,
    ) -> FigurePoint:
        count = batch * tokens
        return FigurePoint(
            "4.4",
            variable,
            value,
            "bytes",
            costs.kv_bytes_grouped(batch, tokens, n, heads, groups, model_size, element),
            count * meant_cache_bytes(x.layers, heads, head_size, element) / groups,
            count * meant_cache_bytes(x.layers, kept, head_size, element),
        )

    for batch in _BATCHES:
        yield point("batch size", batch, batch=batch)
    for factor in FACTORS:
        tokens = round(CACHE_TOKENS * factor)
        yield point("tokens", tokens, tokens=tokens)
    for kept in range(1, 2 * own + 1):
        # Whole numbers of key-value heads, with seven query heads for each.
        heads = kept * x.heads // own
        yield point("heads", heads, heads=heads, kept=kept)
    for factor in FACTORS:
        value = round(x.model_size * factor)
        yield point("model_size", value, model_size=value, head_size=value // x.heads)
    for element in (1, 2, 4):
        yield point("bytes per element", element, element=element)
    for groups in (1, 2, 4, 7, 14, 28):
        # g as what it divides by: query heads that share keys and values.
        yield point("groups", groups, groups=groups, kept=x.heads // groups)


def _vram() -> Iterator[FigurePoint]:
    """Figure 4.5: bytes of a parameter, parameters, tokens in the KV cache, and groups."""
    model = study_models()[MODEL]
    x, n, own = model.variables, model.architecture.parameters, kv_heads(model)

    def point(
        variable: str,
        value: float,
        *,
        weight: float = 2,
        parameters: float = n,
        tokens: int = CACHE_TOKENS,
        groups: int = 1,
        kept: int = own,
    ) -> FigurePoint:
        head_bytes = tokens * meant_cache_bytes(x.layers, 1, x.head_size, CACHE_BYTES)
        literal = costs.kv_bytes_grouped(
            1, tokens, parameters, x.heads, groups, x.model_size, CACHE_BYTES
        )
        return FigurePoint(
            "4.5",
            variable,
            value,
            "bytes",
            costs.vram_bytes(parameters, weight, literal, CACHE_BYTES),
            parameters * weight + head_bytes * x.heads / groups,
            parameters * weight + head_bytes * kept,
        )

    for weight in (0.5, 1, 2, 4):
        yield point("bytes per parameter", weight, weight=weight)
    for factor in FACTORS:
        yield point("parameters", n * factor, parameters=n * factor)
    for factor in FACTORS:
        tokens = round(CACHE_TOKENS * factor)
        yield point("tokens", tokens, tokens=tokens)
    for groups in (1, 2, 4, 7, 14, 28):
        yield point("groups", groups, groups=groups, kept=x.heads // groups)
