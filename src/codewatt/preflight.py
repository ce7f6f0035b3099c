"""Checks of a study before any job runs, so that no job fails later for the same reason.

These checks need more than the study file: limits of the file system, and files that the study
names. Checks of the study file alone are in `config`.
"""

import os
from pathlib import Path
from typing import Any

from codewatt.benchmarks.prepare_benchmark import open_benchmark
from codewatt.benchmarks.prompt_format import PromptFormat
from codewatt.config.load_study import load_study
from codewatt.config.model_settings import GgufFromHub, GgufModel, HubModel, Model, is_commit
from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.grid import Grid
from codewatt.models.gguf_header import GgufHeader, configuration_of, read_gguf_header
from codewatt.models.model_config import context_length
from codewatt.paths import PUBLISHED_FOLDER, Paths
from codewatt.untrusted_files import display_path, require_file

#: Largest length (bytes) of a file name on common Linux file systems, and of a path.
_NAME_BYTES, _PATH_BYTES = 255, 4095
#: Longest suffix that is added to the id of a cell or variant in a file name.
_LOG_SUFFIX = ".log"
#: Upper bound on the length of a (temporary) file name inside a cell's directory.
_INSIDE_BYTES = 100


def load_grid(path: str | Path) -> Grid:
    """Read a study file, build its grid and run the checks of this module.

    Raises:
        CodewattError: the study file is invalid or a check failed.
    """
    grid = Grid(load_study(path), display_path(path))
    _check_named(grid)
    _check_contexts(grid)
    _check_prompts(grid)
    check_names(grid)
    return grid


def check_pinned(grid: Grid) -> None:
    """Check that each model of the hub is pinned to a commit; called before the first job.

    Estimates and dry runs need no commit.

    Raises:
        CodewattError: the revision of a model is a branch, a tag or a short commit.
    """
    needed = set(grid.model_ids)
    found = [
        (model.id, revision)
        for model in grid.study.models
        if model.id in needed and (revision := _revision(model)) is not None
        if not is_commit(revision)
    ]
    if not found:
        return
    model, revision = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise CodewattError(
        f"{grid.where}: model {model!r}: revision {revision!r}{more} is not a commit; allowed: 40 "
        f"hex digits; on a machine with a network, `codewatt pin {grid.where}` writes them"
    )


def _revision(model: Model) -> str | None:
    """The revision of a model of the hub; None for a model from elsewhere."""
    source = model.file if isinstance(model, GgufModel) else model
    return source.revision if isinstance(source, HubModel | GgufFromHub) else None


def check_names(grid: Grid, paths: Paths | None = None) -> None:
    """Check that file names and paths made of the study's ids are free and not too long.

    Args:
        grid: the study's grid.
        paths: the results, whose file system is queried; None: common limits of Linux.

    Raises:
        CodewattError: a name or a path is too long, or the study has the name of another folder.
    """
    if grid.study.study == PUBLISHED_FOLDER:
        raise CodewattError(
            f"{grid.where}: study: {PUBLISHED_FOLDER!r} is the folder of the page on the published "
            "studies; allowed: any other name"
        )
    most = _NAME_BYTES if paths is None else _name_bytes(paths.root)
    cells = (*grid.measured_cells, *grid.twins.values())
    longest = max(cells, key=lambda cell: len(cell.id.encode()))
    needed = len(longest.id.encode()) + len(_LOG_SUFFIX)
    if needed > most:
        parts = ", ".join(
            f"{name} {len(str(value))}"
            for name, value in longest.identity().items()
            if name not in ("id", "design_id", "session", "variant") and value is not None
        )
        raise CodewattError(
            f"{grid.where}: cell {longest.id!r}: its ids make a file name of {needed} bytes "
            f"({parts}, and separators); allowed: {most} bytes; use shorter ids"
        )
    if paths is None:
        return
    root = os.path.abspath(paths.root)
    nearest = next(folder for folder in (Path(root), *Path(root).parents) if folder.exists())
    if not nearest.is_dir():
        raise CodewattError(
            f"results: {display_path(root)}: {display_path(nearest)} is a file; allowed: a "
            "directory"
        )
    whole = len(os.fsencode(root)) + needed + _INSIDE_BYTES
    if whole > _PATH_BYTES:
        raise CodewattError(
            f"results: {display_path(root)}: with the ids of {grid.where} the longest path has "
            f"{whole} bytes; allowed: {_PATH_BYTES} bytes; choose a directory with a shorter path"
        )


def _name_bytes(directory: Path) -> int:
    """Largest length of a file name (bytes) in a directory, which may not exist yet."""
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
                    f"{where}: {display_path(model.path)}: the directory has no config.json; "
                    "allowed: a directory written by save_pretrained"
                )
        if model.source == "gguf" and model.id in grid.model_ids and model.local_path:
            try:
                read_gguf_header(model.local_path)
            except CodewattError as error:
                where = f"{grid.where}: models[{index}].file.path"
                raise CodewattError(f"{where}: {error}") from None
    for index, corpus in enumerate(grid.study.corpora):
        if corpus.source == "file" and corpus.id in grid.corpus_ids:
            try:
                require_file(corpus.path)
            except CodewattError as error:
                raise CodewattError(f"{grid.where}: corpora[{index}].path: {error}") from None


def _check_contexts(grid: Grid) -> None:
    """Check that the context of each model is longer than the token limits of its cells.

    Models with unknown context length are skipped. Rule generate checks the lengths of prompts,
    for which it needs the tokenizer.
    """
    contexts = {model.id: _context(model) for model in grid.study.models}
    for cell in grid.cells:
        context = contexts[cell.model]
        if context is not None and cell.token_limit >= context:
            raise CodewattError(
                f"{grid.where}: token_limits: {cell.token_limit}: the context of model "
                f"{cell.model!r} has {context} tokens, which leaves none for the prompt; allowed: "
                f"below {context}, or exclude the pair"
            )


def _check_prompts(grid: Grid) -> None:
    """Check that tasks that are instructions are combined with chat and a chat template.

    For models whose tokenizer is not known yet, rule generate makes the same check.
    """
    formats = {
        benchmark: _prompt_format(grid.settings("benchmark", benchmark))
        for benchmark in grid.benchmark_ids
    }
    without_template = {model.id for model in grid.study.models if _lacks_chat_template(model)}
    for cell in grid.cells:
        if formats[cell.benchmark].without_template != "refused":
            continue
        tasks = f"the tasks of benchmark {cell.benchmark!r} are instructions"
        if cell.prompt != "chat":
            raise CodewattError(
                f"{grid.where}: prompts: {cell.prompt!r}: {tasks}, which cannot be completed "
                "directly; allowed: chat, or exclude the pair"
            )
        if cell.model in without_template:
            raise CodewattError(
                f"{grid.where}: benchmarks: {tasks}, which need a chat template, but model "
                f"{cell.model!r} has no chat template; allowed: models with a chat template, or "
                "exclude the pair"
            )


def _prompt_format(settings: dict[str, Any]) -> PromptFormat:
    """The prompt format of a benchmark with its settings in the study."""
    chosen = {key: value for key, value in settings.items() if key != "kind"}
    return open_benchmark(settings["kind"]).prompt_format(chosen)


def _lacks_chat_template(model: Model) -> bool:
    """Whether the model's tokenizer is known to have no chat template: codewatt makes it, or it is
    in a GGUF file on this machine."""
    if model.source == "architecture":
        return model.tokenizer.source == "stdlib"
    if (header := _local_header(model)) is not None:
        return "tokenizer.chat_template" not in header.metadata
    return model.source == "nano"


def _local_header(model: Model) -> GgufHeader | None:
    """The header of a model's GGUF file, if that is on this machine; else None."""
    path = model.local_path if model.source == "gguf" else None
    return read_gguf_header(path) if path is not None and Path(path).is_file() else None


def _context(model: Model) -> int | None:
    """Context length of a model (tokens); None if unknown before download."""
    if (header := _local_header(model)) is not None:
        return context_length(configuration_of(header))
    if model.source != "path":
        return model.max_tokens
    configuration = Path(model.path) / "config.json"
    values = read_json(configuration) if configuration.is_file() else {}
    if not isinstance(values, dict):
        raise CodewattError(f"{display_path(configuration)}: expected a mapping of keys")
    return context_length(values)
