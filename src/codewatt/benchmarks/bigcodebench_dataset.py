"""BigCodeBench's dataset file: reads its rows, and recognises its version by their content.

Upstream publishes the dataset as Parquet; users also keep it as JSON lines. The bytes differ, the
rows are the same. Therefore the digest is that of the rows' content, not of the file.
"""

import ast
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from codewatt.benchmarks.dataset_files import download_file
from codewatt.benchmarks.task_ids import benchmark_of_task
from codewatt.cache_directory import cache_directory
from codewatt.errors import CodewattError
from codewatt.files import atomic_path, digest, numbered_rows, sha256_file
from codewatt.parquet import read_rows
from codewatt.untrusted_files import convert_read_errors, display_path, require_file

VERSION = "v0.1.4"
"""The version that bigcodebench 0.2.5 evaluates with (bigcodebench/data/bigcodebench.py)."""

# The files of upstream's dataset repository at its commit of February 2025.
_COMMIT = "b74c0d0bf70d2c0bc459be537895cca163007f1a"
_URL = (
    f"https://huggingface.co/datasets/bigcode/bigcodebench/resolve/{_COMMIT}/data/"
    f"{VERSION}-00000-of-00001.parquet"
)
_FILE_SHA256 = "d9a4965821c9507ebdfb551c288656b2d5fe553234f5183044333ca8a4018267"
"""SHA-256 of that file, as other projects that read it publish it."""

#: Columns that tasks are made of; files may have more.
_FIELDS = (
    "task_id",
    "complete_prompt",
    "instruct_prompt",
    "canonical_solution",
    "code_prompt",
    "test",
    "entry_point",
    "libs",
)

#: `content_digest` of all 1,140 rows -> version. v0.1.4: v0.1.0_hf with upstream's published
#: corrections of ten tasks; v0.1.2: with seven of them (not 211, 215 and 1005).
_VERSIONS = {
    "c4fac3605cc25115edbc3efb9173234f162ec650e0a084192e650eaa73121e3c": VERSION,
    "96a685eab44ae2b3fa4802ea8b5e13948be08a0984f254c4eb162f3a8aa66591": "v0.1.2",
    "9586a11f469b50ef9b116803dc956ac7aeb1ea4ccf33deabc108734f8efcabca": "v0.1.0_hf",
}
_TASK_ID = re.compile(r"BigCodeBench/(\d+)")


def read_dataset(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a dataset file, sorted by task number.

    Args:
        path: .parquet, .jsonl or .jsonl.gz.

    Returns:
        Rows with the columns of `_FIELDS`; `libs` is a list of module names.

    Raises:
        CodewattError: the file cannot be read, or a row is not one of BigCodeBench; the message
            names file, row and column.
    """
    rows: dict[int, dict[str, Any]] = {}
    for where, row in _file_rows(path):
        number, read = _read_row(row, where)
        if number in rows:
            raise CodewattError(
                f"{where}: duplicate task_id {read['task_id']!r}; each must be unique"
            )
        rows[number] = read
    if not rows:
        raise CodewattError(f"{display_path(path)}: contains no tasks; at least one is needed")
    return [rows[number] for number in sorted(rows)]


def content_digest(rows: Sequence[dict[str, Any]]) -> str:
    """SHA-256 (hex) of the canonical JSON of rows, as `read_dataset` returns them.

    The libraries are sorted, because upstream lists them in no particular order.
    """
    return digest([{**row, "libs": sorted(set(row["libs"]))} for row in rows])


def require_version(rows: Sequence[dict[str, Any]], path: str | Path, *, pinned: bool) -> None:
    """Refuse a dataset of another version than `VERSION`.

    Args:
        rows: as `read_dataset` returns them.
        path: their file, for the message.
        pinned: whether rows of an unknown version, such as a part of the dataset, are refused too.

    Raises:
        CodewattError: the rows are those of another version; the message names it if it is known.
    """
    found = content_digest(rows)
    version = VERSION if sha256_file(path) == _FILE_SHA256 else _VERSIONS.get(found)
    if version == VERSION or (version is None and not pinned):
        return
    name = f"is BigCodeBench {version}" if version else f"is not BigCodeBench {VERSION}"
    raise CodewattError(
        f"{display_path(path)}: {name} ({len(rows)} tasks, sha256 of their content {found[:12]}); "
        f"allowed: {VERSION}, with 1140 tasks"
    )


def downloaded_dataset() -> Path:
    """Upstream's Parquet file in the cache directory; downloaded if missing.

    The caller checks its content (`require_version`).

    Raises:
        CodewattError: the file cannot be downloaded, or is of another version.
    """
    target = cache_directory() / f"BigCodeBench-{VERSION}-{_COMMIT[:12]}.parquet"
    if not target.is_file():
        content = download_file(_URL)
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)
    return target


def hard_task_ids() -> frozenset[str]:
    """The 148 tasks of BigCodeBench-Hard."""
    return frozenset(_data("hard_task_ids.json"))


def domains_of(libraries: Sequence[str]) -> list[str]:
    """The domains of a task's libraries, sorted and without duplicates.

    Args:
        libraries: modules that the reference solution imports, as the dataset lists them.

    Raises:
        KeyError: upstream assigns no domain to a library.
    """
    known: dict[str, str] = _data("library_domains.json")
    return sorted({known[library] for library in libraries})


def _file_rows(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ("file:row", row) for each row."""
    require_file(path)
    name = display_path(path)
    if Path(path).suffix == ".parquet":
        numbered = enumerate(read_rows(path, _FIELDS), start=1)
        return ((f"{name}: row {number}", row) for number, row in numbered)
    return ((f"{name}:{number}", row) for number, row in numbered_rows(path))


def _read_row(row: dict[str, Any], where: str) -> tuple[int, dict[str, Any]]:
    """The task's number, and the columns of `_FIELDS` with `libs` as a list."""
    task_id = row.get("task_id")
    match = _TASK_ID.fullmatch(task_id) if isinstance(task_id, str) else None
    if match is None:
        found = benchmark_of_task(task_id)
        belongs = f" belongs to {found}" if found and found != "BigCodeBench" else ""
        raise CodewattError(
            f"{where}: task_id {task_id!r:.60}{belongs}; allowed: rows of BigCodeBench, such as "
            "'BigCodeBench/0'"
        )
    for field in _FIELDS:
        value = row.get(field)
        if isinstance(value, str) and _is_unicode(value):
            continue
        if field == "libs" and isinstance(value, list):
            continue
        found = f"{value!r:.60}" if field in row else "nothing"
        raise CodewattError(f"{where}: {field}: expected a string, found {found}")
    libraries = _libraries(row["libs"], where)
    return int(match[1]), {**{field: row[field] for field in _FIELDS}, "libs": libraries}


def _is_unicode(text: str) -> bool:
    """Whether a string has no lone surrogate, so that it has a digest."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _libraries(value: str | list[Any], where: str) -> list[str]:
    """The modules of column `libs`, which upstream writes as text: "['random', 'itertools']"."""
    parsed: Any = value
    if isinstance(value, str):
        with convert_read_errors(where, "libs: not a list of module names"):
            try:
                parsed = ast.literal_eval(value)
            except SyntaxError as error:
                raise ValueError(error.msg) from None
    known = _data("library_domains.json")
    if isinstance(parsed, list):
        unknown = [item for item in parsed if not isinstance(item, str) or item not in known]
        if not unknown:
            return parsed
        parsed = unknown[0]
    raise CodewattError(
        f"{where}: libs: found {parsed!r:.60}; allowed: a list of modules that BigCodeBench uses"
    )


@cache
def _data(name: str) -> Any:
    files = resources.files("codewatt.benchmarks") / "bigcodebench_data"
    return json.loads((files / name).read_text(encoding="utf-8"))
