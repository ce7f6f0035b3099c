"""A model's logits on the sequences of a text, and a bounded store for those of the baseline."""

from collections.abc import Iterator
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.loading import Loaded, check_finite

#: Host memory that a baseline's logits may take.
LIMIT_BYTES = 8 * 2**30


def check_lengths(sequences: list[list[int]], loaded: Loaded, text: str) -> None:
    """See that a model can read the sequences.

    Args:
        text: the text's id, for the message.

    Raises:
        CodewattError: one is longer than its configuration's max_position_embeddings.
    """
    longest = max(map(len, sequences))
    limit = getattr(loaded.model.config, "max_position_embeddings", None)
    if limit is not None and longest > limit:
        raise CodewattError(
            f"text {text!r}: a sequence has {longest} tokens; allowed: the {limit} that the model "
            "can read"
        )


def answers(loaded: Loaded, sequences: list[list[int]], name: str) -> Iterator[tuple[Any, Any]]:
    """(logits, next tokens) of each sequence: (positions, vocabulary) and (positions).

    Each sequence is read by itself, so that none is padded and attention is the same for every
    model. Logits are on the model's device, in the type in which it gave them.

    Args:
        name: of the model, for messages.

    Raises:
        CodewattError: logits are not finite.
    """
    import torch

    for ids in sequences:
        row = torch.tensor([ids], device=loaded.device)
        with torch.no_grad():
            logits = loaded.model(input_ids=row, use_cache=False).logits[0, :-1]
        check_finite(logits, name)
        yield logits, row[0, 1:]


class KeptLogits:
    """Logits on the host, as the model gave them, in the order of the sequences."""

    def __init__(self, sequences: list[list[int]], text: str, limit_bytes: int):
        """Keep logits of these sequences of a text, in at most `limit_bytes`."""
        self.positions = sum(len(ids) - 1 for ids in sequences)
        self._text, self._limit_bytes = text, limit_bytes
        self._kept: list[Any] = []

    def add(self, logits: Any) -> None:
        """Keep a sequence's logits (positions, vocabulary).

        Raises:
            CodewattError: those of all sequences would take more than the limit.
        """
        vocabulary = logits.shape[-1]
        needed = self.positions * vocabulary * logits.element_size()
        if needed > self._limit_bytes:
            raise CodewattError(
                f"text {self._text!r}: {self.positions} positions x {vocabulary} logits take "
                f"{needed / 1e9:.3g} GB of memory; allowed: {self._limit_bytes / 1e9:.3g} GB, by "
                "fewer samples or tokens"
            )
        self._kept.append(logits.cpu())

    def __iter__(self) -> Iterator[Any]:
        """The logits of each sequence."""
        return iter(self._kept)
