"""Splits the output stream of a sandbox into lines with bounded memory.

A line of at most `MAX_BYTES_IN_MEMORY` is kept in memory. A longer line is written to a temporary
file while it arrives, up to the length that the reader allows.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from typing import IO

from codewatt.errors import CodewattError

MAX_BYTES_IN_MEMORY = 1 << 18
_COPY_BYTES = 1 << 18


class LineTooLong(Exception):
    """A line is longer than the reader allows."""


class LineOnDisk:
    """A line in a temporary file that is deleted together with this object."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="codewatt-")  # noqa: SIM115
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Append bytes to the line.

        Raises:
            CodewattError: the directory of temporary files is full or not writable.
        """
        try:
            self._file.write(piece)
        except OSError as error:
            raise CodewattError(
                f"{tempfile.gettempdir()}: a long output cannot be stored: {error}"
            ) from None
        self.size += len(piece)

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes of the line in pieces, from its start."""
        self._file.seek(0)
        while piece := self._file.read(_COPY_BYTES):
            yield piece

    def sha256(self) -> str:
        """sha256 (hex) of the line."""
        total = hashlib.sha256()
        for piece in self.pieces():
            total.update(piece)
        return total.hexdigest()


Line = bytes | LineOnDisk


def line_size(line: Line) -> int:
    """Length of a line (bytes)."""
    return len(line) if isinstance(line, bytes) else line.size


class LineReader:
    """Splits a stream that arrives in chunks of any size into lines.

    Args:
        max_bytes: returns the maximum length (bytes) of the line that is being read.
    """

    def __init__(self, max_bytes: Callable[[], int]) -> None:
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._piece_bytes = 0
        self._on_disk: LineOnDisk | None = None

    @property
    def has_partial_line(self) -> bool:
        """Whether the last chunk ended in the middle of a line."""
        return bool(self._pieces) or self._on_disk is not None

    def lines(self, chunk: bytes) -> Iterator[Line]:
        """Yield the lines that a chunk completes, and keep the rest for the next chunk.

        Raises:
            LineTooLong: a line exceeds the maximum length, even if it is not complete yet.
        """
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:end])
            yield self._finish()
            start = end + 1
        self._keep(chunk[start:])

    def _keep(self, piece: bytes) -> None:
        size = self._piece_bytes + (0 if self._on_disk is None else self._on_disk.size) + len(piece)
        if size > self._max_bytes():
            raise LineTooLong
        if self._on_disk is None and size > MAX_BYTES_IN_MEMORY:
            self._on_disk = LineOnDisk()
            for kept in self._pieces:
                self._on_disk.write(kept)
            self._pieces, self._piece_bytes = [], 0
        if self._on_disk is not None:
            self._on_disk.write(piece)
        elif piece:
            self._pieces.append(piece)
            self._piece_bytes += len(piece)
            if len(self._pieces) > 1000:  # many small pieces cost more memory than their bytes
                self._pieces = [b"".join(self._pieces)]

    def _finish(self) -> Line:
        line: Line = b"".join(self._pieces) if self._on_disk is None else self._on_disk
        self._pieces, self._piece_bytes, self._on_disk = [], 0, None
        return line
