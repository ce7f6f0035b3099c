"""Whether a cell's completions were chosen from logits that are an answer, for the manifest."""

from collections.abc import Sequence
from typing import Any

from codewatt.generate.completion_files import Measured


def describe_logits(measured: Sequence[Measured]) -> dict[str, Any]:
    """How many completions have a token that was chosen from unsound logits.

    Unsound are logits with NaN or +infinity, without a finite number, or with the same number for
    every token (see `codewatt.models.loading.unsound`). Prefill and every decode step are looked
    at, up to the end of each completion.

    Returns:
        sequences, unsound_sequences, and first_unsound: None, or the task_id, repeat, sample and
        new_token of the first; new_token 0 is the one that follows the prompt.
    """
    wrong = [item for item in measured if item.completion.unsound_token is not None]
    first = None
    if wrong:
        first = {
            "task_id": wrong[0].task_id,
            "repeat": wrong[0].repeat,
            "sample": wrong[0].completion.sample,
            "new_token": wrong[0].completion.unsound_token,
        }
    return {"sequences": len(measured), "unsound_sequences": len(wrong), "first_unsound": first}


def unsound_reason(logits: dict[str, Any]) -> str | None:
    """Why a cell's figures are withheld, from `describe_logits`; None if they are not."""
    first = logits["first_unsound"]
    if first is None:
        return None
    where = "after its prompt"
    if first["new_token"]:
        where = f"after {first['new_token']} of its own tokens"
    return (
        f"logits are not finite, or the same for every token, in {logits['unsound_sequences']} of "
        f"{logits['sequences']} completions, first in {first['task_id']} {where}: the model "
        "overflows in this precision, or its weights are broken"
    )
