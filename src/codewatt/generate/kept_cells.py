"""Finished cells of a block's job, kept until Snakemake has taken them over.

If a job of several cells fails, Snakemake deletes the outputs of all of them, and a retry makes all
of them again. So each cell of such a job, once it is whole, is linked into a directory that belongs
to the run: a retry in the same run takes it from there and does not measure again, and at the end
of a run that failed it is put back. The directory is emptied when a run starts and when it ends.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

#: Environment variable of jobs: the directory of kept cells; unset where no job has several cells.
KEPT = "CODEWATT_KEPT"


def start_keeping(results: str | Path) -> None:
    """Make jobs that this process starts keep their cells, and forget those of earlier runs."""
    directory = Path(results).absolute() / ".kept"
    shutil.rmtree(directory, ignore_errors=True)
    os.environ[KEPT] = str(directory)


def keep_cell(outputs: Sequence[Path], environment: Mapping[str, str] | None = None) -> None:
    """Keep a cell whose outputs are written; does nothing where the variable is not set.

    Args:
        outputs: all in the cell's directory, the manifest last.
        environment: of the job; None: this process's.
    """
    if (kept := _kept_directory(outputs, environment)) is not None:
        shutil.rmtree(kept, ignore_errors=True)
        _link(outputs, kept)


def restore_cell(outputs: Sequence[Path], environment: Mapping[str, str] | None = None) -> bool:
    """Put back a cell that this run has measured before; whether it had; arguments as above."""
    kept = _kept_directory(outputs, environment)
    if kept is None or not (kept / outputs[-1].name).is_file():
        return False
    _link([kept / path.name for path in outputs], outputs[0].parent)
    return True


def stop_keeping(cells: str | Path) -> list[str]:
    """Put back the kept cells whose outputs were deleted, and empty the directory.

    Args:
        cells: the directory with a directory for each cell.

    Returns:
        Ids of the cells that were put back.
    """
    directory = Path(os.environ.pop(KEPT, ""))
    if not directory.name or not directory.is_dir():
        return []
    found = []
    for kept in sorted(directory.iterdir()):
        target = Path(cells) / kept.name
        files = sorted(kept.iterdir(), key=lambda path: path.name == "generate.json")
        if files[-1].name == "generate.json" and not (target / files[-1].name).exists():
            _link(files, target)
            found.append(kept.name)
    shutil.rmtree(directory, ignore_errors=True)
    return found


def _kept_directory(outputs: Sequence[Path], environment: Mapping[str, str] | None) -> Path | None:
    chosen = (os.environ if environment is None else environment).get(KEPT)
    return Path(chosen) / outputs[0].parent.name if chosen else None


def _link(files: Sequence[Path], directory: Path) -> None:
    """Link files into a directory, in their order; copies where links are not possible."""
    directory.mkdir(parents=True, exist_ok=True)
    for file in files:
        target = directory / file.name
        target.unlink(missing_ok=True)
        try:
            os.link(file, target)
        except OSError:
            shutil.copy2(file, target)
