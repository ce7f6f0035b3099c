"""HumanEval+ (Liu et al., 2023): HumanEval's 164 tasks with EvalPlus's further tests."""

import gzip
import hashlib
import os
import urllib.request
import zlib
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar

from codewatt.benchmarks.benchmark import Benchmark, Task, read_tasks
from codewatt.benchmarks.task_ids import refuse_foreign_row
from codewatt.errors import CodewattError
from codewatt.files import atomic_path
from codewatt.untrusted_files import read_chunks, require_file, shown

VERSION = "v0.1.10"

# The release repository's tag v0.1.10 points at the content of v0.1.9, so the commit that really
# holds v0.1.10 is named instead of a tag.
_COMMIT = "200defce9e3429d28ca215b6dd061c0f7f31c18b"
_URL = "https://github.com/evalplus/humanevalplus_release/raw/{commit}/{name}.jsonl.gz"
_SHA256 = {
    "HumanEvalPlus": "42526ec0e7d5f3ee0b06d6ced98f8c8bae3d76519151bfb3d36f79010645bd7f",
    "HumanEvalPlus-Mini": "78fbba8865b20c5a979cda6e02fd72538e1762e65980af7d1a6e93c3e87e93af",
}
"""sha256 of the unpacked JSON lines: the bytes of a .gz differ between two uploads."""

_TIMEOUT_S = 60
_MAX_BYTES = 256 << 20


class HumanEvalPlus(Benchmark):
    """HumanEval+ v0.1.10, from a local file or downloaded once and checked.

    Settings:
        path: a local .jsonl or .jsonl.gz, or null to download into the cache
            ($XDG_CACHE_HOME/codewatt, else ~/.cache/codewatt).
        mini: the small variant, with fewer plus inputs.
        pinned: whether the unpacked content must have the pinned digest (default true); a
            download always must.
        tasks: only the first so many; null for all.
    """

    name: ClassVar[str] = "humaneval_plus"

    # EvalPlus 0.3.1's, for base models on HumanEval (provider/utility.py and provider/base.py).
    stop_strings: ClassVar[tuple[str, ...]] = (
        "<|endoftext|>",
        "<|endofmask|>",
        "</s>",
        "\nif __name__",
        "\ndef main(",
        "\nprint(",
        "\ndef ",
        "\nclass ",
        "\nimport ",
        "\nfrom ",
        "\nassert ",
    )

    def tasks(self, settings: dict[str, Any]) -> list[Task]:
        """The 164 tasks (a local file may hold fewer); rows of another benchmark are refused."""
        allowed = ("mini", "path", "pinned", "tasks")
        if unknown := sorted(set(settings) - set(allowed)):
            raise CodewattError(
                f"benchmark {self.name}: unknown setting {unknown[0]!r}; "
                f"allowed: {', '.join(allowed)}"
            )
        variant = "HumanEvalPlus-Mini" if settings.get("mini") else "HumanEvalPlus"
        path = settings.get("path")
        if path is None:
            path = _cached(variant)
        elif settings.get("pinned", True):
            _check(Path(path), variant)
        return read_tasks(path, refuse_foreign_row)[: settings.get("tasks")]


BENCHMARK = HumanEvalPlus()


def cache_directory() -> Path:
    """Where downloads and expected outputs are kept between runs.

    Raises:
        CodewattError: neither XDG_CACHE_HOME nor a home directory is known.
    """
    given = os.environ.get("XDG_CACHE_HOME")
    if given and Path(given).is_absolute():  # the specification has relative ones ignored
        return Path(given) / "codewatt"
    try:
        return Path.home() / ".cache" / "codewatt"
    except RuntimeError:
        raise CodewattError("no home directory is known; set XDG_CACHE_HOME") from None


def unpacked_digests(path: str | Path) -> dict[str, str]:
    """md5 (EvalPlus's name for a dataset) and sha256 of a file's content, unpacked if .gz.

    Raises:
        CodewattError: the file cannot be read.
    """
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    require_file(path)  # no pipe: it is read a second time
    for chunk in read_chunks(path):
        md5.update(chunk)
        sha256.update(chunk)
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def _check(path: Path, variant: str) -> None:
    found = unpacked_digests(path)["sha256"]
    if found != _SHA256[variant]:
        raise CodewattError(
            f"{shown(path)}: sha256 of the unpacked content is {found}, "
            f"that of {variant} {VERSION} is {_SHA256[variant]}"
        )


def _cached(variant: str) -> Path:
    """The downloaded file, fetched if it is not there; checked each time."""
    target = cache_directory() / f"{variant}-{VERSION}-{_SHA256[variant][:12]}.jsonl"
    if not target.is_file():
        content = _download(_URL.format(commit=_COMMIT, name=variant))
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)
            _check(temporary, variant)
    _check(target, variant)
    return target


def _download(url: str) -> bytes:
    """The unpacked content behind a URL of a .gz."""
    try:
        with (
            urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer,
            gzip.GzipFile(fileobj=answer) as unpacked,
        ):
            content: bytes = unpacked.read(_MAX_BYTES)
    except (OSError, EOFError, zlib.error, HTTPException) as error:
        raise CodewattError(
            f"{url}: cannot be fetched ({error}); "
            "name a local copy: benchmark_files in config/config.yaml"
        ) from None
    return content
