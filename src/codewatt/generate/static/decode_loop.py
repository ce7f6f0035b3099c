"""Greedy decoding as functions of buffers: nothing of it runs on the host but its launch."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import StopStringCriteria

from codewatt.generate.completion_assembly import first_unsound
from codewatt.generate.static.cached_forward import Step
from codewatt.generate.static.kv_cache import reading

#: New tokens that there is room for at least: what is run before capturing goes somewhere.
ROOM = 8
#: Prompts that are read at a time.
READ_ROWS = 32
#: Logits are searched for their greatest in rows of so many: one row alone keeps few blocks busy.
_SEARCHED = 256


def most_likely(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(values, indices), each (batch,), of the greatest of logits (batch, vocabulary).

    Of equal ones it is the first; where one is NaN, so is the value.
    """
    if logits.shape[1] % _SEARCHED:
        return tuple(logits.max(dim=-1))  # type: ignore[return-value]
    greatest, places = logits.unflatten(1, (-1, _SEARCHED)).max(dim=-1)
    value, row = greatest.max(dim=-1, keepdim=True)
    return value.squeeze(1), (row * _SEARCHED + places.gather(1, row)).squeeze(1)


class GreedyDecoder:
    """Greedy decoding of a batch of fixed size, step by step, in buffers that never move.

    After `prefill`, each `advance` appends the most likely token to every sequence. `look` finds
    which of the latest tokens ended a sequence: one of the model's ends, or one that completes a
    stop string by transformers' own criterion. Looking is apart from stepping, as it takes as many
    kernels as a layer and need not be done at every token: what a sequence got after its end is
    taken off in `results`. Of the logits that each token was chosen from the least and the greatest
    are kept: whether they were an answer at all is read from these, once a batch.

    Args:
        model: a causal language model of transformers.
        ends: ids of the tokens that end a sequence.
        step: what computes logits; its cache has room for prompt and new tokens.
        batch: sequences; limit: new tokens at most.
        stops: the criterion of the stop strings; None without any.
        looked_at: new tokens that a look sees: at most so many steps may lie between two.

    Attributes:
        all_finished: bool (1,), whether all sequences had ended at the last look.
    """

    def __init__(
        self,
        model: Any,
        ends: Sequence[int],
        step: Step,
        batch: int,
        limit: int,
        stops: StopStringCriteria | None,
        looked_at: int,
    ) -> None:
        self.model, self._step, self._stops = model, step, stops
        self.batch, self.limit = batch, limit
        device = model.device
        self._ends = torch.tensor(list(ends), dtype=torch.int64, device=device)

        def zeros(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, dtype=torch.int64, device=device)

        # The end of the prompt and the new tokens behind it: a stop string can begin in the prompt.
        self._width = stops.maximum_token_len if stops is not None else 1
        self._history = zeros(batch, self._width + max(limit, ROOM))
        self._column, self._count, self._latest = zeros(1), zeros(1), zeros(batch)
        self._lengths = zeros(batch)
        #: Least and greatest logit (2, batch, new tokens), in the logits' own type.
        self._extremes: torch.Tensor | None = None
        self.all_finished = zeros(1).bool()
        self._back = torch.arange(-looked_at, 0, device=device)
        self._window = torch.arange(1, self._width + 1, device=device)

    def prefill(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> None:
        """Read the prompts and append their first token.

        Some rows at a time, each time only as far as the longest of them reaches: where rows are
        sorted by length, little of what is read is padding.

        Args:
            input_ids, attention_mask: int64 (rows, prompt length), left-padded. Where there are
                fewer rows than the batch, the others are finished at once.
        """
        live, prompt = input_ids.shape
        lengths = attention_mask.sum(dim=-1)
        self._lengths.fill_(self.limit)
        self._lengths[live:] = 0
        self._history.zero_()
        width = min(self._width, prompt)
        self._history[:live, self._width - width : self._width] = input_ids[:, -width:]
        self._count.zero_()
        self._column.fill_(self._width)
        self._step.place.fill_(prompt - 1)
        self._step.start.fill_(prompt)  # a row without a prompt sees its new tokens only
        self._step.start[:live] = prompt - lengths
        reaches = [int(part.max()) for part in lengths.split(READ_ROWS)]
        logits = [
            self._read(input_ids, attention_mask, slice(row, min(row + READ_ROWS, live)), reach)
            for row, reach in zip(range(0, live, READ_ROWS), reaches, strict=True)
        ]
        if live < self.batch:
            logits.append(logits[0].new_zeros(self.batch - live, logits[0].shape[1]))
        self._append(torch.cat(logits))

    def _read(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, rows: slice, reach: int
    ) -> torch.Tensor:
        """Logits (rows, vocabulary) after the last `reach` places of some prompts."""
        ids, mask = input_ids[rows, -reach:], attention_mask[rows, -reach:]
        positions = (mask.cumsum(dim=-1) - 1).masked_fill(mask == 0, 0)
        with reading(self._step.cache, rows, input_ids.shape[1] - reach):
            logits: torch.Tensor = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=self._step.cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits
        return logits[:, -1]

    def advance(self) -> None:
        """Append a token to every sequence; capturable."""
        self._append(self._step(self._latest))

    def look(self) -> None:
        """Find the ends among the latest tokens; capturable."""
        new = (self._count + self._back).clamp_min(0)  # tokens that a look sees twice do no harm
        windows = self._history[:, new[:, None] + self._window]  # (batch, looked at, width)
        ended = torch.isin(windows[..., -1], self._ends)
        if self._stops is not None:
            ended = ended | self._stops(windows.flatten(0, 1), None).view(ended.shape)
        ends = torch.where(ended, new + 1, self.limit).amin(dim=1)
        torch.minimum(self._lengths, ends, out=self._lengths)
        self.all_finished.copy_((self._lengths <= self._count).all())

    def results(self, rows: int, count: int) -> tuple[list[list[int]], list[int | None]]:
        """What the first sequences came to, of the first `count` new tokens.

        Returns:
            The tokens of each, up to the one that ended it; and the first of them, if any, that was
            chosen from unsound logits.
        """
        assert self._extremes is not None
        lengths = self._lengths[:rows].clamp_max(count).tolist()
        tokens = self._history[:rows, self._width : self._width + count].tolist()
        least, greatest = self._extremes[:, :rows, :count].cpu()
        found = first_unsound(least, greatest, lengths)
        return [row[:length] for row, length in zip(tokens, lengths, strict=True)], found

    def _append(self, logits: torch.Tensor) -> None:
        """Take the most likely token of each sequence; logits (batch, vocabulary)."""
        greatest, latest = most_likely(logits)
        self._latest.copy_(latest)
        self._keep(logits.amin(dim=-1), greatest)
        self._history.index_copy_(1, self._column, self._latest[:, None])
        self._column.add_(1)
        self._count.add_(1)
        self._step.place.add_(1)

    def _keep(self, least: torch.Tensor, greatest: torch.Tensor) -> None:
        """Note the extremes (batch,) of the logits of the token that is being appended."""
        if self._extremes is None:  # at the first prompt, which is read before anything is captured
            width = self._history.shape[1] - self._width
            self._extremes = least.new_zeros(2, len(least), width)
        both = torch.stack([least, greatest])
        self._extremes.index_copy_(2, self._count, both[:, :, None])
