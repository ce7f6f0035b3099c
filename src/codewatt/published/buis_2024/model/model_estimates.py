"""Compute, memory, times and energy of every model of both studies: as printed, and as they are.

All models have the settings of tables 5.19 to 5.35: 16 bits, 660 prompt tokens and 660 new tokens,
rates and power of the L40S's data sheet. The printed formulas get the exact number of parameters.
"""

from dataclasses import dataclass

from codewatt.published.buis_2024.model import printed_costs as printed
from codewatt.published.buis_2024.model.corrected_estimates import correct
from codewatt.published.buis_2024.model.estimate_settings import settings_of_model
from codewatt.published.buis_2024.model.reproduced_estimates import printed_times
from codewatt.published.buis_2024.model.study_models import StudyModel
from codewatt.sizing.gpu_datasheets import get_gpu


@dataclass(frozen=True)
class Costs:
    """Costs of one sequence.

    Attributes:
        prefill_flops: FLOPs of the prompt.
        decode_flops: FLOPs of a decode step (mean).
        step_bytes: bytes that a decode step moves (mean).
        ttft_s, tpot_s, tgt_s: times (s).
        vram_bytes: weights, and for the right costs the KV cache.
        energy_j: TGT times the TDP of the GPU (J).
    """

    prefill_flops: float
    decode_flops: float
    step_bytes: float
    ttft_s: float
    tpot_s: float
    tgt_s: float
    vram_bytes: float
    energy_j: float


@dataclass(frozen=True)
class ModelEstimate:
    """The costs of a model by the printed formulas (3.26 to 3.34), and the right ones."""

    model: str
    printed: Costs
    right: Costs


def estimate_model(model: StudyModel) -> ModelEstimate:
    """The costs of one model."""
    settings = settings_of_model(model.name, model.architecture.parameters)
    n, tdp_w = settings.n_params, get_gpu("l40s").tdp_w
    ttft_s, tpot_s = printed_times(settings)
    tgt_s = printed.total_generation_time_s(ttft_s, tpot_s, settings.tokens)
    right = correct(settings, "", model.name)
    return ModelEstimate(
        model.name,
        Costs(
            printed.prefill_compute(n, 1, settings.tokens),
            printed.decode_compute(n, 1),
            printed.decode_memory(n),
            ttft_s,
            tpot_s,
            tgt_s,
            printed.vram_bytes(n, 2, 0, 2),
            printed.energy_j(tdp_w, tgt_s),
        ),
        Costs(
            right.prefill_flops,
            right.decode_flops,
            right.step_bytes,
            right.ttft_s,
            right.tpot_s,
            right.tgt_s,
            right.vram_bytes,
            printed.energy_j(tdp_w, right.tgt_s),
        ),
    )
