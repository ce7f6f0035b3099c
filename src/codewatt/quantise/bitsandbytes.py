"""bitsandbytes: LLM.int8() (Dettmers et al. 2022) and 4-bit fp4/nf4 (Dettmers et al. 2023)."""

from pathlib import Path
from typing import Any

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.models.loading import load_model
from codewatt.models.model_record import QuantisedCounts
from codewatt.quantise.linear_selection import linear_layers
from codewatt.quantise.quantiser import Quantiser

# DeepSeek's kv_b_proj is read as a raw matrix by its attention: quantised it fails.
_SKIPPED_MODULES = {"deepseek_v2": ["lm_head", "kv_b_proj"]}
_BLOCK_WEIGHTS = 64  # that share a scale, in 4 bits


class BitsAndBytes(Quantiser):
    """Quantises each linear layer but the head while the model is loaded."""

    def load_dtype(self, settings: dict[str, Any]) -> str:
        """See `Quantiser.load_dtype`."""
        return str(settings["compute_dtype"])

    def import_libraries(self, settings: dict[str, Any]) -> None:
        """See `Quantiser.import_libraries`."""
        import bitsandbytes  # noqa: F401
        import transformers.modeling_utils  # noqa: F401

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: dict[str, Any],
        device: str,
        calibration: PreparedCorpus | None = None,
    ) -> QuantisedCounts:
        """See `Quantiser.quantise`.

        Raises:
            CodewattError: a layer was not quantised as it was asked for.
        """
        skipped = _SKIPPED_MODULES.get(read_json(source / "config.json").get("model_type"))
        loaded = load_model(
            source,
            dtype=self.load_dtype(settings),
            device=device,
            quantisation=_configuration(settings, skipped),
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


def count_quantised(
    model: Any, layers: dict[str, tuple[int, int]], settings: dict[str, Any]
) -> QuantisedCounts:
    """How much of a model is quantised, as its packed tensors say, and what was left as it was.

    Fused expert weights are parameters of no linear layer and stay unquantised: they count as
    left, so that a mixture of experts does not pass for quantised.

    Args:
        model: quantised.
        layers: name -> (out, in) of the layers that have to be.
        settings: the study's precision.

    Raises:
        CodewattError: a layer is not quantised, or not as it was asked for.
    """
    weights = 0
    packed_bytes = 0
    packed = set()
    for name, (out, ins) in layers.items():
        weight = model.get_submodule(name).weight
        wanted, found = _wanted(out, ins, settings), _packed(weight)
        if found != wanted:
            raise CodewattError(f"{name}: bitsandbytes made {found}, not {wanted}")
        weights += out * ins
        packed_bytes += weight.nbytes
        packed.add(id(weight))
    if not packed:
        raise CodewattError("the model has no linear layer that bitsandbytes could quantise")
    left = sum(p.numel() for p in model.parameters() if id(p) not in packed and p.dim() > 1)
    return {
        "quantised_modules": len(packed),
        "quantised_weights": weights,
        "unquantised_weights": left,
        "packed_bytes": packed_bytes,
    }


def _wanted(out: int, ins: int, settings: dict[str, Any]) -> dict[str, Any]:
    """What a layer's packed weight has to be."""
    if settings["quant_type"] == "int8":
        return {"bits": 8, "kind": "int8", "bytes": out * ins, "scales": out}
    return {
        "bits": 4,
        "kind": settings["quant_type"],
        "bytes": -(-out * ins // 2),
        "scales": -(-out * ins // _BLOCK_WEIGHTS),
        "double": settings["double_quantisation"],
    }


def _packed(weight: Any) -> dict[str, Any]:
    """What a layer's packed weight is, by its own account."""
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


QUANTISER = BitsAndBytes()
