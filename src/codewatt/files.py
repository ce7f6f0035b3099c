"""Reading and writing files: atomic outputs, canonical JSON, JSON lines and digests.

Every output is written to a temporary name in the same directory and renamed, so that a
process that is killed leaves the old file or none, and never half of one.
"""

import csv
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

from codewatt.errors import CodewattError

_READ_BYTES = 1 << 20


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    The temporary name keeps the suffixes of `path`, as many writers choose a format by them.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    suffix = "".join(target.suffixes)
    handle, name = tempfile.mkstemp(
        prefix=f".{target.name}.", suffix=f".part{suffix}", dir=target.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


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
    with atomic_path(path) as temporary, _open(temporary, "wt") as stream:
        json.dump(value, stream, indent=2, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file (gzip by suffix).

    Raises:
        CodewattError: the file is missing or is not JSON.
    """
    try:
        with _open(Path(path), "rt") as stream:
            return json.load(stream)
    except FileNotFoundError:
        raise CodewattError(f"{path}: no such file") from None
    except (ValueError, EOFError, gzip.BadGzipFile) as error:
        raise CodewattError(f"{path}: not readable as JSON: {error}") from None


def write_jsonl(path: str | os.PathLike[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line (gzip by suffix), atomically."""
    with atomic_path(path) as temporary, _open(temporary, "wt") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON-lines file (gzip by suffix); empty lines are skipped.

    Raises:
        CodewattError: the file is missing, or a line is not a JSON object (file:line is named).
    """
    number = 0
    try:
        with _open(Path(path), "rt") as stream:
            for number, line in enumerate(stream, start=1):  # noqa: B007 (used on errors)
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("expected a JSON object")
                yield row
    except FileNotFoundError:
        raise CodewattError(f"{path}: no such file") from None
    except (ValueError, EOFError, gzip.BadGzipFile) as error:
        raise CodewattError(f"{path}:{number}: not readable as JSON lines: {error}") from None


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
) -> dict[str, dict[str, Any]]:
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


def check_files(directory: str | os.PathLike[str], described: dict[str, dict[str, Any]]) -> None:
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
def _open(path: Path, mode: str) -> Iterator[IO[str]]:
    """Open text, through gzip (without a time stamp: same content, same bytes) for .gz."""
    if path.suffix != ".gz":
        with open(path, mode, encoding="utf-8") as plain:
            yield plain
    elif "w" in mode:
        with (
            open(path, "wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
            io.TextIOWrapper(packed, encoding="utf-8") as text,
        ):
            yield text
    else:
        with gzip.open(path, "rt", encoding="utf-8") as text_in:
            yield text_in
