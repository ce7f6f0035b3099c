"""Backend `auto_gptq`: AutoGPTQ 0.7.1 (unmaintained; needs a GPU, own environment)."""

import logging
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import write_json
from codewatt.models.tokenizers import load_tokenizer
from codewatt.quantise.backends.backend import (
    LibraryCounts,
    QuantisationBackend,
    not_installed_error,
)
from codewatt.quantise.backends.checkpoint_files import write_checkpoint_config
from codewatt.quantise.backends.transformers4 import transformers4_directory
from codewatt.quantise.precision_settings import PrecisionSettings


class AutoGptq(QuantisationBackend):
    """Quantises layer after layer, each on the outputs of the quantised layers before it.

    Settings that a study does not have keep the library's defaults: dampening by 1 % of the
    Hessian's diagonal, matrices of a layer in the order of use, scales of a group computed when its
    first column is quantised.
    """

    def import_libraries(self) -> None:
        """See `QuantisationBackend.import_libraries`."""
        _import_auto_gptq()

    def load_tokenizer(self, source: Path) -> Any:
        """See `QuantisationBackend.load_tokenizer`."""
        with transformers4_directory(source) as directory:
            return load_tokenizer(directory)

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: PrecisionSettings,
        device: str,
        sequences: list[list[int]],
    ) -> LibraryCounts:
        """See `QuantisationBackend.quantise`."""
        library = _import_auto_gptq()
        config = library.BaseQuantizeConfig(
            bits=settings["bits"],
            group_size=settings["group_size"],
            desc_act=settings["act_order"],
            sym=True,
        )
        with transformers4_directory(source) as directory:
            model = _load(directory, settings["compute_dtype"], str(source))
        _move_rotary_embeddings(model, device)
        wrapper_class = library.modeling.auto.GPTQ_CAUSAL_LM_MODEL_MAP[model.config.model_type]
        wrapped = wrapper_class(model, False, config)
        wrapped.quantize([_example(ids) for ids in sequences], batch_size=1)
        # Not `save_quantized`: transformers does not find its file name.
        wrapped.model.save_pretrained(target)
        packing = _quantization_config(config)
        write_checkpoint_config(source, target, packing, settings["compute_dtype"])
        write_json(target / "quantize_config.json", packing)  # AutoGPTQ reads none without it
        return {}


def _import_auto_gptq() -> Any:
    """Import the module `auto_gptq` and the submodule that is used here.

    Raises:
        CodewattError: it is not installed.
    """
    try:
        import auto_gptq
        import auto_gptq.modeling.auto
    except ModuleNotFoundError as error:
        if error.name != "auto_gptq":
            raise
        raise not_installed_error("auto_gptq") from None
    logging.getLogger("auto_gptq.nn_modules.qlinear").setLevel(logging.ERROR)
    return auto_gptq


def _load(directory: Path, dtype: str, name: str) -> Any:
    """Load the model on the CPU; the library moves layers to the GPU one by one.

    The library's own `from_pretrained` would fill missing weights with random numbers.

    Args:
        name: of the model, for messages.

    Raises:
        CodewattError: weights are missing, unexpected or of another shape.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            directory,
            torch_dtype=getattr(torch, dtype),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            low_cpu_mem_usage=True,
            output_loading_info=True,
        )
    except (OSError, ValueError) as error:
        raise CodewattError(f"{name}: cannot be loaded: {' '.join(str(error).split())}") from None
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if found := sorted(map(str, info.get(what, ()))):
            raise CodewattError(
                f"{name}: {len(found)} {what.replace('_', ' ')} on loading, e.g. {found[0]}"
            )
    return model.eval()


def _move_rotary_embeddings(model: Any, device: str) -> None:
    """Move rotary embeddings that layers share to the device; AutoGPTQ leaves them on the CPU."""
    for name, module in model.named_modules():
        if name.endswith("rotary_emb") and ".layers." not in name:
            module.to(device)


def _example(ids: list[int]) -> dict[str, Any]:
    """A sequence in the library's input format."""
    import torch

    row = torch.tensor([ids])
    return {"input_ids": row, "attention_mask": torch.ones_like(row)}


def _quantization_config(config: Any) -> dict[str, Any]:
    """config.json's `quantization_config`: the library's, without keys that GPTQModel refuses."""
    values = config.to_dict()
    left_out = ("is_marlin_format", "model_file_base_name", "model_name_or_path")
    return {key: value for key, value in values.items() if key not in left_out}


BACKEND = AutoGptq()
