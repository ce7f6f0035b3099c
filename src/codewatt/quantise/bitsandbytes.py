"""Method `bitsandbytes`: LLM.int8() (Dettmers et al. 2022), fp4 and nf4 (Dettmers et al. 2023)."""

from pathlib import Path
from typing import Any

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.models.loading import load_model
from codewatt.models.model_record import QuantisedCounts
from codewatt.quantise.linear_selection import linear_layers
from codewatt.quantise.precision_settings import PrecisionSettings
from codewatt.quantise.quantiser import Quantiser

# DeepSeek's attention reads the weight of kv_b_proj directly, which fails if it is quantised.
_SKIPPED_MODULES = {"deepseek_v2": ["lm_head", "kv_b_proj"]}
_BLOCK_SIZE = 64  # 4-bit weights that share a scale


class BitsAndBytesQuantiser(Quantiser):
    """Quantises each linear layer except the head while transformers loads the model."""

    def load_dtype(self, settings: PrecisionSettings) -> str:
        """See `Quantiser.load_dtype`."""
        return str(settings["compute_dtype"])

    def import_libraries(self, settings: PrecisionSettings) -> None:
        """See `Quantiser.import_libraries`."""
        import bitsandbytes  # noqa: F401
        import transformers.modeling_utils  # noqa: F401

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: PrecisionSettings,
        device: str,
        calibration: PreparedCorpus | None = None,
    ) -> QuantisedCounts:
        """See `Quantiser.quantise`.

        Raises:
            CodewattError: a layer was not quantised as the settings say.
        """
        skipped = _SKIPPED_MODULES.get(read_json(source / "config.json").get("model_type"))
        loaded = load_model(
            source,
            dtype=self.load_dtype(settings),
            device=device,
            quantisation=_quantisation_config(settings, skipped),
        )
        layers = {
            name: shape
            for name, shape in linear_layers(source).items()
            if name.rpartition(".")[2] not in (skipped or ())
        }
        counts = count_quantised(loaded.model, layers, settings)
        loaded.model.save_pretrained(target)
        loaded.tokenizer.save_pretrained(target)
        return counts


def _quantisation_config(settings: PrecisionSettings, skipped: list[str] | None) -> Any:
    """transformers' quantisation config for a study's precision."""
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


def count_quantised(
    model: Any, layers: dict[str, tuple[int, int]], settings: PrecisionSettings
) -> QuantisedCounts:
    """Count quantised and unquantised weights, from the model's tensors.

    Fused expert weights belong to no linear layer and stay unquantised. They count as unquantised,
    so that a mixture of experts is not reported as fully quantised.

    Args:
        model: the quantised model.
        layers: name -> (out, in) of the layers that must be quantised.
        settings: a study's precision.

    Returns:
        quantised_modules, quantised_weights, unquantised_weights (in matrices), packed_bytes.

    Raises:
        CodewattError: a layer is not quantised, or not as the settings say.
    """
    weights = 0
    packed_bytes = 0
    packed = set()
    for name, (out, ins) in layers.items():
        weight = model.get_submodule(name).weight
        expected, found = _expected(out, ins, settings), _describe_weight(weight)
        if found != expected:
            raise CodewattError(f"{name}: bitsandbytes made {found}; expected {expected}")
        weights += out * ins
        packed_bytes += weight.nbytes
        packed.add(id(weight))
    if not packed:
        raise CodewattError(
            "bitsandbytes: the model has no linear layer except its head, so nothing to quantise; "
            "use precision method none"
        )
    unquantised = sum(p.numel() for p in model.parameters() if id(p) not in packed and p.dim() > 1)
    return {
        "quantised_modules": len(packed),
        "quantised_weights": weights,
        "unquantised_weights": unquantised,
        "packed_bytes": packed_bytes,
    }


def _expected(out: int, ins: int, settings: PrecisionSettings) -> dict[str, Any]:
    """Description of a layer's quantised weight as the settings say."""
    if settings["quant_type"] == "int8":
        return {"bits": 8, "kind": "int8", "bytes": out * ins, "scales": out}
    return {
        "bits": 4,
        "kind": settings["quant_type"],
        "bytes": -(-out * ins // 2),
        "scales": -(-out * ins // _BLOCK_SIZE),
        "double": settings["double_quantisation"],
    }


def _describe_weight(weight: Any) -> dict[str, Any]:
    """Description of a layer's quantised weight, from its tensors."""
    state, scales = getattr(weight, "quant_state", None), getattr(weight, "SCB", None)
    if state is not None:
        return {
            "bits": 4,
            "kind": state.quant_type,
            "bytes": weight.nbytes,
            "scales": state.absmax.numel(),
            "double": state.nested,
        }
    if scales is not None:
        kind = str(weight.dtype).removeprefix("torch.")
        return {"bits": 8, "kind": kind, "bytes": weight.nbytes, "scales": scales.numel()}
    return {"bits": 8 * weight.element_size(), "kind": "unquantised"}


QUANTISER = BitsAndBytesQuantiser()
