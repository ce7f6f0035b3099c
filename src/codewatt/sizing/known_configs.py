"""Configurations of well-known models, to estimate models that are not downloaded yet."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from codewatt.files import read_json

_FOLDER = Path(__file__).with_name("configs")


@dataclass(frozen=True)
class KnownModel:
    """A published checkpoint.

    Attributes:
        config: the keys of its config.json that determine its size.
        source: where the configuration was read.
        parameters: number of parameters that the hub shows; None if not recorded.
        checkpoint_dtype: dtype of its weight files; None if not recorded.
        quantisation: quant_method ("gptq" or "awq"), bits and group_size of a checkpoint that is
            quantised already; None for others.
    """

    config: dict[str, Any]
    source: str
    parameters: int | None
    checkpoint_dtype: str | None
    quantisation: dict[str, Any] | None = None


@cache
def known_models() -> dict[str, KnownModel]:
    """Repository on the hub -> model. Several repositories may have the same configuration."""
    return _by("repos")


@cache
def known_gguf_models() -> dict[str, KnownModel]:
    """SHA-256 (hex) of a GGUF file -> model."""
    return _by("gguf_sha256")


def _by(key: str) -> dict[str, KnownModel]:
    """The models by the names that their files list under `key`; a file may lack it."""
    found: dict[str, KnownModel] = {}
    for path in sorted(_FOLDER.glob("*.json")):
        held = read_json(path)
        model = KnownModel(
            held["config"],
            held["source"],
            held["published_parameters"],
            held["checkpoint_dtype"],
        )
        found |= dict.fromkeys(held.get(key, ()), model)
        if key == "repos":
            for repo, quantisation in held.get("quantised_repos", {}).items():
                found[repo] = replace(model, quantisation=quantisation)
    return found
