"""Digests and repetition of a cell's completions, computed as they are read.

The completions themselves are not kept: those of all cells of a study would not fit in memory.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

from codewatt.analysis.repetition_metrics import Repetition, measure_repetition
from codewatt.files import read_jsonl
from codewatt.parquet import column_names, read_table

#: One completion of a cell: (repeat, sample, task_id).
Key = tuple[int, int, str]
#: Bytes that are kept of a SHA-256 digest.
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Digests:
    """Digests of a cell's completions of one repeat, by sample and task; two can be compared.

    Attributes:
        keys: a digest of the (sample, task_id) of all completions; b"" without completions.
        values: the digests of the completions one after another, in the order of their keys.
    """

    keys: bytes = b""
    values: bytes = b""

    @classmethod
    def of(cls, digests: Mapping[tuple[int, str], bytes]) -> "Digests":
        """Digests (`_digest`) by (sample, task_id)."""
        if not digests:
            return NO_DIGESTS
        order = sorted(digests)
        return cls(_digest(repr(order).encode()), b"".join(digests[key] for key in order))

    def __len__(self) -> int:
        return len(self.values) // _DIGEST_BYTES

    def identical_share(self, other: "Digests") -> float | None:
        """The share of completions that are the same in both.

        None if they are not of the same tasks and samples, or if there are none.
        """
        if not self.values or self.keys != other.keys:
            return None
        starts = range(0, len(self.values), _DIGEST_BYTES)
        ours, theirs = (
            [one.values[start : start + _DIGEST_BYTES] for start in starts] for one in (self, other)
        )
        return sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(ours)


NO_DIGESTS = Digests()


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_DIGEST_BYTES]


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


def digest_texts(texts: dict[Key, str]) -> Digests:
    """Digests of the texts of the first repeat."""
    first = {key[1:]: _digest(text.encode()) for key, text in texts.items() if key[0] == 0}
    return Digests.of(first)


def read_tokens(
    path: str | PathLike[str], texts: dict[Key, str]
) -> tuple[Digests, dict[Key, Repetition]]:
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
        repetitions = {key: measure_repetition(None, texts.get(key)) for key in map(key_of, rows)}
        return NO_DIGESTS, repetitions
    first: dict[tuple[int, str], bytes] = {}
    found: dict[Key, Repetition] = {}
    known: dict[tuple[bytes, bool, str | None], Repetition] = {}
    for row, tokens in zip(rows, table["tokens"], strict=True):
        key, ended = key_of(row), row["stop_reason"] == "eos"
        ids = tokens.values.to_numpy(zero_copy_only=False).astype("int32")
        digest = _digest(ids.tobytes())
        if key[0] == 0:
            first[key[1:]] = digest
        same = (digest, ended, texts.get(key))
        if same not in known:  # repeats of greedy decoding are the same over and over
            known[same] = measure_repetition(ids[: len(ids) - ended].tolist(), texts.get(key))
        found[key] = known[same]
    return Digests.of(first), found
