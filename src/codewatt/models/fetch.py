"""Making a model's weights available: from the hub, from a path, or random ones."""

import logging
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import describe_files
from codewatt.models.weights import describe_weights

_LOG = logging.getLogger(__name__)
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


def fetch_model(settings: dict[str, Any], weights: Path) -> dict[str, Any]:
    """Make a model's files available and describe them.

    Args:
        settings: a study's model without id and label.
        weights: where files that have to be made are put; others stay where they are.

    Returns:
        The model's manifest: source, directory, files with sha256, parameters, layers.

    Raises:
        CodewattError: the files are not to be had, or are not a model.
    """
    source = settings["source"]
    if source == "hub":
        directory = _from_hub(settings["repo"], settings["revision"])
    elif source == "path":
        directory = Path(settings["path"]).resolve()
        if not (directory / "config.json").is_file():
            raise CodewattError(f"{directory}: no config.json; a save_pretrained directory has one")
    elif source == "architecture":
        directory = weights
        _make_random(settings, directory)
    else:
        raise CodewattError(f"source {source!r}: allowed here: hub, path, architecture")
    return model_manifest(settings, directory, meaningful_accuracy=source != "architecture")


def model_manifest(
    settings: dict[str, Any], directory: Path, *, meaningful_accuracy: bool
) -> dict[str, Any]:
    """Describe a model directory: what stages after this one link to."""
    return {
        "schema": 1,
        "source": settings,
        "weights": {"directory": str(directory), "files": describe_files(directory)},
        "meaningful_accuracy": meaningful_accuracy,
        **describe_weights(directory),
    }


def _from_hub(repo: str, revision: str) -> Path:
    """Download one commit's files into the hub's cache, once."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=_HUB_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())
        raise CodewattError(f"hub {repo}@{revision[:12]}: cannot be fetched: {reason}") from None


def _make_random(settings: dict[str, Any], directory: Path) -> None:
    """Save a model with the configuration's own random initialisation, seeded."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, set_seed

    from codewatt.models.tokenizers import make_tokenizer

    values = dict(settings["config"])
    try:
        config = AutoConfig.for_model(values.pop("model_type"), **values)
    except KeyError as error:
        raise CodewattError(f"config.model_type: {error} is absent or not known") from None
    set_seed(settings["seed"])
    dtype = getattr(torch, settings["dtype"])
    _LOG.info("random weights: %s in %s", config.model_type, dtype)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    directory.mkdir(parents=True, exist_ok=True)
    make_tokenizer(settings["tokenizer"], config.vocab_size, directory)
    model.save_pretrained(directory)
