"""Digests and repetition of a cell's completions, computed as they are read.

The completions themselves are not kept: those of all cells of a study would not fit in memory.
"""

import hashlib
from collections.abc import Mapping
from os import PathLike
from typing import Any

from codewatt.analysis.repetition_metrics import Repetition, measure_repetition
from codewatt.files import read_jsonl
from codewatt.parquet import column_names, read_table

#: One completion of a cell: (repeat, sample, task_id).
Key = tuple[int, int, str]
#: (sample, task_id) → a digest of the completion's new tokens.
Tokens = dict[tuple[int, str], str]
#: (sample, task_id) → a digest of the completion's text.
Texts = dict[tuple[int, str], str]


def key_of(row: Mapping[str, Any]) -> Key:
    """The completion of its cell that a row is about."""
    return int(row["repeat"]), int(row["sample"]), str(row["task_id"])


def read_texts(path: str | PathLike[str] | None) -> dict[Key, str]:
    """The text of each completion; empty if completions.jsonl.gz was not given."""
    if path is None:
        return {}
    return {key_of(row): row["completion"] for row in read_jsonl(path)}


def identical(texts: dict[Key, str], repeats: int) -> bool | None:
    """Whether each (task, sample) has the same completion in all repeats; None if unknown."""
    if not texts or repeats < 2:
        return None
    seen: dict[tuple[int, str], str] = {}
    return all(
        seen.setdefault((sample, task), text) == text for (_, sample, task), text in texts.items()
    )


def digest_texts(texts: dict[Key, str]) -> Texts:
    """Digests of the texts of the first repeat."""
    return {
        (sample, task): hashlib.sha256(text.encode()).hexdigest()
        for (repeat, sample, task), text in texts.items()
        if repeat == 0
    }


def read_tokens(
    path: str | PathLike[str], texts: dict[Key, str]
) -> tuple[Tokens, dict[Key, Repetition]]:
    """Digests of the first repeat's new tokens, and the repetition of each completion.

    A list of token ids takes about 40 bytes a token in Python, so each completion's is dropped
    after its digest is computed. Older cells kept no tokens: they have no digests, and their
    repetition is computed from the text alone.

    Args:
        path: the cell's tasks.parquet, checked before.
        texts: what `read_texts` returned.
    """
    kept = "tokens" in column_names(path)
    columns = ["repeat", "sample", "task_id", "stop_reason", *(["tokens"] if kept else [])]
    table = read_table(path, columns)
    rows = table.select(columns[:4]).to_pylist()
    if not kept:
        return {}, {key_of(row): measure_repetition(None, texts.get(key_of(row))) for row in rows}
    digests: Tokens = {}
    found: dict[Key, Repetition] = {}
    known: dict[tuple[str, bool, str | None], Repetition] = {}
    for row, tokens in zip(rows, table["tokens"], strict=True):
        key, ended = key_of(row), row["stop_reason"] == "eos"
        ids = tokens.values.to_numpy(zero_copy_only=False).astype("int32")
        digest = hashlib.sha256(ids.tobytes()).hexdigest()
        if key[0] == 0:
            digests[key[1:]] = digest
        same = (digest, ended, texts.get(key))
        if same not in known:  # repeats of greedy decoding are the same over and over
            known[same] = measure_repetition(ids[: len(ids) - ended].tolist(), texts.get(key))
        found[key] = known[same]
    return digests, found
