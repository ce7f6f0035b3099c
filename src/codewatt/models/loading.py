"""Loading a model and its tokenizer: dtype always explicit, nothing missing, nothing left over.

Each model that is read as it was saved also answers once: files that lack a scale load without a
word and give NaN.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import check_files, read_json
from codewatt.models.packed import packed_format
from codewatt.models.packed_loading import build_packed_kernels, packed_configuration
from codewatt.models.torchao_layouts import prepare_loading

_PROBED_TOKENS = 8


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode on its device, with its tokenizer (left-padded).

    `model` is transformers' own, or what an engine made that loads for itself.
    """

    model: Any
    tokenizer: Any
    device: str
    dtype: str


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
    files: dict[str, dict[str, Any]] | None = None,
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
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    if files is not None:
        check_files(directory, files)
    said = _said(directory)
    prepare_loading(said, device)
    packing = packed_format(said)
    # An explicit None would switch off what a quantised checkpoint says of itself.
    options = {} if quantisation is None else {"quantization_config": quantisation}
    try:
        tokenizer = load_tokenizer(directory)
        if packing is not None:
            options["config"] = packed_configuration(directory, packing, device, readable)
        model, info = AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=getattr(torch, dtype),
            device_map={"": device},
            **options,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, in one line
        )
    except (OSError, ValueError, StrictDataclassError) as error:
        raise CodewattError(
            f"{directory}: cannot be loaded: {' '.join(str(error).split())}"
        ) from None
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if found := sorted(map(_said_of, info.get(what, ()))):
            raise CodewattError(
                f"{directory}: {len(found)} {what.replace('_', ' ')} on loading, e.g. {found[0]}"
            )
    model.eval()
    if packing is not None:
        model.config.quantization_config = said["quantization_config"]
    if quantisation is None:  # what is still to be saved stays as it was made: forward() repacks it
        check_answer(model, str(directory))
    return Loaded(model, tokenizer, device, dtype)


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

    packing = packed_format(_said(directory))
    if packing is not None and device != "cpu":
        build_packed_kernels(directory, packing, getattr(torch, dtype), device, readable)


def _said(directory: str | Path) -> dict[str, Any]:
    """A directory's config.json; empty without one, as transformers then says what is wrong."""
    configuration = Path(directory) / "config.json"
    return read_json(configuration) if configuration.is_file() else {}


def check_answer(model: Any, name: str) -> None:
    """See that a model's logits for a few tokens are finite and not all the same.

    Args:
        name: of the model, for the message.

    Raises:
        CodewattError: they are not: what it was loaded from is not what it computes.
    """
    import torch

    ids = torch.arange(1, _PROBED_TOKENS + 1, device=model.device)[None]
    with torch.inference_mode():
        logits = model(input_ids=ids % model.config.vocab_size, use_cache=False).logits
    check_finite(logits, name)
    if bool((logits == logits[..., :1]).all()):
        raise CodewattError(
            f"{name}: its logits are all the same; it was not loaded as it was saved"
        )


def check_finite(logits: Any, name: str) -> None:
    """See that all logits are numbers.

    Args:
        logits: a tensor of any shape. name: of the model, for the message.

    Raises:
        CodewattError: some are NaN or infinite.
    """
    finite = logits.isfinite()
    if not bool(finite.all()):
        wrong = finite.numel() - int(finite.sum())
        raise CodewattError(
            f"{name}: {wrong} of {finite.numel()} logits are not finite; it was not loaded as it "
            "was saved, or saved broken"
        )


def load_tokenizer(directory: str | Path) -> Any:
    """The tokenizer of a save_pretrained directory, padding on the left.

    Raises:
        OSError, ValueError: transformers' own, if there is none.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
