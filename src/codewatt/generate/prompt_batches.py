"""Prompts as token ids: the same for every engine, padded on the left where rows are to be even."""

from collections.abc import Sequence
from typing import Any

from codewatt.errors import CodewattError


def token_ids(tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """Token ids of each prompt.

    Raises:
        CodewattError: a prompt has none; there would be nothing to go on from.
    """
    ids: list[list[int]] = tokenizer(list(prompts))["input_ids"]
    for prompt, row in zip(prompts, ids, strict=True):
        if not row:
            raise CodewattError(f"prompt {prompt!r}: it has no tokens; allowed: one at least")
    return ids


def padded(tokenizer: Any, prompts: Sequence[str], padding: int, device: str) -> dict[str, Any]:
    """Prompts as one batch, padded on the left.

    The tokenizer's own padding is not used: it needs a padding token, and has a side of its own.

    Args:
        padding: the token id to fill rows with; the mask hides it from the model.
        device: where the tensors go.

    Returns:
        input_ids and attention_mask, int64 (prompts, longest prompt).
    """
    import torch

    rows = token_ids(tokenizer, prompts)
    width = max(map(len, rows))
    ids = [[padding] * (width - len(row)) + row for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(mask, device=device),
    }
