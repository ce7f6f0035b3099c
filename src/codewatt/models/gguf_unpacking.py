"""Unpacks a GGUF file to a model directory: dequantised weights, config and tokenizer.

transformers reads the file. What it would lose silently is refused here: weights that it does not
read, RoPE scaling, and a tokenizer that splits text otherwise than llama.cpp does.
"""

import io
import logging
import shutil
import tempfile
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.gguf_header import GgufHeader, packed_as, read_gguf_header
from codewatt.models.gguf_tokenizer import load_gguf_tokenizer, stop_token_ids
from codewatt.models.model_record import GgufRecord
from codewatt.models.tokenizers import load_tokenizer
from codewatt.untrusted_files import display_path

_LOG = logging.getLogger(__name__)
#: transformers' keys of architectures that differ from llama.cpp's name in the file.
_LLAMA_CPP_NAMES = {
    "gpt_oss": "gpt-oss",
    "minimax_m2": "minimax-m2",
    "qwen2_moe": "qwen2moe",
    "qwen3_moe": "qwen3moe",
}
#: Keys beside the decoders' in the same table.
_NOT_DECODERS = ("general", "tokenizer", "t5", "umt5")
_TEXT = (
    "def add(a, b):\n    # adds  12 and\t345, \N{GREEK SMALL LETTER PI}\n\n    return a+b != 6.7\n"
)


def unpack_gguf(path: Path, sha256: str, dtype: str, directory: Path) -> GgufRecord:
    """Unpack a GGUF file to a directory as save_pretrained writes it, which is deleted first.

    Args:
        path: of the GGUF file.
        sha256: its digest, for the record.
        dtype: of the unpacked weights.
        directory: of the model.

    Returns:
        What the weights were unpacked from.

    Raises:
        CodewattError: the file is not GGUF or is damaged; transformers does not read its
            architecture, all of its weights, its RoPE scaling or its tokenizer.
    """
    header = read_gguf_header(path)
    _check_readable(header)
    shutil.rmtree(directory, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="codewatt-gguf.") as scratch:
        # In a folder of its own, as transformers also reads other files beside it.
        link = Path(scratch) / "model.gguf"
        link.symlink_to(path.resolve())
        tokenizer = load_gguf_tokenizer(header, link)
        model = _load(header, link, dtype)
        _check_all_read(header, model)
        _save(model, tokenizer, stop_token_ids(header), directory)
    _check_saved_tokenizer(header, tokenizer, directory)
    _LOG.info("%s: unpacked from %s to %s", path.name, packed_as(header), dtype)
    return {
        "name": path.name,
        "bytes": path.stat().st_size,
        "sha256": sha256,
        "architecture": header.architecture,
        "file_type": header.file_type,
        "packed_as": packed_as(header),
        "tensors": header.packings,
    }


def _check_readable(header: GgufHeader) -> None:
    """Refuse an architecture, or a scaling of RoPE, that transformers does not read."""
    import transformers
    from transformers.integrations.gguf import GGUF_CONFIG_ARCHS
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    shown, architecture = display_path(header.path), header.architecture
    known = {*GGUF_SUPPORTED_ARCHITECTURES, *GGUF_CONFIG_ARCHS} - set(_NOT_DECODERS)
    allowed = sorted(_LLAMA_CPP_NAMES.get(name, name) for name in known)
    if architecture not in allowed:
        raise CodewattError(
            f"{shown}: architecture {architecture!r:.80}: transformers {transformers.__version__} "
            f"does not read it from GGUF; allowed: {', '.join(allowed)}"
        )
    scaling = header.of_architecture("rope.scaling.type")
    if scaling not in (None, "none") and architecture != "gpt-oss":
        raise CodewattError(
            f"{shown}: RoPE scaling {scaling!r:.80}: transformers does not read it from GGUF; "
            "allowed: files without scaling, or the original checkpoint (source: hub or path)"
        )


def _load(header: GgufHeader, file: Path, dtype: str) -> Any:
    """transformers' model of a GGUF file, dequantised."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GgufConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    shown = display_path(header.path)
    try:
        config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
        if type(config) not in AutoModelForCausalLM._model_mapping:
            raise CodewattError(
                f"{shown}: transformers has no causal language model of type {config.model_type!r}"
            )
        with redirect_stderr(io.StringIO()):  # a progress bar that cannot be switched off
            model, info = AutoModelForCausalLM.from_pretrained(
                file.parent,
                gguf_file=file.name,
                # Without it the model refuses to be saved.
                quantization_config=GgufConfig(dequantize=True),
                dtype=getattr(torch, dtype),
                local_files_only=True,
                output_loading_info=True,
            )
    except CodewattError:
        raise
    except Exception as error:  # the reader raises whatever its mappings run into
        reason = " ".join(str(error).replace(str(file), shown).split()) or type(error).__name__
        raise CodewattError(f"{shown}: transformers cannot read it: {reason}") from None
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if found := sorted(map(str, info.get(what, ()))):
            raise CodewattError(
                f"{shown}: {len(found)} {what.replace('_', ' ')} on reading, e.g. {found[0]}"
            )
    return model


def _check_all_read(header: GgufHeader, model: Any) -> None:
    """Refuse a file with more or fewer weights than the model: transformers skips tensors silently.

    An example is rope_freqs.weight, the RoPE scaling of Llama 3.1.
    """
    stored = sum(tensor.weights for tensor in header.tensors)
    read = sum(parameter.numel() for parameter in model.parameters())  # tied ones once
    if stored != read:
        odd = [t.name for t in header.tensors if not t.name.startswith(("blk.", "token_embd"))]
        raise CodewattError(
            f"{display_path(header.path)}: {stored} weights in the file, but transformers' model "
            f"of it has {read}; the tensors outside layers are {', '.join(odd)}; allowed: files "
            "whose tensors are all read"
        )


def _save(model: Any, tokenizer: Any, stops: list[int], directory: Path) -> None:
    """Save the model with its tokenizer and its stop tokens."""
    from transformers import GenerationConfig

    config = model.config
    config.eos_token_id = stops[0] if len(stops) == 1 else stops
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    directory.mkdir(parents=True)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _check_saved_tokenizer(header: GgufHeader, tokenizer: Any, directory: Path) -> None:
    """Check that the saved tokenizer makes the same tokens: its class may build another one."""
    saved = load_tokenizer(directory)
    texts = [_TEXT]
    if tokenizer.chat_template:
        texts += [
            one.apply_chat_template(
                [{"role": "user", "content": _TEXT}], tokenize=False, add_generation_prompt=True
            )
            for one in (tokenizer, saved)
        ]
    for text in texts:
        if tokenizer(text)["input_ids"] != saved(text)["input_ids"] or texts[1:2] != texts[2:]:
            raise CodewattError(
                f"{display_path(header.path)}: its tokenizer makes other tokens after it is saved "
                f"and loaded as {type(saved).__name__}; allowed: the original checkpoint (source: "
                "hub or path)"
            )
