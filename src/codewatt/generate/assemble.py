"""From the tokens of a batch to completions: the same whatever engine made them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.generate.base import Completion, Decoding, StopReason, cut_at_stop, straddles


@dataclass(frozen=True)
class Generated:
    """What a batch came to.

    Attributes:
        new_tokens: a row of token ids for each prompt and sample, padded after its end.
        prompt_tokens: tokens of each row's prompt.
        start_s, steps_s: CLOCK_MONOTONIC seconds of the start and of each token.
    """

    new_tokens: Sequence[list[int]]
    prompt_tokens: Sequence[int]
    start_s: float
    steps_s: Sequence[float]


def completions_of(
    generated: Generated, tokenizer: Any, prompts: Sequence[str], decoding: Decoding
) -> list[Completion]:
    """Text, length, end and times of every row.

    A sequence's end is read when the host, or the step, next looks at the batch after its last
    token, so it is late by at most one decoding step.
    """
    return [
        _completion(row, generated, tokenizer, prompts, decoding)
        for row in range(len(generated.new_tokens))
    ]


def _completion(
    row: int, generated: Generated, tokenizer: Any, prompts: Sequence[str], decoding: Decoding
) -> Completion:
    ids, steps_s = generated.new_tokens[row], generated.steps_s
    prompt_index, sample = divmod(row, decoding.samples)
    length, ended = _length(ids, tokenizer)
    text = tokenizer.decode(ids[:length], skip_special_tokens=True)
    text, stopped = cut_at_stop(text, decoding.stop_strings)
    # The criterion also sees a stop string that begins in the prompt; nothing is cut for it.
    if ended:
        stopped = stopped or straddles(prompts[prompt_index], text, decoding.stop_strings)
    else:
        stopped = stopped or length < decoding.token_limit
    reason: StopReason = "stop_string" if stopped else "eos" if ended else "length"
    new_tokens = length + (ended and not stopped)
    return Completion(
        prompt_index=prompt_index,
        sample=sample,
        text=text.replace("\t", "    "),  # as EvalPlus does before it judges
        prompt_tokens=generated.prompt_tokens[row],
        new_tokens=new_tokens,
        start_s=generated.start_s,
        first_token_s=steps_s[0],
        end_s=steps_s[min(new_tokens, len(steps_s) - 1)],
        stop_reason=reason,
        tokens=ids[:new_tokens],
    )


def _length(ids: list[int], tokenizer: Any) -> tuple[int, bool]:
    """Tokens before the first end or padding token, and whether there was one."""
    ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    for index, token in enumerate(ids):
        if token in ends:
            return index, True
    return len(ids), False
