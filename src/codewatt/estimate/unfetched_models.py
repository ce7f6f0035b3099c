"""Configurations and file sizes of a study's models, before the models are downloaded."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.grid import Grid
from codewatt.models.gguf_header import configuration_of, read_gguf_header
from codewatt.models.model_files import weight_files
from codewatt.models.model_record import MODEL
from codewatt.paths import Paths
from codewatt.sizing.known_configs import known_gguf_models, known_models
from codewatt.sizing.parameter_counts import Architecture, architecture_of
from codewatt.sizing.weight_bytes import DTYPE_BYTES, weight_bytes


@dataclass(frozen=True)
class ModelFacts:
    """Configuration and size of a model, as far as known.

    Attributes:
        id: the model's id in the study.
        config: the content of config.json; None if it is unknown.
        stored_bytes: size of its weight files; 0 if it is unknown.
        source: where the configuration is from, or why it is unknown.
        downloads: whether its files must be downloaded first.
    """

    id: str
    config: dict[str, Any] | None
    stored_bytes: int
    source: str
    downloads: bool = False

    def architecture(self, layers_removed: int = 0) -> Architecture:
        """The architecture without the last layers.

        Raises:
            CodewattError: no layer is left, or the model type is unknown.
        """
        assert self.config is not None
        kept = int(self.config.get("num_hidden_layers") or 0) - layers_removed
        return architecture_of({**self.config, "num_hidden_layers": kept})


def read_model_facts(grid: Grid, paths: Paths) -> dict[str, ModelFacts]:
    """Model id → facts, for every model that a cell needs."""
    return {model: _facts(model, grid, paths) for model in grid.model_ids}


def _facts(model: str, grid: Grid, paths: Paths) -> ModelFacts:
    settings = grid.settings("model", model)
    found = _from_manifest(model, grid, paths) or _FINDERS[settings["source"]](model, settings)
    if found.config is None:
        return found if found.source else _unknown(model, settings, paths)
    try:
        found.architecture()
    except CodewattError as error:
        return ModelFacts(model, None, 0, str(error))
    return found


def _unknown(model: str, settings: Mapping[str, Any], paths: Paths) -> ModelFacts:
    named = settings.get("file", settings)
    name = named.get("repo") or f"{named['package']} {named['version']}"
    return ModelFacts(
        model,
        None,
        0,
        f"the configuration of {name} is unknown before it is downloaded; "
        f"`snakemake {paths.model(model)}` downloads it",
    )


def _from_manifest(model: str, grid: Grid, paths: Paths) -> ModelFacts | None:
    """Facts of a model whose manifest exists in the results.

    None if it does not exist, or if the study names another model by now.
    """
    path = Path(paths.model(model))
    if not path.is_file():
        return None
    record = MODEL.read(path)
    if record["source"] != json.loads(grid.model_slice(model)):
        return None
    weights = record["weights"]
    config = Path(weights["directory"]) / "config.json"
    sizes = {name: file["bytes"] for name, file in weights["files"].items()}
    if not config.is_file():
        return None
    stored = sum(size for name, size in sizes.items() if name.endswith("safetensors"))
    return ModelFacts(model, read_json(config), stored, f"its downloaded files ({path})")


def _from_hub(model: str, settings: Mapping[str, Any]) -> ModelFacts:
    """Facts of a hub model, from the hub's cache or else from the table of known configurations."""
    owner, name = settings["repo"].split("/")
    folder = _hub_cache() / f"models--{owner}--{name}" / "snapshots" / settings["revision"]
    try:
        found = _from_folder(model, folder)
    except CodewattError:  # the download is incomplete
        found = None
    if found is not None:
        return found
    known = known_models().get(settings["repo"])
    if known is None:
        return ModelFacts(model, None, 0, "")
    if known.quantisation is not None:
        config = {**known.config, "quantization_config": known.quantisation}
        stored = weight_bytes(architecture_of(config), _as_precision(known.quantisation)).total
        return ModelFacts(model, config, stored, known.source, downloads=True)
    parameters = known.parameters or architecture_of(known.config).parameters
    dtype = known.checkpoint_dtype or "float32"
    dtype_note = (
        "" if known.checkpoint_dtype else "; the dtype of its files is unknown; assumed: float32"
    )
    return ModelFacts(
        model,
        known.config,
        parameters * DTYPE_BYTES[dtype],
        known.source + dtype_note,
        downloads=True,
    )


def _as_precision(quantisation: Mapping[str, Any]) -> dict[str, Any]:
    """The precision that a checkpoint is stored in; its other weights have 16 bits."""
    settings = {key: value for key, value in quantisation.items() if key != "quant_method"}
    return {**settings, "method": quantisation["quant_method"], "compute_dtype": "float16"}


def _from_path(model: str, settings: Mapping[str, Any]) -> ModelFacts:
    try:
        found = _from_folder(model, Path(settings["path"]))
    except CodewattError as error:
        return ModelFacts(model, None, 0, str(error))
    return found or ModelFacts(
        model, None, 0, f"{settings['path']}: the directory has no config.json"
    )


def _from_gguf(model: str, settings: Mapping[str, Any]) -> ModelFacts:
    """Facts of a model that is unpacked from a GGUF file, from the file if it is here."""
    if settings["file"]["source"] != "path":
        known = known_gguf_models().get(settings["file"]["sha256"])
        if known is None:
            return ModelFacts(model, None, 0, "")
        parameters = architecture_of(known.config).parameters
        stored = parameters * DTYPE_BYTES[settings["dtype"]]
        return ModelFacts(model, known.config, stored, known.source, downloads=True)
    try:
        header = read_gguf_header(settings["file"]["path"])
    except CodewattError as error:
        return ModelFacts(model, None, 0, str(error))
    weights = sum(tensor.weights for tensor in header.tensors)
    stored = weights * DTYPE_BYTES[settings["dtype"]]
    return ModelFacts(model, configuration_of(header), stored, f"its file ({header.path})")


def _from_folder(model: str, folder: Path) -> ModelFacts | None:
    config = folder / "config.json"
    if not config.is_file():
        return None
    stored = sum(path.stat().st_size for path in weight_files(folder))
    return ModelFacts(model, read_json(config), stored, f"its files ({folder})")


def _from_config(model: str, settings: Mapping[str, Any]) -> ModelFacts:
    """Facts of a model with random weights, from the configuration in the study file."""
    config = dict(settings["config"])
    try:
        parameters = architecture_of(config).parameters
    except CodewattError as error:
        return ModelFacts(model, None, 0, str(error))
    stored = parameters * DTYPE_BYTES[settings["dtype"]]
    return ModelFacts(model, config, stored, "the configuration in the study file")


def _from_nano(model: str, settings: Mapping[str, Any]) -> ModelFacts:
    """Facts of a nano model: the configuration that `nano.training` builds, in float32."""
    config = {
        "model_type": settings["architecture"],
        "vocab_size": settings["vocab_size"],
        "hidden_size": settings["hidden_size"],
        "intermediate_size": settings["intermediate_size"],
        "num_hidden_layers": settings["layers"],
        "num_attention_heads": settings["heads"],
        "num_key_value_heads": settings["kv_heads"],
        "tie_word_embeddings": True,
    }
    stored = architecture_of(config).parameters * DTYPE_BYTES["float32"]
    return ModelFacts(model, config, stored, "the settings in the study file")


_FINDERS = {
    "hub": _from_hub,
    "path": _from_path,
    "gguf": _from_gguf,
    "architecture": _from_config,
    "nano": _from_nano,
}


def _hub_cache() -> Path:
    """Cache directory of huggingface_hub; found without importing it, which is slow."""
    if path := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(path)
    base = os.environ.get("HF_HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "hub" if base else Path(cache) / "huggingface" / "hub"
