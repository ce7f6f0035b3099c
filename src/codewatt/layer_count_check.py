"""Compare the number of layers that a study declares with the model, once it is downloaded.

The key `layers` of a model limits the depths of `layers: until_zero` and decides which fixed depths
are refused. For a hub, path or GGUF model it is declared by the user. It is compared when the
workflow is read and whenever a chain of depths goes on, and not in a job: it is part of no job's
params, so that correcting it does not run finished jobs again.
"""

import json
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.grid import Grid
from codewatt.models.gguf_header import configuration_of, read_gguf_header
from codewatt.models.model_config import layer_count
from codewatt.models.model_record import MODEL
from codewatt.paths import Paths


def check_declared_layers(grid: Grid, paths: Paths) -> None:
    """Check that each downloaded model has as many decoder layers as the study declares.

    Raises:
        CodewattError: a model has another number of layers.
    """
    for model in grid.models_of("hub", "path", "gguf"):
        settings = grid.settings("model", model)
        declared, found = settings["layers"], None
        if declared is not None:
            found = _layers(json.loads(grid.model_slice(model)), Path(paths.model(model)))
        if found not in (None, declared):
            raise CodewattError(
                f"{grid.where}: model {model!r}: layers: {declared}, but its "
                f"{'file' if settings['source'] == 'gguf' else 'config.json'} has {found}; "
                f"allowed: {found}"
            )


def _layers(settings: dict[str, Any], manifest: Path) -> int | None:
    """How many decoder layers a model has; None while that is not known."""
    if settings["source"] == "path":
        configuration = Path(settings["path"]) / "config.json"
        return layer_count(read_json(configuration)) if configuration.is_file() else None
    local = settings["file"].get("path") if settings["source"] == "gguf" else None
    if local is not None:
        return layer_count(configuration_of(read_gguf_header(local)))
    if not manifest.is_file():
        return None
    fetched = MODEL.read(manifest)
    # The record of another repository or commit is about to be replaced.
    return fetched["layers"] if fetched["source"] == settings else None
