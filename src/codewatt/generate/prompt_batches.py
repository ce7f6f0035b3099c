"""Prompts as token ids, the same for every engine; left-padded if rows need equal length."""

from collections.abc import Sequence
from typing import Any

from codewatt.errors import CodewattError


def encode_prompts(
    tokenizer: Any, prompts: Sequence[str], *, add_special_tokens: bool
) -> list[list[int]]:
    """Token ids of each prompt.

    Args:
        tokenizer: of the model.
        prompts: texts.
        add_special_tokens: whether the tokenizer adds its special tokens, such as BOS. A prompt
            from a chat template holds them already: with them twice the model would read a prompt
            unlike those that it was trained on.

    Raises:
        CodewattError: a prompt has no tokens.
    """
    encoded = tokenizer(list(prompts), add_special_tokens=add_special_tokens)
    ids: list[list[int]] = encoded["input_ids"]
    for prompt, row in zip(prompts, ids, strict=True):
        if not row:
            raise CodewattError(f"prompt {prompt!r}: it has no tokens; allowed: at least one")
    return ids


def pad_prompts(
    tokenizer: Any, prompts: Sequence[str], padding: int, device: str, *, add_special_tokens: bool
) -> dict[str, Any]:
    """Prompts as one left-padded batch.

    The tokenizer's own padding is not used: it needs a padding token and may pad on the right.

    Args:
        tokenizer: of the model.
        prompts: texts.
        padding: token id that fills the rows; the attention mask hides it from the model.
        device: of the tensors.
        add_special_tokens: as of `encode_prompts`.

    Returns:
        input_ids and attention_mask, int64 (prompts, longest prompt).
    """
    import torch

    rows = encode_prompts(tokenizer, prompts, add_special_tokens=add_special_tokens)
    width = max(map(len, rows))
    ids = [[padding] * (width - len(row)) + row for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(mask, device=device),
    }
