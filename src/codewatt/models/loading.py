"""Loads a model with its tokenizer; refuses missing or unexpected weights and invalid logits.

The dtype is always explicit. Each loaded model runs once on a few tokens, because files that lack
scales load without an error and give NaN.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import FileRecord, check_files
from codewatt.gpu_uuids import torch_uuid
from codewatt.models.generation_config import GenerationDefaults, read_generation_defaults
from codewatt.models.model_config import (
    read_configuration,
    refuse_remote_code,
    requested_attention,
    resolved_configuration,
)
from codewatt.models.model_files import only_model_files
from codewatt.models.packed_format import read_packed_format, read_quantisation_config
from codewatt.models.packed_loading import build_packed_kernels, packed_configuration
from codewatt.models.tokenizers import load_tokenizer
from codewatt.models.torchao_layouts import check_torchao_checkpoint

_TEST_TOKENS = 8


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode on its device, with its tokenizer (left-padded).

    Attributes:
        model: a transformers model, or the object of an engine that loads models itself.
        tokenizer: of transformers.
        device: 'cpu' or 'cuda'.
        dtype: of all that is not quantised.
        generation: stop tokens.
        attention_requested: the attention implementation that config.json asks for, None without
            one; model.config says which one is used.
    """

    model: Any
    tokenizer: Any
    device: str
    dtype: str
    generation: GenerationDefaults
    attention_requested: str | None = None


class InvalidLogitsError(CodewattError):
    """A model's logits are invalid; see `invalid_logits`."""


def resolve_device(device: str) -> str:
    """The device for 'auto', 'cpu' or 'cuda'; 'auto' is 'cuda' if torch sees a GPU, else 'cpu'.

    Raises:
        CodewattError: 'cuda' was asked for and torch sees no GPU.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise CodewattError(
            "device: 'cuda' was asked for, but torch sees no GPU on this machine; allowed: cpu, "
            "auto, or a machine with a GPU"
        )
    return device


def used_gpu_uuids(device: str) -> list[str]:
    """UUIDs, in the form of `gpu_uuids`, of the GPUs that this process uses."""
    import torch

    if device == "cpu":
        return []
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return [torch_uuid(properties.uuid, torch.version.hip)]


def gpu_memory() -> tuple[str, int]:
    """(name, bytes of memory) of the GPU that this process uses; allocates nothing."""
    import torch

    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return str(properties.name), int(properties.total_memory)


def load_model(
    directory: str | Path,
    *,
    dtype: str,
    device: str,
    files: dict[str, FileRecord] | None = None,
    quantisation: Any = None,
    keep_packed_layout: bool = False,
) -> Loaded:
    """Load a save_pretrained directory through transformers' auto classes.

    Args:
        directory: has config, safetensors and tokenizer.
        dtype: 'float32', 'bfloat16' or 'float16': of all that is not quantised.
        device: 'cpu' or 'cuda'.
        files: a manifest's files, to check first; None for no check.
        quantisation: a transformers quantisation config, to quantise while loading.
        keep_packed_layout: keep the tensors of GPTQ and AWQ layers as the checkpoint has them, for
            our own kernels.

    Raises:
        CodewattError: a file differs from its manifest; weights are packed for another device or in
            an unknown layout; weights are missing, unexpected or of another shape (transformers
            would fill them with random values); or the logits are invalid.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    if files is not None:
        check_files(directory, files)
    config = read_configuration(directory)
    check_torchao_checkpoint(config, device)
    packing = read_packed_format(directory)
    # An explicit None would switch off the quantization_config of a checkpoint.
    options = {} if quantisation is None else {"quantization_config": quantisation}
    if packing is None:
        options["config"] = resolved_configuration(directory)
    else:
        options["config"] = packed_configuration(directory, packing, device, keep_packed_layout)
    tokenizer = load_tokenizer(directory)
    generation = read_generation_defaults(directory, tokenizer)
    model, info = _from_pretrained(Path(directory), dtype, device, config, options)
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if found := sorted(map(_describe_key, info.get(what, ()))):
            raise CodewattError(
                f"{directory}: {len(found)} {what.replace('_', ' ')} on loading, e.g. {found[0]}"
            )
    model.eval()
    if packing is not None:
        model.config.quantization_config = read_quantisation_config(directory)
    # A model that is still to be saved must not run: forward() repacks its weights.
    if quantisation is None:
        check_model_logits(model, str(directory))
    return Loaded(model, tokenizer, device, dtype, generation, requested_attention(config))


def _from_pretrained(
    directory: Path, dtype: str, device: str, config: dict[str, Any], options: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """transformers' model from a directory's model files, and its loading info."""
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoModelForCausalLM

    with only_model_files(directory) as own:
        try:
            model, info = AutoModelForCausalLM.from_pretrained(
                own,
                dtype=getattr(torch, dtype),
                device_map={"": device},
                **options,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # the caller refuses them
            )
        except (OSError, ValueError, ImportError, KeyError, StrictDataclassError) as error:
            refuse_remote_code(directory, config, "AutoModelForCausalLM")
            reason = " ".join(str(error).split()).replace(str(own), str(directory))
            raise CodewattError(f"{directory}: cannot be loaded: {reason}") from None
    return model, info


def _describe_key(key: Any) -> str:
    """Text for an entry of transformers' loading info: a name, or (name, shape, model's shape)."""
    if not isinstance(key, tuple):
        return str(key)
    name, found, expected = key
    return f"{name}: shape {tuple(found)}, config.json says {tuple(expected)}"


def build_kernels(
    directory: str | Path, *, dtype: str, device: str, keep_packed_layout: bool = False
) -> None:
    """Compile the kernels that the first `load_model` on a machine would; it takes minutes.

    Args: see `load_model`.
    """
    import torch

    packing = read_packed_format(directory)
    if packing is not None and device != "cpu":
        build_packed_kernels(directory, packing, getattr(torch, dtype), device, keep_packed_layout)


def check_model_logits(model: Any, name: str) -> None:
    """Run a model on a few tokens and check its logits.

    Args:
        model: a causal language model of transformers.
        name: of the model, for the message.

    Raises:
        InvalidLogitsError: the logits are invalid.
    """
    import torch

    ids = torch.arange(1, _TEST_TOKENS + 1, device=model.device)[None]
    with torch.inference_mode():
        logits = model(input_ids=ids % model.config.vocab_size, use_cache=False).logits
    check_logits(logits, name)


def invalid_logits(minima: Any, maxima: Any) -> Any:
    """Which rows of logits are invalid, from their minimum and maximum.

    A row is invalid if it has NaN or +infinity, no finite number, or the same number for all tokens
    (the result of an activation whose square overflows in a norm). -infinity for some tokens is
    valid: models mask tokens by it.

    Args:
        minima, maxima: of each row, tensors of the same shape, as from torch.aminmax: both are NaN
            if the row has NaN.

    Returns:
        bool tensor of the same shape.
    """
    return ~maxima.isfinite() | (minima == maxima)


def check_logits(logits: Any, name: str) -> None:
    """Check the logits of every position.

    Args:
        logits: (..., vocabulary).
        name: of the model, for the message.

    Raises:
        InvalidLogitsError: some rows are invalid; see `invalid_logits`.
    """
    minima, maxima = logits.aminmax(dim=-1)
    invalid = invalid_logits(minima, maxima)
    if not bool(invalid.any()):
        return
    if bool((minima == maxima)[invalid].all()) and bool(maxima[invalid].isfinite().all()):
        what = "the same number for every token"
    else:
        what = "not finite"
    raise InvalidLogitsError(
        f"{name}: the logits of {int(invalid.sum())} of {invalid.numel()} positions are {what}; "
        "the checkpoint is damaged, was loaded wrongly, or overflows in this precision"
    )
