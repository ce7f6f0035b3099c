"""Writing a package as a zip archive or a directory; the same files give the same bytes."""

import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from codewatt.errors import CodewattError
from codewatt.files import atomic_path
from codewatt.units import BYTES_PER_GIB, BYTES_PER_MIB
from codewatt.untrusted_files import display_path

#: The first moment that the zip format can express.
_DATE = (1980, 1, 1, 0, 0, 0)
_FILE_MODE, _DIRECTORY_MODE = 0o100644, 0o40755
_UNIX = 3
#: Already compressed: a second compression gains nothing.
_PACKED = (".gz", ".parquet", ".png", ".pdf")


def check_output(path: Path) -> None:
    """Refuse to write a package over anything that exists.

    Raises:
        CodewattError: the path exists, or is neither a zip archive nor a directory by its name.
    """
    if path.exists() or path.is_symlink():
        raise CodewattError(f"{display_path(path)}: exists already; allowed: a new path")
    if path.suffix not in (".zip", ""):
        raise CodewattError(
            f"{display_path(path)}: suffix {path.suffix!r} is not allowed; allowed: .zip for an "
            "archive, none for a directory"
        )


def write_package(path: Path, files: Mapping[str, Path | bytes]) -> None:
    """Write files as a zip archive, or as a directory if the path has no suffix.

    Args:
        files: path in the package -> the file, or its content.

    Raises:
        CodewattError: see `check_output`; or the files cannot be written.
    """
    check_output(path)
    if path.suffix == ".zip":
        with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            # RO-Crate describes a directory as one entity, which the archive must then hold.
            for folder in sorted({name.split("/")[0] for name in files if "/" in name}):
                archive.writestr(_entry(f"{folder}/", _DIRECTORY_MODE), b"")
            for name in sorted(files):
                _add(archive, name, files[name])
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", dir=path.parent))
    try:
        for name in sorted(files):
            _copy(temporary / name, files[name])
        temporary.chmod(0o755)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copy(target: Path, content: Path | bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        target.write_bytes(content)
    else:
        shutil.copyfile(content, target)


def _add(archive: zipfile.ZipFile, name: str, content: Path | bytes) -> None:
    entry = _entry(name, _FILE_MODE)
    packed = PurePosixPath(name).suffix in _PACKED
    entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
    if isinstance(content, bytes):
        archive.writestr(entry, content)
        return
    large = content.stat().st_size >= 2 * BYTES_PER_GIB
    with content.open("rb") as source, archive.open(entry, "w", force_zip64=large) as target:
        shutil.copyfileobj(source, target, BYTES_PER_MIB)


def _entry(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.create_system = _UNIX
    entry.external_attr = mode << 16
    return entry
