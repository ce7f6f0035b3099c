"""What a study says of its models beforehand, compared with the models as soon as they are here.

How deep `layers: until_zero` may go, and which fixed depths are refused, follows from a model's key
`layers`. Of a hub or path model that is the user's word. It is compared when the workflow is read
and whenever a chain goes on, and not in a job: the number is part of no job's params (the weights
are the same whatever it says), so that correcting it runs nothing again that had finished.
"""

import json
from pathlib import Path
from typing import Any

from codewatt.cells import Grid
from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.models.model_config import layer_count
from codewatt.models.model_record import MODEL
from codewatt.paths import Paths


def check_declared_layers(grid: Grid, paths: Paths) -> None:
    """See that each model that is here has as many decoder layers as the study says.

    Raises:
        CodewattError: one has not.
    """
    for model in grid.models_of("hub", "path"):
        settings = grid.settings("model", model)
        declared, found = settings["layers"], None
        if declared is not None:
            found = _layers(json.loads(grid.model_slice(model)), Path(paths.model(model)))
        if found not in (None, declared):
            raise CodewattError(
                f"{grid.where}: model {model!r}: layers: {declared} in the study, its config.json "
                f"says {found}; allowed: layers: {found}"
            )


def _layers(settings: dict[str, Any], manifest: Path) -> int | None:
    """How many decoder layers a model has; None while that is not known."""
    if settings["source"] == "path":
        configuration = Path(settings["path"]) / "config.json"
        return layer_count(read_json(configuration)) if configuration.is_file() else None
    if not manifest.is_file():
        return None
    fetched = MODEL.read(manifest)
    # The record of another repository or commit is about to be replaced.
    return fetched["layers"] if fetched["source"] == settings else None
