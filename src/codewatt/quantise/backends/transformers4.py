"""Rewrites a transformers 5 model directory so that transformers 4 reads the same model.

transformers 4 does not know some keys of transformers 5 and silently uses defaults: for example
10,000 as the base of rotary embeddings.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json
from codewatt.models.model_files import list_model_files

# Model type -> keys of a rotary embedding: its base, and the rotated part of a head.
_ROTARY_KEYS = {
    "gpt_neox": ("rotary_emb_base", "rotary_pct"),
    "llama": ("rope_theta", None),
    "mistral": ("rope_theta", None),
    "qwen2": ("rope_theta", None),
}
_TOKENIZER_KEYS = (
    "bos_token",
    "eos_token",
    "pad_token",
    "unk_token",
    "model_max_length",
    "padding_side",
)


@contextmanager
def transformers4_directory(source: Path) -> Iterator[Path]:
    """A temporary directory with the model of `source` as transformers 4 reads it.

    Args:
        source: directory of a model that transformers 5 saved.

    Raises:
        CodewattError: its config has rotary embeddings that cannot be translated.
    """
    changed = {
        "config.json": transformers4_config,
        "tokenizer_config.json": transformers4_tokenizer_config,
    }
    with tempfile.TemporaryDirectory() as scratch:
        for name in list_model_files(source):
            copy = Path(scratch) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            if name in changed:
                write_json(copy, changed[name](read_json(source / name)))
            else:
                copy.symlink_to((source / name).resolve())
        yield Path(scratch)


def transformers4_config(configuration: dict[str, Any]) -> dict[str, Any]:
    """Translate a config.json to transformers 4's keys; keys that it knows stay as they are.

    Raises:
        CodewattError: the rotary embeddings cannot be translated.
    """
    out = dict(configuration)
    if "dtype" in out:
        out["torch_dtype"] = out.pop("dtype")
    rotary = out.pop("rope_parameters", None)
    return out if rotary is None else out | _rotary_4(out.get("model_type"), rotary)


def _rotary_4(model_type: Any, rotary: dict[str, Any]) -> dict[str, Any]:
    """transformers 5's `rope_parameters`, in transformers 4's keys."""
    base_key, part_key = _ROTARY_KEYS.get(model_type, (None, None))
    scaling = dict(rotary)
    base, part = scaling.pop("rope_theta", None), scaling.pop("partial_rotary_factor", None)
    if base_key is None or base is None or (part not in (None, 1.0) and part_key is None):
        raise CodewattError(
            f"config.json: rope_parameters {rotary} of {model_type} cannot be translated for "
            "transformers 4; use backend: gptqmodel"
        )
    out = {base_key: base}
    if part is not None and part_key is not None:
        out[part_key] = part
    if scaling.get("rope_type", "default") != "default":
        out["rope_scaling"] = scaling
    return out


def transformers4_tokenizer_config(configuration: dict[str, Any]) -> dict[str, Any]:
    """Translate a transformers 5 tokenizer_config.json; others are returned unchanged.

    transformers 5 names a tokenizer class that transformers 4 does not have; tokenizer.json has all
    that is needed, so the generic fast tokenizer reads it.
    """
    if "backend" not in configuration:
        return configuration
    kept = {key: configuration[key] for key in _TOKENIZER_KEYS if configuration.get(key)}
    return {**kept, "tokenizer_class": "PreTrainedTokenizerFast"}
