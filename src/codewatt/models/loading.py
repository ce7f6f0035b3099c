"""Loading a model and its tokenizer: dtype always explicit, nothing missing, nothing left over.

Each model that is read as it was saved also answers once: files that lack a scale load without a
word and give NaN.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import FileRecord, check_files
from codewatt.models.generation_config import GenerationDefaults, generation_defaults
from codewatt.models.model_config import (
    attention_asked,
    read_configuration,
    refuse_code,
    resolved_configuration,
)
from codewatt.models.model_files import own_files_only
from codewatt.models.packed_checkpoints import packed_format_of, quantisation_of
from codewatt.models.packed_loading import build_packed_kernels, packed_configuration
from codewatt.models.tokenizers import load_tokenizer
from codewatt.models.torchao_layouts import prepare_loading

_PROBED_TOKENS = 8


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode on its device, with its tokenizer (left-padded).

    Attributes:
        model: transformers' own, or what an engine made that loads for itself.
        generation: what the directory says of generating: at which tokens completions end.
        attention_asked: the attention implementation that config.json asks for, if any; which one
            is used, the model's configuration says.
    """

    model: Any
    tokenizer: Any
    device: str
    dtype: str
    generation: GenerationDefaults
    attention_asked: str | None = None


class UnsoundLogitsError(CodewattError):
    """A model's logits are no answer; see `unsound`."""


def resolve_device(device: str) -> str:
    """'auto' is the GPU if torch sees one, else the CPU.

    Raises:
        CodewattError: 'cuda' was asked for and there is none.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise CodewattError("device: 'cuda' was asked for, but torch sees no GPU here")
    return device


def used_gpus(device: str) -> list[str]:
    """UUIDs of the GPUs that this process computes on, as NVML names them."""
    import torch

    if device == "cpu":
        return []
    return [f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"]


def gpu_memory() -> tuple[str, int]:
    """(name, bytes of memory) of the GPU that this process computes on; nothing is allocated."""
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
    readable: bool = False,
) -> Loaded:
    """Load a save_pretrained directory through transformers' auto classes.

    Args:
        directory: config, safetensors and tokenizer.
        dtype: 'float32', 'bfloat16' or 'float16': of all that is not quantised.
        device: 'cpu' or 'cuda'.
        files: a manifest's files; checked first, if given.
        quantisation: a transformers quantisation configuration, to quantise while loading.
        readable: keep what GPTQ or AWQ packed as the checkpoint has it, for kernels of our own.

    Raises:
        CodewattError: a file differs from its manifest, weights are packed for another device or in
            a way that is not read here, weights are missing, unexpected or of another shape
            (transformers would fill them with random values and go on), or the model's answer is
            not finite.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    if files is not None:
        check_files(directory, files)
    said = read_configuration(directory)
    prepare_loading(said, device)
    packing = packed_format_of(directory)
    # An explicit None would switch off what a quantised checkpoint says of itself.
    options = {} if quantisation is None else {"quantization_config": quantisation}
    if packing is None:
        options["config"] = resolved_configuration(directory)
    else:
        options["config"] = packed_configuration(directory, packing, device, readable)
    tokenizer = load_tokenizer(directory)
    generation = generation_defaults(directory, tokenizer)
    model, info = _from_pretrained(Path(directory), dtype, device, said, options)
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if found := sorted(map(_said_of, info.get(what, ()))):
            raise CodewattError(
                f"{directory}: {len(found)} {what.replace('_', ' ')} on loading, e.g. {found[0]}"
            )
    model.eval()
    if packing is not None:
        model.config.quantization_config = quantisation_of(directory)
    if quantisation is None:  # what is still to be saved stays as it was made: forward() repacks it
        check_answer(model, str(directory))
    return Loaded(model, tokenizer, device, dtype, generation, attention_asked(said))


def _from_pretrained(
    directory: Path, dtype: str, device: str, said: dict[str, Any], options: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """transformers' model of a directory's own files, and what it says of loading it."""
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoModelForCausalLM

    with own_files_only(directory) as own:
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
                ignore_mismatched_sizes=True,  # refused by the caller, in one line
            )
        except (OSError, ValueError, ImportError, KeyError, StrictDataclassError) as error:
            refuse_code(directory, said, "AutoModelForCausalLM")
            reason = " ".join(str(error).split()).replace(str(own), str(directory))
            raise CodewattError(f"{directory}: cannot be loaded: {reason}") from None
    return model, info


def _said_of(key: Any) -> str:
    """A name or message of transformers' loading info, or (name, its shape, the model's)."""
    if not isinstance(key, tuple):
        return str(key)
    name, found, wanted = key
    return f"{name}: shape {tuple(found)}, its configuration says {tuple(wanted)}"


def build_kernels(
    directory: str | Path, *, dtype: str, device: str, readable: bool = False
) -> None:
    """Build the kernels that `load_model` would build first: once on a machine, it takes minutes.

    Args: see `load_model`.
    """
    import torch

    packing = packed_format_of(directory)
    if packing is not None and device != "cpu":
        build_packed_kernels(directory, packing, getattr(torch, dtype), device, readable)


def check_answer(model: Any, name: str) -> None:
    """See that a model's logits for a few tokens are sound.

    Args:
        name: of the model, for the message.

    Raises:
        UnsoundLogitsError: they are not: what it was loaded from is not what it computes.
    """
    import torch

    ids = torch.arange(1, _PROBED_TOKENS + 1, device=model.device)[None]
    with torch.inference_mode():
        logits = model(input_ids=ids % model.config.vocab_size, use_cache=False).logits
    check_sound(logits, name)


def unsound(least: Any, greatest: Any) -> Any:
    """Whether rows of logits are no answer, from their least and greatest number.

    A row is unsound if it holds NaN or +infinity, no finite number at all, or the same number
    everywhere (what is left of an activation whose square overflows in a norm). -infinity at some
    tokens is sound: models mask tokens by it.

    Args:
        least, greatest: of each row, tensors of one shape, as torch.aminmax has them: both NaN
            where a row holds NaN.

    Returns:
        bool, of the same shape.
    """
    return ~greatest.isfinite() | (least == greatest)


def check_sound(logits: Any, name: str) -> None:
    """See that logits are an answer at every position.

    Args:
        logits: (..., vocabulary). name: of the model, for the message.

    Raises:
        UnsoundLogitsError: some rows are `unsound`.
    """
    least, greatest = logits.aminmax(dim=-1)
    wrong = unsound(least, greatest)
    if not bool(wrong.any()):
        return
    if bool((least == greatest)[wrong].all()) and bool(greatest[wrong].isfinite().all()):
        what = "the same number for every token"
    else:
        what = "not finite"
    raise UnsoundLogitsError(
        f"{name}: the logits of {int(wrong.sum())} of {wrong.numel()} positions are {what}; it was "
        "not loaded as it was saved, was saved broken, or overflows in this precision"
    )
