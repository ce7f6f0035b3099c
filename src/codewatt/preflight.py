"""Checks of a study before any job runs, of everything that a job would refuse later.

Here stands what the study file alone does not say: the names that a file system takes, and the
files that the study names.
"""

import os
from pathlib import Path

from codewatt.config.load_study import load_study
from codewatt.config.model_settings import Model
from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.grid import Grid
from codewatt.models.model_config import context_length
from codewatt.paths import Paths
from codewatt.untrusted_files import display_path, require_file

#: Bytes that Linux's usual file systems take for one name, and system calls for a path.
_NAME_BYTES, _PATH_BYTES = 255, 4095
#: The longest that is added to a cell's or variant's id where it names a file.
_LOG_SUFFIX = ".log"
#: The longest name of a file inside a cell's directory while it is written, and more.
_INSIDE_BYTES = 100


def load_grid(path: str | Path) -> Grid:
    """Read a study file and build its grid, with all that is known before any job.

    Raises:
        CodewattError: the study is wrong, or a job of it would be refused.
    """
    grid = Grid(load_study(path), display_path(path))
    _check_named(grid)
    _check_contexts(grid)
    check_names(grid)
    return grid


def check_names(grid: Grid, paths: Paths | None = None) -> None:
    """Check that the file system accepts the names and paths that the study's ids make.

    Args:
        paths: where results go, to ask the file system there; without it, what Linux takes.

    Raises:
        CodewattError: a name or a path is too long.
    """
    most = _NAME_BYTES if paths is None else _name_bytes(paths.root)
    cells = (*grid.cells, *grid.twins.values())
    longest = max(cells, key=lambda cell: len(cell.id.encode()))
    needed = len(longest.id.encode()) + len(_LOG_SUFFIX)
    if needed > most:
        parts = ", ".join(
            f"{name} {len(str(value))}"
            for name, value in longest.identity().items()
            if name not in ("id", "variant") and value is not None
        )
        raise CodewattError(
            f"{grid.where}: cell {longest.id!r}: its ids make a file name of {needed} bytes "
            f"({parts}, and separators); allowed: {most}; shorten ids"
        )
    if paths is None:
        return
    root = os.path.abspath(paths.root)
    standing = next(folder for folder in (Path(root), *Path(root).parents) if folder.exists())
    if not standing.is_dir():
        raise CodewattError(
            f"results: {display_path(root)}: {display_path(standing)} is a file; allowed: a directory"
        )
    whole = len(os.fsencode(root)) + needed + _INSIDE_BYTES
    if whole > _PATH_BYTES:
        raise CodewattError(
            f"results: {display_path(root)}: with the ids of {grid.where} paths have {whole} bytes; "
            f"allowed: {_PATH_BYTES}; choose a directory with a shorter path"
        )


def _name_bytes(directory: Path) -> int:
    """The longest name that the file system of a directory takes, whether or not it is there."""
    for folder in (directory, *directory.parents):
        try:
            return min(os.pathconf(folder, "PC_NAME_MAX"), _NAME_BYTES)
        except (OSError, ValueError):
            continue
    return _NAME_BYTES


def _check_named(grid: Grid) -> None:
    """Check that the architectures, directories and files of the study exist."""
    for index, model in enumerate(grid.study.models):
        if model.source == "architecture" and not model.model_type:
            raise CodewattError(
                f"{grid.where}: models[{index}].config.model_type: required, but absent or not "
                "a string; allowed: a model type of transformers, such as llama"
            )
        if model.source == "path" and model.id in grid.model_ids:
            where = f"{grid.where}: models[{index}].path"
            if not Path(model.path).is_dir():
                raise CodewattError(f"{where}: {display_path(model.path)}: no such directory")
            configuration = Path(model.path) / "config.json"
            if not configuration.is_file():
                raise CodewattError(
                    f"{where}: {display_path(model.path)}: it has no config.json; allowed: a directory "
                    "written by save_pretrained"
                )
    for index, corpus in enumerate(grid.study.corpora):
        if corpus.source == "file" and corpus.id in grid.corpus_ids:
            try:
                require_file(corpus.path)
            except CodewattError as error:
                raise CodewattError(f"{grid.where}: corpora[{index}].path: {error}") from None


def _check_contexts(grid: Grid) -> None:
    """Check that the context of each model is longer than the token limits of its cells.

    Only of models whose context length is known. The lengths of prompts are known when there is a
    tokenizer; a job refuses prompts that are too long.
    """
    contexts = {model.id: _context(model) for model in grid.study.models}
    for cell in grid.cells:
        context = contexts[cell.model]
        if context is not None and cell.token_limit >= context:
            raise CodewattError(
                f"{grid.where}: token_limits: {cell.token_limit}: the context of model "
                f"{cell.model!r} has {context} tokens, so that none is left for a prompt; allowed: "
                f"below {context}, or exclude the pair"
            )


def _context(model: Model) -> int | None:
    """How many tokens a model reads; None if that is not known yet."""
    if model.source != "path":
        return model.max_tokens
    configuration = Path(model.path) / "config.json"
    values = read_json(configuration) if configuration.is_file() else {}
    if not isinstance(values, dict):
        raise CodewattError(f"{display_path(configuration)}: expected a mapping of keys")
    return context_length(values)
