"""Compare the model types of a study with those of which GGUF files are made, once they are known.

The study file tells the type of some models only. That of others is known from files on this
machine, from the table of known models, or once the model was downloaded.
"""

from codewatt.config.gguf_types import gguf_model_refusal
from codewatt.errors import CodewattError
from codewatt.estimate.unfetched_models import read_model_facts
from codewatt.grid import Grid
from codewatt.paths import Paths


def check_gguf_models(grid: Grid, paths: Paths) -> None:
    """Check that llama.cpp's converter is used for model types that it converts rightly.

    Raises:
        CodewattError: a model of another type has a variant of method gguf.
    """
    pairs = {
        variant.model: variant.precision
        for variant in grid.variants
        if grid.method("precision", variant.precision) == "gguf"
    }
    if not pairs:
        return
    facts = read_model_facts(grid, paths)
    for model, precision in pairs.items():
        config = facts[model].config
        kind = None if config is None else config.get("model_type")
        if kind is not None and (why := gguf_model_refusal(kind)):
            raise CodewattError(
                f"{grid.where}: precision {precision!r}, model {model!r}: {why}, or exclude the "
                "pair"
            )
