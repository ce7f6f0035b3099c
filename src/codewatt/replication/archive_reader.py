"""Reading a package from elsewhere: every name and size is checked before anything is written.

Refused are names that leave the package, links and special files, two files of one name, encrypted
files, sizes that a header hides, and archives that unpack to far more than their size.
"""

import hashlib
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from codewatt.errors import CodewattError
from codewatt.units import BYTES_PER_GIB, BYTES_PER_MIB
from codewatt.untrusted_files import display_path

MAX_FILES = 1_000_000
MAX_NAME_BYTES = 1024
#: Limits of the sums over all files: unpacked size, and its ratio to the size of the archive.
MAX_BYTES = 1024 * BYTES_PER_GIB
MAX_RATIO, RATIO_FROM_BYTES = 500, 64 * BYTES_PER_MIB
_ENCRYPTED = 0x1
_CHECKSUM = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>[^\r\n]+)")
_MAX_CHECKSUMS_BYTES = 256 * BYTES_PER_MIB


class Package:
    """The files of a package, in a zip archive or a directory, by name."""

    def __init__(self, path: Path, sizes: dict[str, int], archive: zipfile.ZipFile | None) -> None:
        self.path = path
        self.sizes = sizes
        self._archive = archive

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file of the package for reading.

        Raises:
            CodewattError: the package has no such file, or it is damaged.
        """
        if name not in self.sizes:
            raise CodewattError(f"{display_path(self.path)}: {display_path(name)}: no such file")
        try:
            if self._archive is not None:
                with self._archive.open(name) as stream:
                    yield stream
            else:
                # A link that replaced the file since it was listed is not followed.
                handle = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW)
                with os.fdopen(handle, "rb") as stream:
                    yield stream
        except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
            raise CodewattError(
                f"{display_path(self.path)}: {display_path(name)}: damaged: {error}"
            ) from None

    def read(self, name: str, max_bytes: int) -> bytes:
        """The content of a small file.

        Raises:
            CodewattError: it is larger than `max_bytes`; see `open`.
        """
        with self.open(name) as stream:
            content = stream.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise CodewattError(
                f"{display_path(self.path)}: {display_path(name)}: too large; allowed: "
                f"{max_bytes // BYTES_PER_MIB} MiB"
            )
        return content

    def extract(self, name: str, target: Path) -> str:
        """Write a file of the package to `target`; its sha256 (hex).

        Raises:
            CodewattError: it holds more bytes than the package says; see `open`.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        total, left = hashlib.sha256(), self.sizes[name]
        with self.open(name) as stream, target.open("xb") as out:
            while chunk := stream.read(BYTES_PER_MIB):
                left -= len(chunk)
                if left < 0:
                    raise CodewattError(
                        f"{display_path(self.path)}: {display_path(name)}: holds more than the "
                        f"{self.sizes[name]} bytes that the package says"
                    )
                total.update(chunk)
                out.write(chunk)
        return total.hexdigest()


@contextmanager
def open_package(path: Path) -> Iterator[Package]:
    """Open a package and check the names and sizes of its files.

    Raises:
        CodewattError: it is neither a zip archive nor a directory, or is refused.
    """
    if path.is_dir():
        sizes = _directory_sizes(path)
        _check_sizes(path, sizes, None)
        yield Package(path, sizes, None)
        return
    if not path.is_file():
        raise CodewattError(f"{display_path(path)}: no such file; allowed: a package")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError) as error:
        raise CodewattError(f"{display_path(path)}: not readable as zip: {error}") from None
    with archive:
        sizes = _archive_sizes(path, archive)
        _check_sizes(path, sizes, path.stat().st_size)
        yield Package(path, sizes, archive)


def read_checksums(package: Package, name: str) -> dict[str, str]:
    """Path -> sha256 (hex) of a list as `sha256sum` writes it.

    Raises:
        CodewattError: a line has another form, or names a file twice.
    """
    where = f"{display_path(package.path)}: {name}"
    try:
        text = package.read(name, _MAX_CHECKSUMS_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise CodewattError(f"{where}: is not UTF-8 text") from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = _CHECKSUM.fullmatch(line)
        if match is None or match["name"] in found:
            raise CodewattError(
                f"{where}:{number}: not allowed; allowed: a sha256, two spaces and a path, once "
                "for each file"
            )
        found[match["name"]] = match["sha256"]
    return found


def _archive_sizes(path: Path, archive: zipfile.ZipFile) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for entry in archive.infolist():
        where = f"{display_path(path)}: {display_path(entry.filename)}"
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.is_dir():
            _check_name(where, entry.filename.rstrip("/"))
            continue
        if kind not in (0, stat.S_IFREG):
            raise CodewattError(f"{where}: is a link or special file; allowed: regular files")
        if entry.flag_bits & _ENCRYPTED:
            raise CodewattError(f"{where}: is encrypted; allowed: files without a password")
        # zipfile cuts names at a NUL byte; the name in the header must be the whole one.
        if entry.orig_filename != entry.filename:
            raise CodewattError(f"{where}: the name has a character that is not allowed")
        _check_name(where, entry.filename)
        if entry.filename in sizes:
            raise CodewattError(f"{where}: stands there twice; allowed: one file of a name")
        sizes[entry.filename] = entry.file_size
    return sizes


def _directory_sizes(root: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            relative = path.relative_to(root).as_posix()
            where = f"{display_path(root)}: {display_path(relative)}"
            _check_name(where, relative)
            if stat.S_ISREG(mode):
                sizes[relative] = path.lstat().st_size
            elif not stat.S_ISDIR(mode):
                raise CodewattError(f"{where}: is a link or special file; allowed: regular files")
    return sizes


def _check_name(where: str, name: str) -> None:
    """Refuse a name that is not a plain relative path below the package."""
    parts = name.split("/")
    plain = name.isprintable() and "\\" not in name and len(name.encode()) <= MAX_NAME_BYTES
    if not plain or any(part in ("", ".", "..") for part in parts):
        raise CodewattError(
            f"{where}: the name is not allowed; allowed: a relative path without '..' or "
            "control characters"
        )


def _check_sizes(path: Path, sizes: dict[str, int], packed: int | None) -> None:
    """Refuse a package that needs too much space, before anything is unpacked."""
    where, total = display_path(path), sum(sizes.values())
    if len(sizes) > MAX_FILES:
        raise CodewattError(f"{where}: has {len(sizes)} files; allowed: {MAX_FILES}")
    if packed is not None and total > max(RATIO_FROM_BYTES, MAX_RATIO * packed):
        raise CodewattError(
            f"{where}: unpacks to more than {MAX_RATIO} times its size; it looks like a "
            "compression bomb"
        )
    if total > MAX_BYTES:
        raise CodewattError(
            f"{where}: unpacks to {total // BYTES_PER_GIB} GiB; allowed: "
            f"{MAX_BYTES // BYTES_PER_GIB} GiB"
        )


def check_space(package: Package, directory: Path) -> None:
    """Refuse a package for which the disk has no room.

    Raises:
        CodewattError: the unpacked files need more than is free in `directory`.
    """
    needed, free = sum(package.sizes.values()), shutil.disk_usage(directory).free
    if needed > free:
        raise CodewattError(
            f"{display_path(directory)}: the package needs {needed} bytes, but the disk has {free} "
            "bytes free"
        )
