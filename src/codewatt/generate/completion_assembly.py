"""From the tokens of a batch to completions: the same whatever engine made them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.generate.engine import Completion, Decoding, StopReason, cut_at_stop, straddles
from codewatt.models.loading import unsound


@dataclass(frozen=True)
class Generated:
    """What a batch came to.

    Attributes:
        new_tokens: token ids of each prompt and sample, up to where the engine ended it: the token
            that ended it is the last, and nothing stands behind it.
        prompt_tokens: tokens of each row's prompt.
        start_s, steps_s: CLOCK_MONOTONIC seconds of the start and of each token.
        unsound: of each row the index of the first new token that was chosen from unsound logits
            (see `codewatt.models.loading.unsound`); None where there is none.
    """

    new_tokens: Sequence[list[int]]
    prompt_tokens: Sequence[int]
    start_s: float
    steps_s: Sequence[float]
    unsound: Sequence[int | None]


def completions_of(
    generated: Generated,
    tokenizer: Any,
    ends: Collection[int],
    prompts: Sequence[str],
    decoding: Decoding,
) -> list[Completion]:
    """Text, length, end and times of every row.

    A sequence's end is read when the host, or the step, next looks at the batch after its last
    token, so it is late by at most one decoding step.

    Args:
        ends: ids of the tokens at which the engine ended sequences.
    """
    return [
        _completion(row, generated, tokenizer, ends, prompts, decoding)
        for row in range(len(generated.new_tokens))
    ]


def _completion(
    row: int,
    generated: Generated,
    tokenizer: Any,
    ends: Collection[int],
    prompts: Sequence[str],
    decoding: Decoding,
) -> Completion:
    ids, steps_s = generated.new_tokens[row], generated.steps_s
    prompt_index, sample = divmod(row, decoding.samples)
    ended = bool(ids) and ids[-1] in ends
    own = ids[:-1] if ended else ids
    text = tokenizer.decode(own, skip_special_tokens=True)
    text, stopped = cut_at_stop(text, decoding.stop_strings)
    # The criterion also sees a stop string that begins in the prompt, or is a special token:
    # nothing is cut for it.
    stopped = stopped or straddles(prompts[prompt_index], text, decoding.stop_strings)
    if not ended and not stopped:
        stopped = len(ids) < decoding.token_limit or _special_stop(own, tokenizer, decoding)
    reason: StopReason = "stop_string" if stopped else "eos" if ended else "length"
    return Completion(
        prompt_index=prompt_index,
        sample=sample,
        text=text.replace("\t", "    "),  # as EvalPlus does before it judges
        prompt_tokens=generated.prompt_tokens[row],
        new_tokens=len(ids),
        start_s=generated.start_s,
        first_token_s=steps_s[0],
        end_s=steps_s[min(len(ids), len(steps_s) - 1)],
        stop_reason=reason,
        tokens=ids,
        unsound_token=generated.unsound[row],
    )


def _special_stop(ids: list[int], tokenizer: Any, decoding: Decoding) -> bool:
    """Whether a stop string is, or holds, a special token, which the text is decoded without."""
    if not decoding.stop_strings:
        return False
    whole = tokenizer.decode(ids, skip_special_tokens=False)
    return cut_at_stop(whole, decoding.stop_strings)[1]


def until_end(ids: list[int], ends: Collection[int]) -> list[int]:
    """Token ids up to the first that is an end, which is kept."""
    for index, token in enumerate(ids):
        if token in ends:
            return ids[: index + 1]
    return ids


def first_unsound(least: Any, greatest: Any, lengths: Sequence[int]) -> list[int | None]:
    """The first new token of each row that was chosen from unsound logits.

    Args:
        least, greatest: of the logits that each new token was chosen from, (rows, tokens).
        lengths: tokens of each row; later ones belong to nobody.

    Returns:
        Its index, 0 for the one after the prompt; None where there is none.
    """
    found = unsound(least, greatest).tolist()
    return [
        next((index for index, wrong in enumerate(row[:length]) if wrong), None)
        for row, length in zip(found, lengths, strict=True)
    ]
