"""A model's logits on the sequences of a corpus, and a bounded store for those of the baseline."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.errors import CodewattError
from codewatt.models.loading import Loaded, check_logits
from codewatt.models.model_config import check_sequence_lengths
from codewatt.units import BYTES_PER_GB

#: Host memory that a baseline's logits may take.
LIMIT_BYTES = 8 * 2**30


@dataclass(frozen=True)
class ScoredSequence:
    """A sequence of token ids, of which those from index `first` on are predicted."""

    ids: list[int]
    first: int

    @property
    def positions(self) -> int:
        """Number of predicted tokens; 0 for a sequence that was cut before its first one."""
        return max(len(self.ids) - self.first, 0)


def scored_sequences(corpus: PreparedCorpus, loaded: Loaded, name: str) -> list[ScoredSequence]:
    """Token sequences of a corpus, without those that have no token to predict.

    Args:
        name: the corpus's id, for messages.

    Raises:
        CodewattError: a sequence is longer than the model's max_position_embeddings, or nothing
            is left to predict.
    """
    pairs = zip(
        corpus.sequences(loaded.tokenizer),
        corpus.first_scored_tokens(loaded.tokenizer),
        strict=True,
    )
    found = [one for ids, first in pairs if (one := ScoredSequence(ids, first)).positions]
    if not found:
        raise CodewattError(
            f"corpus {name!r}: every sequence ends before the first token that is predicted; "
            "allowed: more tokens"
        )
    check_sequence_lengths([one.ids for one in found], loaded.model.config, f"corpus {name!r}")
    return found


def predict(
    loaded: Loaded, sequences: list[ScoredSequence], name: str
) -> Iterator[tuple[Any, Any]]:
    """(logits, tokens to predict) of each sequence: (positions, vocabulary) and (positions).

    Each sequence is a batch of its own: none is padded, and attention is the same for every model.
    Logits are on the model's device, in the type in which the model gave them.

    Args:
        name: of the model, for messages.

    Raises:
        InvalidLogitsError: some logits are NaN, infinite or all the same.
    """
    import torch

    for one in sequences:
        row = torch.tensor([one.ids], device=loaded.device)
        with torch.no_grad():
            logits = loaded.model(input_ids=row, use_cache=False).logits[0, one.first - 1 : -1]
        check_logits(logits, name)
        yield logits, row[0, one.first :]


class LogitsStore:
    """Logits on the host, as the model gave them, in the order of the sequences.

    Args:
        positions: of all sequences together.
        corpus: its id, for messages.
        limit_bytes: the most that the store may take.
    """

    def __init__(self, positions: int, corpus: str, limit_bytes: int) -> None:
        self.positions = positions
        self._corpus, self._limit_bytes = corpus, limit_bytes
        self._kept: list[Any] = []

    def add(self, logits: Any) -> None:
        """Keep a sequence's logits (positions, vocabulary).

        Raises:
            CodewattError: the logits of all sequences would take more than the limit.
        """
        vocabulary = logits.shape[-1]
        needed = self.positions * vocabulary * logits.element_size()
        if needed > self._limit_bytes:
            raise CodewattError(
                f"corpus {self._corpus!r}: {self.positions} positions x {vocabulary} logits take "
                f"{needed / BYTES_PER_GB:.3g} GB of memory; allowed: "
                f"{self._limit_bytes / BYTES_PER_GB:.3g} GB; reduce samples or tokens"
            )
        self._kept.append(logits.cpu())

    def __iter__(self) -> Iterator[Any]:
        """The logits of each sequence."""
        return iter(self._kept)
