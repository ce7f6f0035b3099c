"""Compare the group sizes of a study's precisions with its models, once their sizes are known.

Quantisers make the same check, but in a job that may hold a GPU. A model's sizes are known from the
study file, from files on this machine, from the table of known models, or once it was downloaded.
"""

from collections.abc import Sequence

from codewatt.errors import CodewattError
from codewatt.estimate.unfetched_models import ModelFacts, read_model_facts
from codewatt.grid import Grid
from codewatt.paths import Paths

#: Method -> the group sizes that a study may name (`config.compression_settings`); those of torchao
#: are of quant_type int4.
_GROUP_SIZES = {
    "gptq": (32, 64, 128),
    "awq": (32, 64, 128),
    "torchao": (32, 64, 128, 256),
}


def check_group_sizes(grid: Grid, paths: Paths) -> None:
    """Check that the inputs of each linear layer are a multiple of the group size.

    Raises:
        CodewattError: a layer's inputs are not.
    """
    sizes = {
        variant.precision: size
        for variant in grid.variants
        if (size := _group_size(grid, variant.precision)) is not None
    }
    if not sizes:
        return
    facts = read_model_facts(grid, paths)
    for variant in grid.variants:
        if variant.precision not in sizes:
            continue
        size, inputs = sizes[variant.precision], _layer_inputs(facts[variant.model])
        for name, ins in inputs:
            if ins % size == 0:
                continue
            method = grid.method("precision", variant.precision)
            fitting = _fitting(_GROUP_SIZES[method], [ins for _, ins in inputs])
            raise CodewattError(
                f"{grid.where}: precision {variant.precision!r}: group_size {size}: layers "
                f"{name!r} of model {variant.model!r} have {ins} inputs, which is not a multiple "
                f"of {size}; allowed: {fitting}, or exclude the pair"
            )


def _group_size(grid: Grid, precision: str) -> int | None:
    """The number of inputs that share a scale; None if the precision has no groups."""
    settings = grid.settings("precision", precision)
    if settings["method"] not in _GROUP_SIZES:
        return None
    if settings["method"] == "torchao" and settings["quant_type"] != "int4":
        return None
    return None if settings["group_size"] == -1 else int(settings["group_size"])


def _layer_inputs(facts: ModelFacts) -> list[tuple[str, int]]:
    """(name, number of inputs) of the linear layers that a quantiser packs; [] if unknown."""
    if facts.config is None or facts.config.get("quantization_config") is not None:
        return []  # a checkpoint that is packed already keeps its groups
    matrices = facts.architecture().matrices
    return [(matrix.name, matrix.ins) for matrix in matrices if matrix.kind == "linear"]


def _fitting(sizes: Sequence[int], inputs: Sequence[int]) -> str:
    """The group sizes that divide all these numbers of inputs, as text."""
    found = [str(size) for size in sizes if all(ins % size == 0 for ins in inputs)]
    return ", ".join(found) or "another method"
