"""Writing files atomically; reading and writing JSON, JSON lines and CSV; digests of files.

Every output is written to a temporary file in the same directory and then renamed. A process that
is killed therefore leaves the old file or no file, never an incomplete one. The size limits and
format checks for files from outside the project are in `untrusted_files`.
"""

import csv
import errno
import gzip
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from typing_extensions import TypedDict

from codewatt.error_messages import system_error
from codewatt.errors import CodewattError
from codewatt.units import BYTES_PER_MIB
from codewatt.untrusted_files import convert_read_errors, display_path, read_lines, read_text

_READ_BYTES = BYTES_PER_MIB


class FileRecord(TypedDict):
    """A file's size and digest (sha256, hex), as manifests list it."""

    bytes: int
    sha256: str


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the directory of `path`; rename it to `path` if the block succeeds.

    The temporary name keeps the suffixes of `path`, because many writers choose the format by them.

    Raises:
        CodewattError: the file cannot be written: the disk is full, permission is denied, or
            `path` is a directory.
    """
    target = Path(path)
    temporary = _temporary(target)
    try:
        yield temporary
        temporary.chmod(0o644)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.filename is not None and Path(error.filename) not in (temporary, target):
            raise  # the error is about another file, which the block used
        raise _not_written(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike[str], size_bytes: int) -> None:
    """Check that a file of `size_bytes` bytes can be written to `path`; no file is left there.

    Raises:
        CodewattError: the disk is full, permission is denied, or `path` is a directory.
    """
    target = Path(path)
    temporary = _temporary(target)
    try:
        with temporary.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, size_bytes)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system without reservations
            return
        raise _not_written(target, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def _not_written(target: Path, error: OSError) -> CodewattError:
    """The error for a file that could not be written."""
    reason = error.strerror or system_error(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        reason = "a part of its path is a file; allowed: directories"
    return CodewattError(f"{display_path(target)}: cannot be written: {reason}")


def _refuse_target(target: Path) -> None:
    """Refuse to replace a directory or a special file (such as a device) by a regular file.

    Raises:
        CodewattError: the path exists and is not a regular file.
    """
    if target.is_dir():
        raise CodewattError(f"{display_path(target)}: is a directory; allowed: the name of a file")
    if target.exists() and not target.is_file():
        raise CodewattError(
            f"{display_path(target)}: is not a regular file; allowed: the name of a file"
        )


def _temporary(target: Path) -> Path:
    """Create an empty temporary file in the directory of `target`; create the directory if missing.

    Raises:
        CodewattError: the file cannot be created, or cannot be renamed to `target`.
    """
    suffix = "".join(target.suffixes[-2:])
    try:
        _refuse_target(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            # Cut, so that the name is short enough for any file system.
            prefix=f".{target.name[:40]}.",
            suffix=f".part{suffix if len(suffix.encode()) <= 20 else target.suffix[:20]}",
            dir=target.parent,
        )
        os.close(handle)
    except OSError as error:
        raise _not_written(target, error) from None
    return Path(name)


def canonical_json(value: Any, *, allow_nan: bool = False) -> str:
    """JSON text that is the same for equal values: sorted keys, no spaces.

    Args:
        value: a JSON-like value.
        allow_nan: write NaN and infinities as Python's json does; otherwise they are an error.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=allow_nan
    )


def digest(value: Any) -> str:
    """sha256 (hex) of a JSON-like value; independent of the order of its keys."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_file(path: str | os.PathLike[str]) -> str:
    """sha256 (hex) of a file's bytes."""
    total = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_READ_BYTES):
            total.update(chunk)
    return total.hexdigest()


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a value as indented JSON, atomically; None is written as null, NaN is an error."""
    with atomic_path(path) as temporary, _writing(temporary) as stream:
        json.dump(value, stream, indent=2, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file (gzip by suffix).

    Raises:
        CodewattError: the file is missing, is not JSON, or is refused by `untrusted_files`.
    """
    text = read_text(path)
    with convert_read_errors(path, "not readable as JSON"):
        return json.loads(text)


def write_jsonl(path: str | os.PathLike[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object per line (gzip by suffix), atomically."""
    with atomic_path(path) as temporary, _writing(temporary) as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON-lines file (gzip by suffix); empty lines are skipped.

    Raises:
        CodewattError: see `numbered_rows`.
    """
    return (row for _, row in numbered_rows(path))


def numbered_rows(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object) of a JSON-lines file; empty lines are skipped.

    Raises:
        CodewattError: the file is missing, a line is not a JSON object (the message names file and
            line), or the file is refused by `untrusted_files`.
    """
    for number, line in read_lines(path):
        with convert_read_errors(f"{path}:{number}", "not readable as JSON lines"):
            row = _json_object(line)
        yield number, row


def _json_object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:  # str(error) would count lines within this line
        raise ValueError(f"{error.msg}, column {error.colno}") from None
    if not isinstance(row, dict):
        raise ValueError("expected a JSON object")
    return row


def write_csv_rows(
    path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Write rows as CSV with exactly these columns, atomically; None is an empty field.

    Raises:
        ValueError: a row has a key that is not in `columns`.
    """
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def describe_files(
    directory: str | os.PathLike[str], names: Iterable[str] | None = None
) -> dict[str, FileRecord]:
    """Size (bytes) and sha256 of the files of a directory, by name, sorted by name.

    Args:
        names: names of the files, relative to the directory; None: all files in the directory and
            its subdirectories.
    """
    root = Path(directory)
    if names is None:
        names = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return {
        name: {"bytes": (root / name).stat().st_size, "sha256": sha256_file(root / name)}
        for name in sorted(names)
    }


def check_files(directory: str | os.PathLike[str], described: Mapping[str, FileRecord]) -> None:
    """Check the files of a directory against the result of `describe_files`.

    Raises:
        CodewattError: a file is missing or differs in size or sha256.
    """
    root = Path(directory)
    for name, want in described.items():
        path = root / name
        if not path.is_file():
            raise CodewattError(f"{path}: file is missing, but the manifest lists it")
        size = path.stat().st_size
        if size != want["bytes"]:
            raise CodewattError(
                f"{path}: size is {size} bytes; the manifest has {want['bytes']} bytes"
            )
        if sha256_file(path) != want["sha256"]:
            raise CodewattError(f"{path}: sha256 differs from its manifest")


@contextmanager
def _writing(path: Path) -> Iterator[IO[str]]:
    """Open a text file for writing (UTF-8; gzip if the name ends in .gz).

    The gzip header has no time stamp, so that equal content gives equal bytes. A lone surrogate,
    which UTF-8 cannot encode, is written as a backslash escape, as in JSON.
    """
    errors = "backslashreplace"
    if path.suffix != ".gz":
        with open(path, "w", encoding="utf-8", errors=errors) as plain:
            yield plain
        return
    with (
        open(path, "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", errors=errors) as text,
    ):
        yield text
