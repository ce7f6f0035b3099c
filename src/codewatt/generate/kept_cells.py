"""Finished cells of a block's job, kept until Snakemake has taken them over.

If a job of several cells fails, Snakemake deletes the outputs of all of them, and a retry makes all
of them again. So each cell of such a job, once it is whole, is linked into a directory that belongs
to the run: a retry takes it from there and does not measure again, and at the end of a run that
failed it is put back. The directory is deleted when the run ends. If the run was killed, the
directory stays, and the jobs of the next run take cells from it.

A cell is taken over only if it was made from the same settings, code and inputs. A kept cell saves
a measurement and is nothing else: if it cannot be kept or taken over, the job measures.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Literal

from typing_extensions import TypedDict

from codewatt.error_messages import describe, printable
from codewatt.errors import CodewattError
from codewatt.files import atomic_path, check_files, digest, read_json, sha256_file
from codewatt.record_files import RecordFormat

_LOG = getLogger(__name__)
#: Environment variable of jobs: the run's directory; unset where no job has several cells.
KEPT = "CODEWATT_KEPT"
_RUN = "run_"
#: Name of the `KeptRecord`, which is written last into the directory of a kept cell.
_RECORD = "kept.json"


class KeptRecord(TypedDict):
    """What a kept cell was made from (`MadeFrom.key`), and its files, the manifest last."""

    schema: Literal[1]
    key: str
    files: list[str]


_KEPT_RECORD: RecordFormat[KeptRecord] = RecordFormat(KeptRecord, "generate")


@dataclass(frozen=True)
class MadeFrom:
    """What a cell is made from.

    Attributes:
        key: digest of the settings, the code, the inputs' content and the Python environment.
        newest_input_ns: modification time of the newest input, in ns since the epoch.
    """

    key: str
    newest_input_ns: int

    @classmethod
    def of(cls, settings: str, code: Iterable[str], inputs: Iterable[str]) -> "MadeFrom":
        """What the cell of a job is made from: the rule's params, and the paths of its inputs."""
        paths = list(inputs)
        made_from = {
            "settings": settings,
            "code": list(code),
            "inputs": {path: sha256_file(path) for path in paths},
            "environment": sys.prefix,
        }
        newest = max((os.stat(path).st_mtime_ns for path in paths), default=0)
        return cls(digest(made_from), newest)


def start_keeping(cells: str | Path, forced: bool = False) -> None:
    """Make jobs that this process starts keep their cells, in `.kept` beside the cells.

    Of a run that was killed, a cell whose directory was deleted is forgotten: the user wants it to
    be measured again. (Snakemake deletes the files and leaves the directory.)

    Args:
        cells: the directory with a directory for each cell; no other run is active on it.
        forced: whether jobs are run although their outputs are up to date: then all cells of
            earlier runs are forgotten.
    """
    directory = Path(cells).absolute().parent / ".kept"
    earlier = _directories(directory)
    for kept in (kept for run in earlier for kept in _directories(run)):
        if forced or not (Path(cells) / kept.name).is_dir():
            shutil.rmtree(kept, ignore_errors=True)
    last = max(map(_run_number, earlier), default=0)
    os.environ[KEPT] = str(directory / f"{_RUN}{last + 1}")


def keep_cell(
    outputs: Sequence[Path], made_from: MadeFrom, environment: Mapping[str, str] | None = None
) -> None:
    """Keep a cell whose outputs are written; does nothing where the variable is not set.

    A cell that cannot be kept is a warning in the log.

    Args:
        outputs: all in the cell's directory, the manifest last.
        made_from: what the cell was made from.
        environment: of the job; None: this process's.
    """
    if (kept := _kept_directory(outputs, environment)) is None:
        return
    try:
        shutil.rmtree(kept, ignore_errors=True)
        _link(outputs, kept)
        names = [path.name for path in outputs]
        _KEPT_RECORD.write(kept / _RECORD, {"schema": 1, "key": made_from.key, "files": names})
    except (OSError, CodewattError) as error:
        _LOG.warning("not kept for a retry of this job: %s", describe(error))


def restore_cell(
    outputs: Sequence[Path], made_from: MadeFrom, environment: Mapping[str, str] | None = None
) -> bool:
    """Put back a cell that this run, or a run that was killed, has measured; whether it had.

    A kept cell that cannot be put back is a warning in the log. Arguments as of `keep_cell`.
    """
    own = _kept_directory(outputs, environment)
    if own is None:
        return False
    runs = sorted(_directories(own.parent.parent), key=_run_number, reverse=True)
    for kept in (run / own.name for run in runs):
        try:
            if not _is_same_cell(kept, made_from):
                continue
            _link([kept / path.name for path in outputs], outputs[0].parent)
        except (OSError, CodewattError) as error:
            _LOG.warning("measured again, as it cannot be taken over: %s", describe(error))
            for path in outputs:  # a link that stayed would be the kept file itself
                path.unlink(missing_ok=True)
            continue
        if kept != own:
            keep_cell(outputs, made_from, environment)
        return True
    return False


def stop_keeping(cells: str | Path) -> list[str]:
    """Put back the kept cells whose outputs were deleted, name them, and delete the directory.

    A cell that cannot be put back stays kept, for the next run, and its error is printed. Of the
    runs that were killed, cells stay kept if they have no outputs yet.

    Args:
        cells: the directory with a directory for each cell.

    Returns:
        Ids of the cells that were put back.
    """
    own = Path(os.environ.pop(KEPT, ""))
    if not own.name:
        return []
    found = [kept.name for kept in _directories(own) if _put_back(kept, Path(cells) / kept.name)]
    for run in _directories(own.parent):
        for kept in _directories(run):
            record = _read_record(kept)
            if record is None or (Path(cells) / kept.name / record["files"][-1]).exists():
                shutil.rmtree(kept, ignore_errors=True)
        _remove_if_empty(run)
    _remove_if_empty(own.parent)
    if found:
        _say(f"finished cells of failed jobs, put back ({len(found)}): {' '.join(found)}")
    return found


def _put_back(kept: Path, target: Path) -> bool:
    """Put a kept cell back if it is whole and has no outputs; returns whether that was done."""
    record = _read_record(kept)
    if record is None or (target / record["files"][-1]).exists():
        return False
    try:
        _link([kept / name for name in record["files"]], target)
    except (OSError, CodewattError) as error:
        _say(f"{target}: a finished cell was not put back: {describe(error)}; it stays in {kept}")
        return False
    return True


def _is_same_cell(kept: Path, made_from: MadeFrom) -> bool:
    """Whether a directory holds a whole cell that was made from the same, and after the inputs.

    Raises:
        CodewattError: a file is missing or differs from the cell's manifest.
    """
    record = _read_record(kept)
    if record is None or record["key"] != made_from.key:
        return False
    # Snakemake refuses outputs that are older than an input.
    oldest_ns = min((kept / name).stat().st_mtime_ns for name in record["files"])
    if oldest_ns < made_from.newest_input_ns:
        return False
    check_files(kept, read_json(kept / record["files"][-1])["files"])
    return True


def _read_record(kept: Path) -> KeptRecord | None:
    """The record of a kept cell; None if the cell is not whole."""
    try:
        return _KEPT_RECORD.read(kept / _RECORD)
    except (OSError, CodewattError):
        return None


def _kept_directory(outputs: Sequence[Path], environment: Mapping[str, str] | None) -> Path | None:
    chosen = (os.environ if environment is None else environment).get(KEPT)
    return Path(chosen) / outputs[0].parent.name if chosen else None


def _run_number(run: Path) -> int:
    number = run.name.removeprefix(_RUN)
    return int(number) if number.isdecimal() else 0


def _directories(parent: Path) -> list[Path]:
    """The directories in a directory, by name; none if it cannot be read."""
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return []


def _remove_if_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:  # it is not empty, or does not exist
        return


def _link(files: Iterable[Path], directory: Path) -> None:
    """Link files into a directory, in their order; copies where links are not possible."""
    directory.mkdir(parents=True, exist_ok=True)
    for file in files:
        target = directory / file.name
        target.unlink(missing_ok=True)
        try:
            os.link(file, target)
        except OSError:
            with atomic_path(target) as temporary:
                shutil.copy2(file, temporary)


def _say(message: str) -> None:
    print(f"codewatt: {printable(message)}", file=sys.stderr)
