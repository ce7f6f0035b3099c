"""HumanEval+ (Liu et al., 2023): HumanEval's 164 tasks with EvalPlus's further tests."""

import gzip
import hashlib
import os
import urllib.request
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import URLError

from codewatt.benchmarks.base import Benchmark, Task, read_tasks
from codewatt.errors import CodewattError
from codewatt.files import atomic_path

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
        """The 164 tasks (a local file may hold fewer)."""
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
        return read_tasks(path)[: settings.get("tasks")]


BENCHMARK = HumanEvalPlus()


def cache_directory() -> Path:
    """Where downloads and expected outputs are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "codewatt"


def unpacked_digests(path: str | Path) -> dict[str, str]:
    """md5 (EvalPlus's name for a dataset) and sha256 of a file's content, unpacked if .gz.

    Raises:
        CodewattError: the file cannot be read.
    """
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    try:
        with gzip.open(path) if str(path).endswith(".gz") else open(path, "rb") as stream:
            while chunk := stream.read(1 << 20):
                md5.update(chunk)
                sha256.update(chunk)
    except (OSError, EOFError) as error:
        raise CodewattError(f"{path}: cannot be read: {error}") from None
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def _check(path: Path, variant: str) -> None:
    found = unpacked_digests(path)["sha256"]
    if found != _SHA256[variant]:
        raise CodewattError(
            f"{path}: sha256 of the unpacked content is {found}, "
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
    except (URLError, OSError, EOFError) as error:
        raise CodewattError(
            f"{url}: cannot be fetched ({error}); "
            "name a local copy: benchmark_files in config/config.yaml"
        ) from None
    return content
