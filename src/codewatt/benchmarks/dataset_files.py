"""Files of benchmark datasets: digests and pinned downloads."""

import gzip
import hashlib
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO

from codewatt.cache_directory import cache_directory
from codewatt.errors import CodewattError
from codewatt.files import atomic_path
from codewatt.untrusted_files import display_path, read_chunks, require_file

_TIMEOUT_S = 60
_MAX_BYTES = 256 << 20


def unpacked_digests(path: str | Path) -> dict[str, str]:
    """MD5 (which EvalPlus stores as "hash") and SHA-256 of a file's content, unpacked if .gz.

    Raises:
        CodewattError: the file cannot be read.
    """
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    require_file(path)  # no pipe: the file is read a second time
    for chunk in read_chunks(path):
        md5.update(chunk)
        sha256.update(chunk)
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def require_digest(path: Path, sha256: str, name: str) -> None:
    """Check a dataset file against a pinned digest.

    Args:
        path: the file; .gz is unpacked, because the bytes of a .gz differ between two uploads.
        sha256: pinned SHA-256 of the unpacked content (hex).
        name: name and version of the dataset, for the message.

    Raises:
        CodewattError: the file cannot be read or has another digest.
    """
    found = unpacked_digests(path)["sha256"]
    if found != sha256:
        raise CodewattError(
            f"{display_path(path)}: sha256 of the unpacked content is {found}; {name} has {sha256}"
        )


def cached_download(url: str, file_name: str, sha256: str, name: str) -> Path:
    """A downloaded dataset file in the cache directory; fetched if missing, always checked.

    Args:
        url: address of a .gz file.
        file_name: name of the unpacked file in the cache directory.
        sha256: see `require_digest`.
        name: see `require_digest`.

    Raises:
        CodewattError: the file cannot be downloaded or has another digest.
    """
    target = cache_directory() / file_name
    if not target.is_file():
        content = download(url)
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)
            require_digest(temporary, sha256, name)
    require_digest(target, sha256, name)
    return target


def download(url: str) -> bytes:
    """The unpacked content of a .gz file at a URL.

    Raises:
        CodewattError: the file cannot be downloaded.
    """
    with _answer(url) as answer, gzip.GzipFile(fileobj=answer) as unpacked:
        content: bytes = unpacked.read(_MAX_BYTES)
    return content


def download_file(url: str) -> bytes:
    """The bytes of a file at a URL.

    Raises:
        CodewattError: the file cannot be downloaded.
    """
    with _answer(url) as answer:
        content: bytes = answer.read(_MAX_BYTES)
    return content


@contextmanager
def _answer(url: str) -> Iterator[IO[bytes]]:
    """The answer to a request of a URL; a failure in the block is one line that names the URL."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            yield answer
    except (OSError, EOFError, zlib.error, HTTPException) as error:
        raise CodewattError(
            f"{url}: cannot be downloaded ({error}); "
            "set benchmark_files in config/config.yaml to a local copy"
        ) from None
