"""Counts the completions of a cell that were chosen from invalid logits, for the manifest."""

from collections.abc import Sequence

from codewatt.generate.completion_files import MeasuredCompletion
from codewatt.generate.generate_record import InvalidLogitsToken, LogitsRecord


def summarise_logits(measured: Sequence[MeasuredCompletion]) -> LogitsRecord:
    """Count the completions with a token that was chosen from invalid logits.

    Invalid are logits with NaN or +infinity, without a finite number, or with the same number for
    every token (see `codewatt.models.loading.invalid_logits`). Prefill and every decode step are
    checked, up to the end of each completion.

    Returns:
        sequences and invalid_sequences (counts), and first_invalid_token: None, or the task_id,
        repeat, sample and new_token of the first; new_token 0 is the one after the prompt.
    """
    invalid: list[InvalidLogitsToken] = [
        {
            "task_id": item.task_id,
            "repeat": item.repeat,
            "sample": item.completion.sample,
            "new_token": token,
        }
        for item in measured
        if (token := item.completion.invalid_logits_token) is not None
    ]
    return {
        "sequences": len(measured),
        "invalid_sequences": len(invalid),
        "first_invalid_token": invalid[0] if invalid else None,
    }


def invalid_logits_reason(logits: LogitsRecord) -> str | None:
    """Why a cell is infeasible, from the result of `summarise_logits`; None if it is not."""
    first = logits["first_invalid_token"]
    if first is None:
        return None
    where = "after its prompt"
    if first["new_token"]:
        where = f"after {first['new_token']} of its own tokens"
    return (
        f"logits are not finite, or the same for every token, in {logits['invalid_sequences']} of "
        f"{logits['sequences']} completions, first in {first['task_id']} {where}: the model "
        "overflows in this precision, or its weights are broken"
    )
