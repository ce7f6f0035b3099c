"""Builds completions (text, stop reason, times) from the tokens of a batch, for all engines."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.generate.engine import (
    Completion,
    DecodingParams,
    StopReason,
    stop_string_spans_prompt,
    truncate_at_stop_string,
)
from codewatt.models.loading import invalid_logits


@dataclass(frozen=True)
class GeneratedBatch:
    """The tokens of a batch, one row per prompt and sample.

    Attributes:
        new_tokens: token ids of each row up to and including the token that ended it.
        prompt_tokens: number of tokens of each row's prompt.
        start_s: CLOCK_MONOTONIC seconds of the start.
        token_times_s: CLOCK_MONOTONIC seconds of each token, and of the end.
        invalid_tokens: for each row the index of the first new token that was chosen from invalid
            logits (see `codewatt.models.loading.invalid_logits`); None without one.
    """

    new_tokens: Sequence[list[int]]
    prompt_tokens: Sequence[int]
    start_s: float
    token_times_s: Sequence[float]
    invalid_tokens: Sequence[int | None]


def build_completions(
    generated: GeneratedBatch,
    tokenizer: Any,
    stop_token_ids: Collection[int],
    prompts: Sequence[str],
    decoding: DecodingParams,
) -> list[Completion]:
    """The completion of every row.

    The end of a sequence is the time of the batch's next token after the sequence's last, so it is
    late by at most one decode step.

    Args:
        generated: rows of each prompt's samples, one after the other.
        tokenizer: decodes token ids.
        stop_token_ids: token ids at which the engine ended sequences.
        prompts: texts, one per `decoding.samples` rows.
        decoding: stop strings, token limit and samples.
    """
    return [
        _completion(row, generated, tokenizer, stop_token_ids, prompts, decoding)
        for row in range(len(generated.new_tokens))
    ]


def _completion(
    row: int,
    generated: GeneratedBatch,
    tokenizer: Any,
    stop_token_ids: Collection[int],
    prompts: Sequence[str],
    decoding: DecodingParams,
) -> Completion:
    ids, times_s = generated.new_tokens[row], generated.token_times_s
    prompt_index, sample = divmod(row, decoding.samples)
    ended = bool(ids) and ids[-1] in stop_token_ids
    own = ids[:-1] if ended else ids
    text = tokenizer.decode(own, skip_special_tokens=True)
    text, stopped = truncate_at_stop_string(text, decoding.stop_strings)
    # StopStringCriteria also finds stop strings that begin in the prompt or are special tokens; the
    # text holds none of their characters to remove.
    stopped = stopped or stop_string_spans_prompt(
        prompts[prompt_index], text, decoding.stop_strings
    )
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
        first_token_s=times_s[0],
        end_s=times_s[min(len(ids), len(times_s) - 1)],
        stop_reason=reason,
        tokens=ids,
        invalid_logits_token=generated.invalid_tokens[row],
    )


def _special_stop(ids: list[int], tokenizer: Any, decoding: DecodingParams) -> bool:
    """Whether a stop string contains a special token, which the decoded text leaves out."""
    if not decoding.stop_strings:
        return False
    whole = tokenizer.decode(ids, skip_special_tokens=False)
    return truncate_at_stop_string(whole, decoding.stop_strings)[1]


def truncate_at_stop_token(ids: list[int], stop_token_ids: Collection[int]) -> list[int]:
    """Token ids up to and including the first stop token."""
    for index, token in enumerate(ids):
        if token in stop_token_ids:
            return ids[: index + 1]
    return ids


def first_invalid_token(minima: Any, maxima: Any, lengths: Sequence[int]) -> list[int | None]:
    """The first new token of each row that was chosen from invalid logits.

    Args:
        minima, maxima: minimum and maximum of the logits that each new token was chosen from,
            (rows, tokens).
        lengths: tokens of each row; later columns are ignored.

    Returns:
        Index of the token, 0 for the one after the prompt; None without one.
    """
    invalid = invalid_logits(minima, maxima).tolist()
    return [
        next((index for index, bad in enumerate(row[:length]) if bad), None)
        for row, length in zip(invalid, lengths, strict=True)
    ]
