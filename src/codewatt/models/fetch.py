"""Fetches a model: from the hub, a path, a GGUF file, or with random weights; checks its files."""

import logging
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.files import describe_files
from codewatt.models.generation_config import read_generation_defaults
from codewatt.models.gguf_files import get_gguf_file
from codewatt.models.gguf_unpacking import unpack_gguf
from codewatt.models.model_config import (
    read_configuration,
    refuse_remote_code,
    resolved_configuration,
)
from codewatt.models.model_files import (
    CONFIG_FILES,
    CONFIGURATION,
    INDEX,
    TOKENIZER_FILES,
    TOKENIZER_PATTERNS,
    WEIGHTS,
    list_model_files,
    weight_names,
)
from codewatt.models.model_record import GgufRecord, ModelDescription, ModelSource
from codewatt.models.packed_checkpoints import count_packed_weights
from codewatt.models.tokenizers import load_tokenizer
from codewatt.models.weight_headers import describe_weights

_LOG = logging.getLogger(__name__)
_ALL_CHARACTERS = "".join(map(chr, range(32, 127))) + "\n\t"


def fetch_model(settings: ModelSource, weights: Path) -> ModelDescription:
    """Make a model's files available and describe them.

    Args:
        settings: a study's model without id and label.
        weights: directory for unpacked or random weights; files from the hub or a path stay where
            they are.

    Returns:
        The model's manifest: source, directory, files with SHA-256, parameters, layers.

    Raises:
        CodewattError: the files cannot be fetched, or are not a model.
    """
    source, unpacked_from = settings["source"], None
    if source == "hub":
        directory = _from_hub(settings["repo"], settings["revision"])
    elif source == "path":
        directory = Path(settings["path"]).resolve()
    elif source == "architecture":
        directory = weights
        _make_random(settings, directory)
    elif source == "gguf":
        directory = weights
        unpacked_from = _unpack(settings, directory)
    else:
        raise CodewattError(f"source {source!r}: allowed here: hub, path, gguf, architecture")
    check_model(directory)
    manifest = model_manifest(settings, directory, meaningful_accuracy=source != "architecture")
    if unpacked_from is not None:
        manifest["unpacked_from"] = unpacked_from
    return manifest


def model_manifest(
    settings: ModelSource, directory: Path, *, meaningful_accuracy: bool
) -> ModelDescription:
    """The manifest of a model directory.

    Args:
        settings: a study's model without id and label.
        directory: of the model.
        meaningful_accuracy: False for random weights.
    """
    summary = describe_weights(directory)
    return {
        "schema": 1,
        "source": settings,
        "weights": {
            "directory": str(directory),
            "files": describe_files(directory, list_model_files(directory)),
        },
        "meaningful_accuracy": meaningful_accuracy,
        "model_type": summary["model_type"],
        "layers": summary["layers"],
        "parameters": summary["parameters"],
        "size_bytes": summary["size_bytes"],
        "dtypes": summary["dtypes"],
    }


def check_model(directory: Path) -> None:
    """Check a model's files without loading its weights.

    Raises:
        CodewattError: a file is missing, truncated, a Git LFS pointer, outside the directory, or
            needs the model's own code; transformers has no such model; there is no tokenizer, or it
            makes token ids beyond the vocabulary; packed weights differ from their config.
    """
    from transformers import AutoModelForCausalLM

    if not (directory / CONFIGURATION).is_file():
        raise CodewattError(
            f"{directory}: config.json is missing; allowed: a save_pretrained directory"
        )
    configuration = resolved_configuration(directory)
    if type(configuration) not in AutoModelForCausalLM._model_mapping:
        refuse_remote_code(directory, read_configuration(directory), "AutoModelForCausalLM")
        raise CodewattError(
            f"{directory}: transformers has no causal language model of type "
            f"{configuration.model_type!r}"
        )
    tokenizer = load_tokenizer(directory)
    vocabulary = getattr(configuration.get_text_config(), "vocab_size", None)
    if vocabulary is not None and (largest_id := max(tokenizer(_ALL_CHARACTERS)["input_ids"])) >= (
        vocabulary
    ):
        raise CodewattError(
            f"{directory}: the tokenizer makes token id {largest_id}, but the model's vocab_size "
            f"is {vocabulary}; use the tokenizer that belongs to this model"
        )
    read_generation_defaults(directory, tokenizer)
    count_packed_weights(directory)


def _from_hub(repo: str, revision: str) -> Path:
    """Download the model files of one commit into the hub's cache, if they are not there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = [*CONFIG_FILES, *TOKENIZER_FILES, *TOKENIZER_PATTERNS, INDEX, WEIGHTS]
    try:
        directory = Path(snapshot_download(repo, revision=revision, allow_patterns=patterns))
        names = weight_names(directory)
        if not all((directory / name).is_file() for name in names):
            snapshot_download(repo, revision=revision, allow_patterns=names)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())
        raise CodewattError(f"hub {repo}@{revision[:12]}: cannot be fetched: {reason}") from None
    return directory


def _unpack(settings: ModelSource, directory: Path) -> GgufRecord:
    """Get the GGUF file of a model and unpack it."""
    path, sha256 = get_gguf_file(settings["file"])
    record = unpack_gguf(path, sha256, settings["dtype"], directory)
    return {**record, "name": Path(settings["file"].get("name", path)).name}


def _make_random(settings: ModelSource, directory: Path) -> None:
    """Save a model with the architecture's random initialisation, seeded."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, set_seed

    from codewatt.models.tokenizers import make_tokenizer

    values = dict(settings["config"])
    try:
        config = AutoConfig.for_model(values.pop("model_type"), **values)
    except KeyError as error:
        raise CodewattError(
            f"config.model_type: {error} is missing or not known; allowed: a model type of "
            "transformers"
        ) from None
    set_seed(settings["seed"])
    dtype = getattr(torch, settings["dtype"])
    _LOG.info("random weights: %s in %s", config.model_type, dtype)
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(settings["tokenizer"], config.vocab_size, directory)
    if "eos_token_id" not in settings["config"]:
        config.eos_token_id = (
            tokenizer.eos_token_id
        )  # the default of the model type belongs to another tokenizer
    model = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    model.save_pretrained(directory)
