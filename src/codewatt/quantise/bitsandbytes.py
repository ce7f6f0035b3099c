"""bitsandbytes: LLM.int8() (Dettmers et al. 2022) and 4-bit fp4/nf4 (Dettmers et al. 2023)."""

from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.models.loading import load_model
from codewatt.quantise.base import Quantiser
from codewatt.texts.sequences import PreparedText

# DeepSeek's kv_b_proj is read as a raw matrix by its attention: quantised it fails.
_SKIPPED_MODULES = {"deepseek_v2": ["lm_head", "kv_b_proj"]}


class BitsAndBytes(Quantiser):
    """Quantises each linear layer but the head while the model is loaded."""

    def load_dtype(self, settings: dict[str, Any]) -> str:
        """See `Quantiser.load_dtype`."""
        return str(settings["compute_dtype"])

    def import_libraries(self) -> None:
        """See `Quantiser.import_libraries`."""
        import bitsandbytes  # noqa: F401
        import transformers.modeling_utils  # noqa: F401

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: dict[str, Any],
        device: str,
        calibration: PreparedText | None = None,
    ) -> dict[str, Any]:
        """See `Quantiser.quantise`.

        Raises:
            CodewattError: no layer was quantised.
        """
        model_type = read_json(source / "config.json").get("model_type")
        loaded = load_model(
            source,
            dtype=self.load_dtype(settings),
            device=device,
            quantisation=_configuration(settings, _SKIPPED_MODULES.get(model_type)),
        )
        counts = count_quantised(loaded.model)
        if not counts["quantised_modules"]:
            raise CodewattError(f"{source}: bitsandbytes quantised none of its layers")
        loaded.model.save_pretrained(target)
        loaded.tokenizer.save_pretrained(target)
        return counts


def _configuration(settings: dict[str, Any], skipped: list[str] | None) -> Any:
    """transformers' configuration for a study's precision."""
    import torch
    from transformers import BitsAndBytesConfig

    if settings["quant_type"] == "int8":
        return BitsAndBytesConfig(
            load_in_8bit=True,
            llm_int8_threshold=settings["outlier_threshold"],
            llm_int8_skip_modules=skipped,
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=settings["quant_type"],
        bnb_4bit_use_double_quant=settings["double_quantisation"],
        bnb_4bit_compute_dtype=getattr(torch, settings["compute_dtype"]),
        llm_int8_skip_modules=skipped,
    )


def count_quantised(model: Any) -> dict[str, Any]:
    """How much of a model is quantised: modules and weights, and what was left as it was.

    Fused expert weights are parameters of no linear layer and stay unquantised: they count as
    left, so that a mixture of experts does not pass for quantised.
    """
    import bitsandbytes as bnb

    modules = 0
    weights = 0
    packed = set()
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit | bnb.nn.Linear8bitLt):
            modules += 1
            weights += module.in_features * module.out_features
            packed.add(id(module.weight))
    left = sum(p.numel() for p in model.parameters() if id(p) not in packed and p.dim() > 1)
    return {
        "quantised_modules": modules,
        "quantised_weights": weights,
        "unquantised_weights": left,
    }


QUANTISER = BitsAndBytes()
