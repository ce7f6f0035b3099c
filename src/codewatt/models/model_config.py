"""A model's config.json, as it is and as transformers completes it."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.models.model_files import CONFIGURATION, refuse_lfs_pointer

_LOG = logging.getLogger(__name__)

#: Keys of config.json for the number of decoder layers; the second is that of GPT-2's family.
LAYER_KEYS = ("num_hidden_layers", "n_layer")


def layer_key(configuration: Mapping[str, Any]) -> str | None:
    """The key of a config.json for the number of decoder layers; None if it has none."""
    return next((key for key in LAYER_KEYS if isinstance(configuration.get(key), int)), None)


def layer_count(configuration: Mapping[str, Any]) -> int | None:
    """The number of decoder layers in a config.json; None if it has none."""
    key = layer_key(configuration)
    return None if key is None else int(configuration[key])


def context_length(configuration: Mapping[str, Any]) -> int | None:
    """The context length in tokens in a config.json; None if it has none."""
    found = (configuration.get(key) for key in ("max_position_embeddings", "n_positions"))
    return next((value for value in found if isinstance(value, int) and value > 0), None)


def read_configuration(directory: str | Path) -> dict[str, Any]:
    """Read the config.json of a model directory.

    Raises:
        CodewattError: it is missing, a Git LFS pointer, or not a JSON object.
    """
    return read_json_object(Path(directory) / CONFIGURATION)


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a model's file.

    Raises:
        CodewattError: the file is missing, a Git LFS pointer, or not a JSON object.
    """
    refuse_lfs_pointer(path)
    content = read_json(path)
    if not isinstance(content, dict):
        raise CodewattError(f"{path}: not a JSON object; allowed: a JSON object")
    return content


def resolved_configuration(directory: str | Path) -> Any:
    """transformers' configuration of a model directory, with defaults for missing keys.

    If the attention implementation that config.json asks for is not installed, transformers'
    default is used (see `requested_attention`).

    Raises:
        CodewattError: transformers cannot read it, or only with code from the directory.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    config = read_configuration(directory)
    try:
        configuration = AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, StrictDataclassError) as error:
        refuse_remote_code(directory, config, "AutoConfig")
        reason = " ".join(str(error).split())
        raise CodewattError(
            f"{directory}: transformers cannot read config.json: {reason}"
        ) from None
    if not attention_available(configuration._attn_implementation):
        _LOG.warning(
            "%s: attention %r is not installed; transformers' default is used instead",
            directory,
            configuration._attn_implementation,
        )
        configuration._attn_implementation = None
    return configuration


def refuse_remote_code(directory: str | Path, config: Mapping[str, Any], kind: str) -> None:
    """Refuse a model that needs Python code from its own directory or from the hub.

    Args:
        directory: of the model, for the message.
        config: config.json or tokenizer_config.json.
        kind: AutoConfig, AutoModelForCausalLM or AutoTokenizer: what needs the code.

    Raises:
        CodewattError: the file names code for that class.
    """
    classes = config.get("auto_map")
    named = classes.get(kind) if isinstance(classes, Mapping) else None
    for reference in named if isinstance(named, list | tuple) else [named]:
        if isinstance(reference, str):
            repository, _, module = reference.rpartition("--")
            file = f"{module.partition('.')[0]}.py" + (f" of {repository}" if repository else "")
            raise CodewattError(
                f"{directory}: {kind} needs the model's own code ({file}), which codewatt never "
                "runs; allowed: models whose classes transformers has"
            )


def requested_attention(config: Mapping[str, Any]) -> str | None:
    """The attention implementation that a config.json asks for; None if it asks for none."""
    requested = config.get("_attn_implementation") or config.get("attn_implementation")
    return None if requested is None else str(requested)


def attention_available(name: Any) -> bool:
    """Whether an attention implementation of transformers is installed.

    False for kernels that transformers would download from the hub, because they are code.
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
    is_available = getattr(utils, available.get(str(name), ""), None)
    return is_available is not None and bool(is_available())


def check_sequence_lengths(
    sequences: Sequence[Sequence[int]], configuration: Any, name: str = "corpus"
) -> None:
    """Refuse sequences longer than a model's context: libraries truncate them or fail.

    Args:
        sequences: token ids.
        configuration: of transformers; without max_position_embeddings there is no limit.
        name: of the sequences, for the message.

    Raises:
        CodewattError: a sequence is longer.
    """
    limit = getattr(configuration, "max_position_embeddings", None)
    longest = max(map(len, sequences), default=0)
    if limit is not None and longest > limit:
        raise CodewattError(
            f"{name}: a sequence has {longest} tokens; allowed: up to {limit}, the model's context"
        )
