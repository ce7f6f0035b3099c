"""A model's configuration: what config.json says by itself, and what transformers makes of it."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.models.model_files import CONFIGURATION, refuse_pointer

_LOG = logging.getLogger(__name__)

#: Names that config.json has for the number of decoder layers; the second is GPT-2's and its kin's.
LAYER_KEYS = ("num_hidden_layers", "n_layer")


def layer_key(configuration: Mapping[str, Any]) -> str | None:
    """Under which name a config.json has the number of decoder layers; None if it has none."""
    return next((key for key in LAYER_KEYS if isinstance(configuration.get(key), int)), None)


def layer_count(configuration: Mapping[str, Any]) -> int | None:
    """How many decoder layers a config.json says; None if it does not say."""
    key = layer_key(configuration)
    return None if key is None else int(configuration[key])


def context_length(configuration: Mapping[str, Any]) -> int | None:
    """How many tokens a model reads, as its config.json says; None if it does not say."""
    found = (configuration.get(key) for key in ("max_position_embeddings", "n_positions"))
    return next((value for value in found if isinstance(value, int) and value > 0), None)


def read_configuration(directory: str | Path) -> dict[str, Any]:
    """A model directory's config.json.

    Raises:
        CodewattError: there is none, or it is no JSON object.
    """
    return read_object(Path(directory) / CONFIGURATION)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of one of a model's files.

    Raises:
        CodewattError: it is not there, a Git LFS pointer, or no JSON object.
    """
    refuse_pointer(path)
    content = read_json(path)
    if not isinstance(content, dict):
        raise CodewattError(f"{path}: not of a model; allowed: a JSON object")
    return content


def resolved_configuration(directory: str | Path) -> Any:
    """transformers' configuration of a model directory, with all that config.json leaves to it.

    An attention implementation that config.json asks for and that is not installed here is left
    out: transformers then takes its own default (see `attention_asked`).

    Raises:
        CodewattError: transformers cannot read it, or only with code from the directory.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    said = read_configuration(directory)
    try:
        configuration = AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, StrictDataclassError) as error:
        refuse_code(directory, said, "AutoConfig")
        reason = " ".join(str(error).split())
        raise CodewattError(f"{directory}: its configuration cannot be read: {reason}") from None
    if not has_attention(configuration._attn_implementation):
        _LOG.warning(
            "%s: attention %r is not installed here; transformers' default is used instead",
            directory,
            configuration._attn_implementation,
        )
        configuration._attn_implementation = None
    return configuration


def refuse_code(directory: str | Path, said: Mapping[str, Any], kind: str) -> None:
    """Refuse a model that needs Python code from its own directory or from the hub.

    Args:
        said: config.json or tokenizer_config.json.
        kind: the class of transformers that needs the code: AutoConfig, AutoModelForCausalLM or
            AutoTokenizer.

    Raises:
        CodewattError: the file names code for that class.
    """
    classes = said.get("auto_map")
    named = classes.get(kind) if isinstance(classes, Mapping) else None
    for reference in named if isinstance(named, list | tuple) else [named]:
        if isinstance(reference, str):
            repository, _, place = reference.rpartition("--")
            file = f"{place.partition('.')[0]}.py" + (f" of {repository}" if repository else "")
            raise CodewattError(
                f"{directory}: {kind} needs the model's own code ({file}), which is never run "
                "here; allowed: models whose classes transformers has"
            )


def attention_asked(said: Mapping[str, Any]) -> str | None:
    """The attention implementation that a config.json asks for; None if it asks for none."""
    asked = said.get("_attn_implementation") or said.get("attn_implementation")
    return None if asked is None else str(asked)


def has_attention(name: Any) -> bool:
    """Whether an attention implementation of transformers can be used here.

    Kernels that transformers would download from the hub cannot: they are code.
    """
    from transformers import utils

    if name is None or name in ("eager", "sdpa"):
        return True
    available = {
        "flash_attention_2": "is_flash_attn_2_available",
        "flash_attention_3": "is_flash_attn_3_available",
        "flash_attention_4": "is_flash_attn_4_available",
        "flex_attention": "is_torch_flex_attn_available",
    }
    asks = getattr(utils, available.get(str(name), ""), None)
    return asks is not None and bool(asks())


def refuse_long_sequences(
    sequences: Sequence[Sequence[int]], configuration: Any, text: str = "text"
) -> None:
    """Refuse sequences of more tokens than a model has positions: libraries cut or break on them.

    Args:
        sequences: token ids.
        configuration: transformers' own; one without max_position_embeddings sets no limit.
        text: what to call them in the message.

    Raises:
        CodewattError: one is longer.
    """
    limit = getattr(configuration, "max_position_embeddings", None)
    longest = max(map(len, sequences), default=0)
    if limit is not None and longest > limit:
        raise CodewattError(
            f"{text}: a sequence has {longest} tokens; allowed: the {limit} that the model reads"
        )
