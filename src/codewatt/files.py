"""Writing files atomically, canonical JSON, digests, and JSON in and out.

Every output is written to a temporary name in the same directory and renamed, so that a
process that is killed leaves the old file or none, and never half of one. How files of others are
read, and what is refused of them: `reading`.
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
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    The temporary name keeps the suffixes of `path`, as many writers choose a format by them.

    Raises:
        CodewattError: the file cannot be written: no room, no permission, a directory of that name.
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
            raise  # of another file, which the block used
        raise _not_written(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike[str], size_bytes: int) -> None:
    """See that a file of so many bytes can be written, and leave nothing behind.

    Raises:
        CodewattError: it cannot: no room, no permission, a directory of that name.
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
    """The line for a file that could not be written."""
    reason = error.strerror or system_error(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        reason = "a file stands where a directory of its path should be"
    return CodewattError(f"{display_path(target)}: cannot be written: {reason}")


def _refuse_target(target: Path) -> None:
    """Refuse a path that no file can be renamed to: a directory, or a device, which would be lost.

    Raises:
        CodewattError: it is one.
    """
    if target.is_dir():
        raise CodewattError(f"{display_path(target)}: is a directory; allowed: the name of a file")
    if target.exists() and not target.is_file():
        raise CodewattError(
            f"{display_path(target)}: is not a regular file; allowed: the name of a file"
        )


def _temporary(target: Path) -> Path:
    """An empty file in the directory of `target`, which is made if it is not there.

    Raises:
        CodewattError: no file can be made there, or not renamed to `target`.
    """
    suffix = "".join(target.suffixes[-2:])
    try:
        _refuse_target(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            # Short enough for a file system's names whatever the name of the target is.
            prefix=f".{target.name[:40]}.",
            suffix=f".part{suffix if len(suffix.encode()) <= 20 else target.suffix[:20]}",
            dir=target.parent,
        )
        os.close(handle)
    except OSError as error:
        raise _not_written(target, error) from None
    return Path(name)


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: Any) -> str:
    """sha256 (hex) of a JSON-like value, whatever the order of its keys."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_file(path: str | os.PathLike[str]) -> str:
    """sha256 (hex) of a file's bytes."""
    total = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_READ_BYTES):
            total.update(chunk)
    return total.hexdigest()


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a value as indented JSON, atomically. NaN is an error: absent is null."""
    with atomic_path(path) as temporary, _writing(temporary) as stream:
        json.dump(value, stream, indent=2, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file (gzip by suffix).

    Raises:
        CodewattError: the file is missing or is not JSON; see `reading` for what else is refused.
    """
    text = read_text(path)
    with convert_read_errors(path, "not readable as JSON"):
        return json.loads(text)


def write_jsonl(path: str | os.PathLike[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line (gzip by suffix), atomically."""
    with atomic_path(path) as temporary, _writing(temporary) as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON-lines file (gzip by suffix); empty lines are skipped.

    Raises:
        CodewattError: as `numbered_rows` says.
    """
    return (row for _, row in numbered_rows(path))


def numbered_rows(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, object) of a JSON-lines file, lines counted from 1; empty lines are skipped.

    Raises:
        CodewattError: the file is missing, or a line is not a JSON object (file:line is named);
            see `reading` for what else is refused.
    """
    for number, line in read_lines(path):
        with convert_read_errors(f"{path}:{number}", "not readable as JSON lines"):
            row = _json_object(line)
        yield number, row


def _json_object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:  # its own text counts lines within this one
        raise ValueError(f"{error.msg}, column {error.colno}") from None
    if not isinstance(row, dict):
        raise ValueError("expected a JSON object")
    return row


def write_csv_rows(
    path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Write rows as CSV with exactly these columns, atomically; None is an empty field.

    Raises:
        ValueError: a row has a key that is no column.
    """
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def describe_files(
    directory: str | os.PathLike[str], names: Iterable[str] | None = None
) -> dict[str, FileRecord]:
    """Name, size (bytes) and sha256 of files below a directory, sorted by name.

    Args:
        names: of the files, relative to the directory; all files if absent.
    """
    root = Path(directory)
    if names is None:
        names = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return {
        name: {"bytes": (root / name).stat().st_size, "sha256": sha256_file(root / name)}
        for name in sorted(names)
    }


def check_files(directory: str | os.PathLike[str], described: Mapping[str, FileRecord]) -> None:
    """Check a directory against `describe_files`' answer.

    Raises:
        CodewattError: a file is missing or differs in size or sha256.
    """
    root = Path(directory)
    for name, want in described.items():
        path = root / name
        if not path.is_file():
            raise CodewattError(f"{path}: missing, though its manifest lists it")
        size = path.stat().st_size
        if size != want["bytes"]:
            raise CodewattError(f"{path}: {size} bytes, its manifest says {want['bytes']}")
        if sha256_file(path) != want["sha256"]:
            raise CodewattError(f"{path}: sha256 differs from its manifest")


@contextmanager
def _writing(path: Path) -> Iterator[IO[str]]:
    """Open text to write, through gzip (without a time stamp: same content, same bytes) for .gz.

    A lone surrogate, which UTF-8 does not have, is written as a backslash escape, as in JSON.
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
