"""Reading files from outside the project, with size limits and checks of their format.

A file may be compressed under a wrong name, a git-LFS pointer, in another encoding, truncated,
damaged, or a compression bomb. Each case raises an error of one line: file, problem and remedy.
"""

import codecs
import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from codewatt.error_messages import printable, system_error
from codewatt.errors import CodewattError
from codewatt.units import BYTES_PER_GIB, BYTES_PER_MIB

MAX_BYTES = BYTES_PER_GIB
"""The largest allowed size of a file, unpacked. HumanEval+ has 8 MB, most sample files less."""

MAX_LINE_BYTES = 64 * BYTES_PER_MIB
MAX_LINES = 5_000_000

#: Largest ratio of unpacked to packed size. gzip reaches 1000 at most, and about 10 for text: a
#: larger ratio than this is a compression bomb.
_MAX_RATIO, _RATIO_FROM_BYTES = 500, 64 * BYTES_PER_MIB

_READ_BYTES = BYTES_PER_MIB
_GZIP = b"\x1f\x8b"
_LFS = b"version https://git-lfs"
#: First bytes of files that are not text -> what to do with them.
_BEGINNINGS = (
    (_LFS, "is a git-LFS pointer, not the file itself; fetch it: git lfs pull"),
    (b"PK\x03\x04", "is a zip archive; unpack it first"),
    (b"\xfd7zXZ\x00", "is packed by xz; unpack it first: unxz"),
    (b"BZh", "is packed by bzip2; unpack it first: bunzip2"),
    (b"\x28\xb5\x2f\xfd", "is packed by zstd; unpack it first: unzstd"),
    (b"PAR1", "is a Parquet file; allowed: text"),
    (codecs.BOM_UTF32_LE, "is in UTF-32; allowed: UTF-8"),
    (codecs.BOM_UTF16_LE, "is in UTF-16; allowed: UTF-8"),
    (codecs.BOM_UTF16_BE, "is in UTF-16; allowed: UTF-8"),
)


def display_path(path: str | os.PathLike[str]) -> str:
    """A path as text for a message: one line, no control characters, at most 300 characters."""
    text = printable(os.fspath(path))
    return text if len(text) <= 300 else f"{text[:140]}...{text[-140:]}"


def expand_home(path: str) -> str:
    """A path with a leading ~ or ~user replaced by the home directory.

    Raises:
        CodewattError: the user does not exist or has no home directory.
    """
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise CodewattError(
            f"{display_path(path)}: the home directory of {path.split('/')[0]} is unknown; "
            "write the path in full (./~name for a name that begins with ~)"
        )
    return expanded


def read_text(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> str:
    """The content of a text file (UTF-8; gzip if the name ends in .gz).

    Args:
        max_bytes: largest allowed size, unpacked.

    Raises:
        CodewattError: the file is missing, is not UTF-8 text, or is larger than `max_bytes`.
    """
    content = b"".join(read_chunks(path, max_bytes))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CodewattError(f"{display_path(path)}:{line}: {_not_utf8(error)}") from None


def read_chunks(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> Iterator[bytes]:
    """Yield the bytes of a file in chunks, unpacked if the name ends in .gz.

    Raises:
        CodewattError: see `read_text`.
    """
    with convert_read_errors(path), _opened(path) as stream:
        budget = _Budget(path, max_bytes)
        while chunk := stream.read(_READ_BYTES):
            budget.spend(len(chunk))
            yield chunk


def read_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text) of each non-blank line (UTF-8; gzip by suffix).

    Raises:
        CodewattError: see `read_text`; the message contains the number of the wrong line.
    """
    with convert_read_errors(path), _opened(path) as stream:
        budget = _Budget(path, MAX_BYTES)
        number = 0
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            budget.spend(len(line))
            if len(line) > MAX_LINE_BYTES:
                raise CodewattError(
                    f"{display_path(path)}:{number}: the line is longer than "
                    f"{MAX_LINE_BYTES // BYTES_PER_MIB} MiB; allowed: one record per line"
                )
            if number > MAX_LINES:
                raise CodewattError(f"{display_path(path)}: too many lines; allowed: {MAX_LINES}")
            if line.isspace():
                continue
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise CodewattError(f"{display_path(path)}:{number}: {_not_utf8(error)}") from None
            if text.strip():  # a line may contain a byte-order mark only
                yield number, text


@contextmanager
def convert_read_errors(
    path: str | os.PathLike[str], problem: str = "not readable"
) -> Iterator[None]:
    """Convert exceptions from reading or parsing a file to a CodewattError of one line.

    The message is "path: problem: reason".

    Args:
        path: the file, with the line number if known.
        problem: short description of the problem.

    Raises:
        CodewattError: the block raised an exception of reading or parsing.
    """
    try:
        yield
        return
    except FileNotFoundError:
        reason, problem = "no such file", ""
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = f"damaged gzip: {error}"
    except OSError as error:
        reason = error.strerror or system_error(error)
    except RecursionError:
        reason = "nested too deeply"
    except MemoryError:
        reason = "too large for this machine's memory"
    except ValueError as error:
        reason = str(error)
    raise CodewattError(
        ": ".join(part for part in (display_path(path), problem, reason) if part)
    ) from None


def require_file(path: str | os.PathLike[str], *, pipe: bool = False) -> None:
    """Check that a path is a regular file. Opening a named pipe, for instance, would never return.

    Args:
        pipe: whether pipes of the shell (/dev/stdin, /dev/fd/N) are allowed too.

    Raises:
        CodewattError: the file does not exist or is not a regular file.
    """
    with convert_read_errors(path):
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            raise CodewattError(f"{display_path(path)}: is a directory; allowed: a file")
        shells = str(path) == "/dev/stdin" or str(path).startswith("/dev/fd/")
        if not (stat.S_ISREG(kind) or (pipe and shells)):
            raise CodewattError(f"{display_path(path)}: is not a regular file; allowed: a file")


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes, unpacked if it is gzip; refuse files of other formats."""
    require_file(path, pipe=True)
    with open(path, "rb") as raw:
        head = raw.peek(32)[:32]
        packed, named_so = head.startswith(_GZIP), Path(path).suffix == ".gz"
        for beginning, problem in _BEGINNINGS:
            if head.startswith(beginning):
                raise CodewattError(f"{display_path(path)}: {problem}")
        if packed and not named_so:
            raise CodewattError(
                f"{display_path(path)}: is gzip, but its name does not end in .gz; rename it or "
                "unpack it"
            )
        if named_so and not packed:
            problem = "is not gzip, though its name ends in .gz" if head else "is empty"
            raise CodewattError(f"{display_path(path)}: {problem}; rename it, or download it again")
        if not packed:
            yield raw
            return
        with gzip.GzipFile(fileobj=raw) as unpacked:
            yield unpacked  # type: ignore[misc]


class _Budget:
    """Counts the bytes read from a file and checks them against the limits."""

    def __init__(self, path: str | os.PathLike[str], most: int) -> None:
        self._path, self._most, self._read = path, most, 0
        packed = Path(path).suffix == ".gz" and Path(path).is_file()
        self._size = os.stat(path).st_size if packed else None

    def spend(self, count: int) -> None:
        """Add a number of bytes that were read.

        Raises:
            CodewattError: a limit is exceeded.
        """
        self._read += count
        if self._read > self._most:
            raise CodewattError(
                f"{display_path(self._path)}: too large; allowed: {self._most // BYTES_PER_MIB} MiB"
            )
        if (
            self._size is not None
            and self._read > _RATIO_FROM_BYTES
            and self._read > _MAX_RATIO * self._size
        ):
            raise CodewattError(
                f"{display_path(self._path)}: unpacks to more than {_MAX_RATIO} times its size; "
                "it looks like a compression bomb"
            )


def _not_utf8(error: UnicodeDecodeError) -> str:
    byte = error.object[error.start]
    return f"not readable as text: byte 0x{byte:02x} is not UTF-8 ({error.reason}); allowed: UTF-8"
