"""Splits what a sandbox writes into lines, holding a bounded number of bytes in memory.

A line of up to `KEPT_BYTES` is held in memory; a longer one goes to a temporary file as it comes,
up to the length that its reader allows.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from typing import IO

from codewatt.errors import CodewattError

KEPT_BYTES = 1 << 18
_COPY_BYTES = 1 << 18


class TooLong(Exception):
    """A line is longer than its reader allows."""


class LongLine:
    """A line in a temporary file, which is gone when this object is."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="codewatt-")  # noqa: SIM115
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Append some bytes.

        Raises:
            CodewattError: the file system of temporary files is full.
        """
        try:
            self._file.write(piece)
        except OSError as error:
            raise CodewattError(f"{tempfile.gettempdir()}: a long output: {error}") from None
        self.size += len(piece)

    def pieces(self) -> Iterator[bytes]:
        """The bytes, from the first one on."""
        self._file.seek(0)
        while piece := self._file.read(_COPY_BYTES):
            yield piece

    def sha256(self) -> str:
        """sha256 (hex) of the bytes."""
        total = hashlib.sha256()
        for piece in self.pieces():
            total.update(piece)
        return total.hexdigest()


Line = bytes | LongLine


def size_of(line: Line) -> int:
    """Bytes of a line."""
    return len(line) if isinstance(line, bytes) else line.size


class LineReader:
    """Lines of a stream that comes in chunks of any size.

    Args:
        longest: the most bytes that the line that is being read may have.
    """

    def __init__(self, longest: Callable[[], int]) -> None:
        self._longest = longest
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._long: LongLine | None = None

    @property
    def begun(self) -> bool:
        """Whether the last chunk ended within a line."""
        return bool(self._held) or self._long is not None

    def lines(self, chunk: bytes) -> Iterator[Line]:
        """The lines that a chunk completes; what follows the last one is kept for the next chunk.

        Raises:
            TooLong: a line, complete or not, is longer than allowed.
        """
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:end])
            yield self._finish()
            start = end + 1
        self._keep(chunk[start:])

    def _keep(self, piece: bytes) -> None:
        size = self._held_bytes + (0 if self._long is None else self._long.size) + len(piece)
        if size > self._longest():
            raise TooLong
        if self._long is None and size > KEPT_BYTES:
            self._long = LongLine()
            for held in self._held:
                self._long.write(held)
            self._held, self._held_bytes = [], 0
        if self._long is not None:
            self._long.write(piece)
        elif piece:
            self._held.append(piece)
            self._held_bytes += len(piece)
            if len(self._held) > 1000:  # bytes that come one by one cost more than they hold
                self._held = [b"".join(self._held)]

    def _finish(self) -> Line:
        line: Line = b"".join(self._held) if self._long is None else self._long
        self._held, self._held_bytes, self._long = [], 0, None
        return line
