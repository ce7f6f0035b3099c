"""What a cell's completions and their tokens tell, without keeping them."""

import hashlib
from typing import Any

from codewatt.analysis.repetition_metrics import Repetition, measure_repetition
from codewatt.files import read_jsonl

Json = dict[str, Any]
#: One completion of a cell: (repeat, sample, task_id).
Key = tuple[int, int, str]
#: (sample, task_id) → a digest of the completion's new tokens.
Tokens = dict[tuple[int, str], str]


def key_of(row: Json) -> Key:
    """Which completion of its cell a row is about."""
    return int(row["repeat"]), int(row["sample"]), str(row["task_id"])


def read_texts(path: Any) -> dict[Key, str]:
    """The text of each completion; empty if completions.jsonl.gz was not given."""
    if path is None:
        return {}
    return {key_of(row): row["completion"] for row in read_jsonl(path)}


def identical(texts: dict[Key, str], repeats: int) -> bool | None:
    """Whether each (task, sample) has one completion over all repeats; None if that is unknown."""
    if not texts or repeats < 2:
        return None
    seen: dict[tuple[int, str], str] = {}
    return all(
        seen.setdefault((sample, task), text) == text for (_, sample, task), text in texts.items()
    )


def read_tokens(path: Any, texts: dict[Key, str]) -> tuple[Tokens, dict[Key, Repetition]]:
    """Digests of the first repeat's new tokens, and what each completion repeats.

    Digests, and figures of each completion as it is read: a list of numbers takes some forty
    bytes a token here, for every cell of a study. Cells of before tokens were kept have no
    digests, and of their completions only what the text tells.

    Args:
        path: the cell's tasks.parquet, checked before; texts: as of `read_texts`.
    """
    import pyarrow.parquet as parquet

    kept = "tokens" in parquet.read_schema(path).names
    columns = ["repeat", "sample", "task_id", "stop_reason", *(["tokens"] if kept else [])]
    table = parquet.read_table(path, columns=columns)
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
