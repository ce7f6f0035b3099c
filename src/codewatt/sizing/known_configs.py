"""Configurations of the studies' models, for sizing a model that has not been fetched yet."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from codewatt.files import read_json

_FOLDER = Path(__file__).with_name("configs")


@dataclass(frozen=True)
class KnownModel:
    """A published checkpoint.

    Attributes:
        config: what its config.json says, less what changes no count.
        source: where that was read.
        parameters: as the hub shows them; None if it was not written down.
        checkpoint_dtype: of its files; None if it was not written down.
    """

    config: dict[str, Any]
    source: str
    parameters: int | None
    checkpoint_dtype: str | None


@cache
def known_models() -> dict[str, KnownModel]:
    """Repository on the hub -> model. Several repositories share an architecture."""
    found: dict[str, KnownModel] = {}
    for path in sorted(_FOLDER.glob("*.json")):
        held = read_json(path)
        model = KnownModel(
            held["config"],
            held["source"],
            held["published_parameters"],
            held["checkpoint_dtype"],
        )
        found |= dict.fromkeys(held["repos"], model)
    return found
