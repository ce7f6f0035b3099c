"""What transformers 5 saves, written so that transformers 4 reads the same model out of it.

transformers 4 does not know some of transformers 5's names, and takes its defaults instead without
a word: of rotary embeddings, say, whose base it then takes for 10,000.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json
from codewatt.models.model_files import own_files

# Of a rotary embedding: its base, and the part of a head that it rotates.
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
def readable_by_transformers_4(source: Path) -> Iterator[Path]:
    """A directory with the model of `source` as transformers 4 reads it; gone afterwards.

    Raises:
        CodewattError: its configuration has something for which transformers 4 has no name.
    """
    changed = {
        "config.json": configuration_4,
        "tokenizer_config.json": tokenizer_configuration_4,
    }
    with tempfile.TemporaryDirectory() as scratch:
        for name in own_files(source):
            copy = Path(scratch) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            if name in changed:
                write_json(copy, changed[name](read_json(source / name)))
            else:
                copy.symlink_to((source / name).resolve())
        yield Path(scratch)


def configuration_4(configuration: dict[str, Any]) -> dict[str, Any]:
    """A config.json in transformers 4's names; one that has them already is returned as it is.

    Raises:
        CodewattError: rotary embeddings of a kind that is not translated here.
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
            f"config.json: rope_parameters of {model_type} are not translated for transformers 4; "
            "allowed: backend: gptqmodel"
        )
    out = {base_key: base}
    if part is not None and part_key is not None:
        out[part_key] = part
    if scaling.get("rope_type", "default") != "default":
        out["rope_scaling"] = scaling
    return out


def tokenizer_configuration_4(configuration: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer_config.json of transformers 5 as one of tokenizer.json alone; others unchanged.

    transformers 5 says which of its own classes wrote the file; tokenizer.json has what they do.
    """
    if "backend" not in configuration:
        return configuration
    kept = {key: configuration[key] for key in _TOKENIZER_KEYS if configuration.get(key)}
    return {**kept, "tokenizer_class": "PreTrainedTokenizerFast"}
