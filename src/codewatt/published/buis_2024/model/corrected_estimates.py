"""The estimates of tables 5.14 to 5.35 as they are: exact sizes and the roofline.

Prompt, new tokens, GPU and its data sheet rates are those of the printed estimates
(`estimate_settings.py`), so that only the formulas differ. The times are lower bounds.
"""

from dataclasses import dataclass

from codewatt.published.buis_2024.model.estimate_settings import (
    EstimateSettings,
    settings_of,
)
from codewatt.published.buis_2024.model.study_models import study_models
from codewatt.sizing.gpu_datasheets import Gpu, get_gpu
from codewatt.sizing.roofline import (
    Demand,
    GeneratedSequence,
    decode_work,
    prefill_work,
    roofline_times,
)
from codewatt.sizing.weight_bytes import weight_bytes

#: Bytes of an element of the KV cache, 16 bits.
CACHE_BYTES = 2
#: Dtype of the matrix multiplications: kernels of GPTQ and AWQ multiply in 16 bits.
DTYPE = "float16"


@dataclass(frozen=True)
class CorrectedEstimate:
    """One row of a table of estimates, computed as it is.

    Attributes:
        table, row: labels.
        parameters, active_parameters: of the whole model, and of one token.
        prefill_flops: of the prompt.
        decode_flops: of one decode step (mean).
        step_bytes: bytes that one decode step moves (mean): weights and KV cache.
        ttft_s, tpot_s, tgt_s: lower bounds of the times (s).
        weight_bytes: of all weights, in the row's precision.
        cache_bytes: KV cache of prompt and new tokens.
    """

    table: str
    row: str
    parameters: int
    active_parameters: int
    prefill_flops: float
    decode_flops: float
    step_bytes: float
    ttft_s: float
    tpot_s: float
    tgt_s: float
    weight_bytes: int
    cache_bytes: int

    @property
    def vram_bytes(self) -> int:
        """Weights and KV cache; activations and the CUDA context come in addition."""
        return self.weight_bytes + self.cache_bytes


def demand_of(model: str, precision: dict[str, object]) -> Demand:
    """Demand of a model of the studies in a precision."""
    architecture = study_models()[model].architecture
    return Demand.of(architecture, weight_bytes(architecture, precision).step, CACHE_BYTES)


def roofline_s(demand: Demand, sequence: GeneratedSequence, gpu: Gpu) -> tuple[float, float]:
    """Least times (s) of prefill and of all decode steps, at data sheet rates."""
    rates = (gpu.bandwidth_bytes_per_s, gpu.flops_per_s[DTYPE])
    prefill = roofline_times(prefill_work(demand, [sequence]), *rates)[2]
    decode = roofline_times(decode_work(demand, [sequence]), *rates)[2]
    # Both rates are known, so that no time is None.
    return prefill or 0.0, decode or 0.0


def correct_estimate(table: str, row: str) -> CorrectedEstimate:
    """The corrected estimate of a row of a table."""
    return correct(settings_of(table, row), table, row)


def correct(settings: EstimateSettings, table: str, row: str) -> CorrectedEstimate:
    """The corrected estimate of some settings; `table` and `row` are labels."""
    architecture = study_models()[settings.model].architecture
    demand = demand_of(settings.model, settings.precision)
    sequence = GeneratedSequence(settings.tokens, settings.tokens)
    steps = sequence.new_tokens - 1
    decode = decode_work(demand, [sequence])
    ttft_s, decode_s = roofline_s(demand, sequence, get_gpu("l40s"))
    return CorrectedEstimate(
        table,
        row,
        architecture.parameters,
        architecture.active_parameters,
        prefill_work(demand, [sequence]).flops,
        decode.flops / steps,
        decode.moved_bytes / steps,
        ttft_s,
        decode_s / steps,
        ttft_s + decode_s,
        weight_bytes(architecture, settings.precision).total,
        demand.kv_bytes_per_token * (sequence.prompt_tokens + sequence.new_tokens),
    )
