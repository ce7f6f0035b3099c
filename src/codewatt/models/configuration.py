"""A model's configuration: what config.json says by itself, and what transformers makes of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError

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


def resolved_configuration(directory: str | Path) -> Any:
    """transformers' configuration of a model directory, with all that config.json leaves to it.

    Raises:
        CodewattError: transformers cannot read it.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise CodewattError(f"{directory}: its configuration cannot be read: {reason}") from None


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
