"""AutoGPTQ 0.7.1: no longer maintained, needs a GPU and transformers 4, in its own environment."""

import logging
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import write_json
from codewatt.models.tokenizers import load_tokenizer
from codewatt.quantise.backends.backend import Backend, LibraryNotes, not_installed
from codewatt.quantise.backends.checkpoint_files import write_description
from codewatt.quantise.backends.transformers4 import readable_by_transformers_4


class AutoGptq(Backend):
    """Layer after layer, each on the inputs that the quantised layers before it give.

    What the study does not say is as the library has it: dampening 1 % of the Hessian's diagonal,
    the matrices of a layer in the order in which they are used, groups' scales found on the way.
    """

    def import_libraries(self) -> None:
        """See `Backend.import_libraries`."""
        _import_auto_gptq()

    def load_tokenizer(self, source: Path) -> Any:
        """See `Backend.load_tokenizer`."""
        with readable_by_transformers_4(source) as directory:
            return load_tokenizer(directory)

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: dict[str, Any],
        device: str,
        sequences: list[list[int]],
    ) -> LibraryNotes:
        """See `Backend.quantise`."""
        library = _import_auto_gptq()
        configuration = library.BaseQuantizeConfig(
            bits=settings["bits"],
            group_size=settings["group_size"],
            desc_act=settings["act_order"],
            sym=True,
        )
        with readable_by_transformers_4(source) as directory:
            model = _load(directory, settings["compute_dtype"], str(source))
        _move_rotations(model, device)
        kind = library.modeling.auto.GPTQ_CAUSAL_LM_MODEL_MAP[model.config.model_type]
        wrapped = kind(model, False, configuration)
        wrapped.quantize([_example(ids) for ids in sequences], batch_size=1)
        # Not by `save_quantized`, whose file transformers does not look for.
        wrapped.model.save_pretrained(target)
        packing = _packing(configuration)
        write_description(source, target, packing, settings["compute_dtype"])
        write_json(target / "quantize_config.json", packing)  # AutoGPTQ reads none without it
        return {}


def _import_auto_gptq() -> Any:
    """The module `auto_gptq`, and the submodule that is used here.

    Raises:
        CodewattError: it is not installed.
    """
    try:
        import auto_gptq
        import auto_gptq.modeling.auto
    except ModuleNotFoundError as error:
        if error.name != "auto_gptq":
            raise
        raise not_installed("auto_gptq") from None
    logging.getLogger("auto_gptq.nn_modules.qlinear").setLevel(logging.ERROR)
    return auto_gptq


def _load(directory: Path, dtype: str, name: str) -> Any:
    """The model, on the CPU: the library moves layers to the GPU one by one.

    Its own `from_pretrained` would fill weights that are missing with random numbers.

    Args:
        name: of the model, for messages.

    Raises:
        CodewattError: weights are missing, left over or of another shape.
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


def _move_rotations(model: Any, device: str) -> None:
    """Move rotary embeddings that layers share: later than AutoGPTQ, which leaves them behind."""
    for name, module in model.named_modules():
        if name.endswith("rotary_emb") and ".layers." not in name:
            module.to(device)


def _example(ids: list[int]) -> dict[str, Any]:
    """A sequence as the library takes it."""
    import torch

    row = torch.tensor([ids])
    return {"input_ids": row, "attention_mask": torch.ones_like(row)}


def _packing(configuration: Any) -> dict[str, Any]:
    """A config.json's `quantization_config`: the library's, less what GPTQModel refuses."""
    said = configuration.to_dict()
    left_out = ("is_marlin_format", "model_file_base_name", "model_name_or_path")
    return {key: value for key, value in said.items() if key not in left_out}


BACKEND = AutoGptq()
