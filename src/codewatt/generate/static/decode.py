"""One decoding step as a function of buffers: nothing of it runs on the host but its launch."""

from typing import Any

import torch
from transformers import StopStringCriteria

from codewatt.generate.static.cache import fixed_cache, reading


class GreedyDecoder:
    """Greedy decoding of a batch of fixed size, step by step, in buffers that never move.

    After `prefill`, each `step` appends a token to every sequence: the argmax of its logits, or
    padding once it has ended. A sequence ends with the end-of-sequence token or when a stop string
    is complete, by transformers' own criterion over the last tokens.

    Args:
        model: a causal language model of transformers; tokenizer: its tokenizer, left-padded.
        batch: sequences; length: places of the cache, prompt and new tokens together.
        limit: new tokens at most.
        stops: the criterion of the stop strings; None without any.

    Attributes:
        tokens: int64 (batch, limit), the new tokens.
        finished: bool (batch,).
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        batch: int,
        length: int,
        limit: int,
        stops: StopStringCriteria | None,
    ) -> None:
        self.model, self.stops = model, stops
        self.batch, self.length, self.limit = batch, length, limit
        self._eos, self._pad = tokenizer.eos_token_id, tokenizer.pad_token_id
        device = model.device

        def zeros(*shape: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self.tokens = zeros(batch, limit)
        self.finished = zeros(batch, dtype=torch.bool)
        self._place, self._count = zeros(1), zeros(1)
        self._latest, self._positions = zeros(batch, 1), zeros(batch, 1)
        self._mask = zeros(batch, 1, 1, length, dtype=torch.bool)
        self._recent = zeros(batch, stops.maximum_token_len if stops is not None else 1)
        self._cache = fixed_cache(model.config.num_hidden_layers, length, self._place)

    def prefill(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> None:
        """Read the prompts and append their first token.

        Args:
            input_ids, attention_mask: int64 (rows, prompt length), left-padded. Fewer rows than
                the batch are filled up with the last one again, which is finished at once.
        """
        live, prompt = input_ids.shape
        input_ids, attention_mask = (self._filled(rows) for rows in (input_ids, attention_mask))
        positions = attention_mask.cumsum(dim=-1) - 1
        self.finished.fill_(False)
        self.finished[live:] = True
        self.tokens.fill_(self._pad)
        self._count.zero_()
        self._place.fill_(prompt)
        self._positions.copy_(positions[:, -1:] + 1)
        self._mask.fill_(False)
        self._mask[:, 0, 0, :prompt] = attention_mask.bool()
        width = self._recent.shape[1]
        self._recent.fill_(self._pad)
        self._recent[:, -min(width, prompt) :] = input_ids[:, -width:]
        with reading(self._cache):
            logits = self.model(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=positions.masked_fill(attention_mask == 0, 0),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits
        self._append(logits)

    def step(self) -> None:
        """Append a token to every sequence. Same shapes, same addresses, no host: capturable."""
        self._mask.index_fill_(3, self._place, True)
        logits = self.model(
            input_ids=self._latest,
            attention_mask=self._mask,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
        ).logits
        self._place.add_(1)
        self._positions.add_(1)
        self._append(logits)

    def _filled(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows up to the batch, the last one again and again."""
        return torch.cat([rows, rows[-1:].expand(self.batch - len(rows), -1)])

    def _append(self, logits: torch.Tensor) -> None:
        """Take the most likely token of the last place; note which sequences that ends."""
        chosen = logits[:, -1].float().argmax(dim=-1)
        chosen = torch.where(self.finished, self._pad, chosen)
        self.tokens.index_copy_(1, self._count, chosen[:, None])
        self._count.add_(1)
        self._latest.copy_(chosen[:, None])
        self._recent.copy_(torch.cat([self._recent[:, 1:], chosen[:, None]], dim=1))
        ended = torch.zeros_like(self.finished) if self._eos is None else chosen == self._eos
        if self.stops is not None:
            ended = ended | self.stops(self._recent, None)
        self.finished.logical_or_(ended)
