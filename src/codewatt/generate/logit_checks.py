"""Whether a cell's completions were chosen from logits that are an answer, for the manifest."""

from collections.abc import Sequence

from codewatt.generate.completion_files import Measured
from codewatt.generate.generate_record import LogitsRecord, UnsoundToken


def describe_logits(measured: Sequence[Measured]) -> LogitsRecord:
    """How many completions have a token that was chosen from unsound logits.

    Unsound are logits with NaN or +infinity, without a finite number, or with the same number for
    every token (see `codewatt.models.loading.unsound`). Prefill and every decode step are looked
    at, up to the end of each completion.

    Returns:
        sequences, unsound_sequences, and first_unsound: None, or the task_id, repeat, sample and
        new_token of the first; new_token 0 is the one that follows the prompt.
    """
    unsound: list[UnsoundToken] = [
        {
            "task_id": item.task_id,
            "repeat": item.repeat,
            "sample": item.completion.sample,
            "new_token": token,
        }
        for item in measured
        if (token := item.completion.unsound_token) is not None
    ]
    return {
        "sequences": len(measured),
        "unsound_sequences": len(unsound),
        "first_unsound": unsound[0] if unsound else None,
    }


def unsound_reason(logits: LogitsRecord) -> str | None:
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
