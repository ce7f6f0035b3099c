"""Decoding in buffers of fixed address: prefill, decode one token, find ended sequences."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import StopStringCriteria

from codewatt.generate.completion_assembly import first_invalid_token
from codewatt.generate.sampling import TokenSampler
from codewatt.generate.static.cached_forward import CachedForward
from codewatt.generate.static.kv_cache import prefill_rows
from codewatt.models.loading import invalid_logits

#: New tokens that the buffers hold at least: warm-up before graph capture decodes a few.
MIN_NEW_TOKENS = 8
#: Prompts of one prefill.
PREFILL_ROWS = 32
#: The argmax reduces logits in rows of this many: a single row keeps few GPU blocks busy.
_ARGMAX_COLUMNS = 256


def greedy_tokens(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Maximum and argmax of each row of logits.

    Args:
        logits: (batch, vocabulary).

    Returns:
        Values and int64 indices, each (batch,). Of equal logits the first counts; if a row has NaN,
        its value is NaN.
    """
    if logits.shape[1] % _ARGMAX_COLUMNS:
        return tuple(logits.max(dim=-1))  # type: ignore[return-value]
    row_maxima, columns = logits.unflatten(1, (-1, _ARGMAX_COLUMNS)).max(dim=-1)
    value, row = row_maxima.max(dim=-1, keepdim=True)
    return value.squeeze(1), (row * _ARGMAX_COLUMNS + columns.gather(1, row)).squeeze(1)


class BatchDecoder:
    """Decoding of a batch of fixed size, in buffers whose addresses never change.

    After `prefill`, each `decode_one_token` appends one token to every sequence: the most likely
    one, or one that is drawn with a random number that `prefill` got.
    `check_ended` finds sequences whose recent tokens hold a stop token or complete a stop string
    (by transformers' StopStringCriteria). It is a function of its own because it launches as many
    kernels as a decoder layer and need not run at every token: `results` removes what a sequence
    got after its end. The minimum and the maximum of each row of logits are kept, so that NaN and
    infinite logits are found once a batch, at the end.

    Args:
        model: a causal language model of transformers.
        stop_token_ids: token ids that end a sequence.
        forward: computes the logits; its cache holds prompt and new tokens.
        batch_size: sequences.
        token_limit: new tokens of a sequence at most.
        stop_strings: transformers' criterion; None without stop strings.
        check_window: recent tokens that `check_ended` reads; at most that many decode steps may lie
            between two calls.
        sampler: draws the tokens; None for greedy decoding.

    Attributes:
        all_ended: bool (1,), whether all sequences had ended at the last `check_ended`.
    """

    def __init__(
        self,
        model: Any,
        stop_token_ids: Sequence[int],
        forward: CachedForward,
        batch_size: int,
        token_limit: int,
        stop_strings: StopStringCriteria | None,
        check_window: int,
        sampler: TokenSampler | None = None,
    ) -> None:
        self.model, self._forward, self._stop_strings = model, forward, stop_strings
        self.batch_size, self.token_limit = batch_size, token_limit
        device = model.device
        self._stop_token_ids = torch.tensor(list(stop_token_ids), dtype=torch.int64, device=device)

        def zeros(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, dtype=torch.int64, device=device)

        # Last tokens of the prompt, then the new tokens: a stop string can begin in the prompt.
        self._context = stop_strings.maximum_token_len if stop_strings is not None else 1
        self._tokens = zeros(batch_size, self._context + max(token_limit, MIN_NEW_TOKENS))
        self._sampler = sampler
        self._uniforms = torch.zeros(  # of each new token; float64, not read if decoding is greedy
            (batch_size, max(token_limit, MIN_NEW_TOKENS) if sampler is not None else 0),
            dtype=torch.float64,
            device=device,
        )
        self._column, self._new_tokens, self._latest = zeros(1), zeros(1), zeros(batch_size)
        self._lengths = zeros(batch_size)
        #: Minimum and maximum logit (2, batch, new tokens), in the logits' dtype.
        self._logit_ranges: torch.Tensor | None = None
        self.all_ended = zeros(1).bool()
        self._recent = torch.arange(-check_window, 0, device=device)
        self._window = torch.arange(1, self._context + 1, device=device)

    def prefill(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        uniforms: torch.Tensor | None = None,
    ) -> None:
        """Run the prompts through the model and append the first token of each sequence.

        Runs PREFILL_ROWS prompts at a time, each time only over the width of the longest of them:
        if rows are sorted by length, little padding is computed.

        Args:
            input_ids, attention_mask: int64 (rows, prompt length), left-padded. If there are fewer
                rows than the batch size, the remaining sequences count as ended.
            uniforms: float64 (rows, token limit), a random number in [0, 1) for each new token;
                needed with a sampler.
        """
        rows, prompt_length = input_ids.shape
        if uniforms is not None:
            self._uniforms[:rows, : self.token_limit] = uniforms
        lengths = attention_mask.sum(dim=-1)
        self._lengths.fill_(self.token_limit)
        self._lengths[rows:] = 0
        self._tokens.zero_()
        width = min(self._context, prompt_length)
        self._tokens[:rows, self._context - width : self._context] = input_ids[:, -width:]
        self._new_tokens.zero_()
        self._column.fill_(self._context)
        self._forward.input_pos.fill_(prompt_length - 1)
        # A sequence without a prompt attends to its new tokens only.
        self._forward.start_pos.fill_(prompt_length)
        self._forward.start_pos[:rows] = prompt_length - lengths
        widths = [int(part.max()) for part in lengths.split(PREFILL_ROWS)]
        logits = [
            self._prefill_rows(
                input_ids, attention_mask, slice(row, min(row + PREFILL_ROWS, rows)), width
            )
            for row, width in zip(range(0, rows, PREFILL_ROWS), widths, strict=True)
        ]
        if rows < self.batch_size:
            logits.append(logits[0].new_zeros(self.batch_size - rows, logits[0].shape[1]))
        self._append_tokens(torch.cat(logits))

    def _prefill_rows(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, rows: slice, width: int
    ) -> torch.Tensor:
        """Logits (rows, vocabulary) after the last `width` columns of some prompts."""
        ids, mask = input_ids[rows, -width:], attention_mask[rows, -width:]
        positions = (mask.cumsum(dim=-1) - 1).masked_fill(mask == 0, 0)
        with prefill_rows(self._forward.cache, rows, input_ids.shape[1] - width):
            logits: torch.Tensor = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=self._forward.cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits
        return logits[:, -1]

    def decode_one_token(self) -> None:
        """Append one token to every sequence; a CUDA graph can capture it."""
        self._append_tokens(self._forward(self._latest))

    def check_ended(self) -> None:
        """Find the sequences that have ended; a CUDA graph can capture it."""
        # clamp: a token may be read twice, which changes nothing
        new = (self._new_tokens + self._recent).clamp_min(0)
        windows = self._tokens[:, new[:, None] + self._window]  # (batch, check window, context)
        ended = torch.isin(windows[..., -1], self._stop_token_ids)
        if self._stop_strings is not None:
            ended = ended | self._stop_strings(windows.flatten(0, 1), None).view(ended.shape)
        lengths = torch.where(ended, new + 1, self.token_limit).amin(dim=1)
        torch.minimum(self._lengths, lengths, out=self._lengths)
        self.all_ended.copy_((self._lengths <= self._new_tokens).all())

    def results(self, rows: int, new_tokens: int) -> tuple[list[list[int]], list[int | None]]:
        """Token ids of the first `rows` sequences, out of their first `new_tokens` new tokens.

        Returns:
            The new tokens of each sequence up to and including the token that ended it; and for
            each sequence the index of the first token chosen from invalid logits, None without one.
        """
        assert self._logit_ranges is not None
        lengths = self._lengths[:rows].clamp_max(new_tokens).tolist()
        tokens = self._tokens[:rows, self._context : self._context + new_tokens].tolist()
        minima, maxima = self._logit_ranges[:, :rows, :new_tokens].cpu()
        invalid = first_invalid_token(minima, maxima, lengths)
        return [row[:length] for row, length in zip(tokens, lengths, strict=True)], invalid

    def _append_tokens(self, logits: torch.Tensor) -> None:
        """Append the most likely or a drawn token of each sequence; logits (batch, vocabulary)."""
        if self._sampler is None:
            maxima, tokens = greedy_tokens(logits)
            minima = logits.amin(dim=-1)
        else:
            minima, maxima = logits.aminmax(dim=-1)
            uniforms = self._uniforms.index_select(1, self._new_tokens).squeeze(1)
            tokens = self._sampler.draw(logits, maxima, invalid_logits(minima, maxima), uniforms)
        self._latest.copy_(tokens)
        self._keep_logit_range(minima, maxima)
        self._tokens.index_copy_(1, self._column, self._latest[:, None])
        self._column.add_(1)
        self._new_tokens.add_(1)
        self._forward.input_pos.add_(1)

    def _keep_logit_range(self, minima: torch.Tensor, maxima: torch.Tensor) -> None:
        """Keep minimum and maximum (batch,) of the logits of the token that is being appended."""
        if self._logit_ranges is None:  # allocated in the first prefill, before any graph capture
            width = self._tokens.shape[1] - self._context
            self._logit_ranges = minima.new_zeros(2, len(minima), width)
        both = torch.stack([minima, maxima])
        self._logit_ranges.index_copy_(2, self._new_tokens, both[:, :, None])
