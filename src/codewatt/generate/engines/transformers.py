"""Engine `transformers`: model.generate() with a dynamic KV cache, as most studies run models."""

import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
)

from codewatt.generate.completion_assembly import (
    GeneratedBatch,
    build_completions,
    first_invalid_token,
    truncate_at_stop_token,
)
from codewatt.generate.engine import BatchResult, DecodingParams, Engine
from codewatt.generate.generate_record import AttentionEngineRecord
from codewatt.generate.prompt_batches import pad_prompts
from codewatt.generate.sampling import DEFAULT_SEEDS, SampleSeeds, TokenSampler
from codewatt.models.loading import Loaded, invalid_logits


class TransformersEngine(Engine):
    """model.generate() on left-padded batches with a dynamic KV cache."""

    def __init__(self, loaded: Loaded, synchronise: Callable[[], None]) -> None:
        super().__init__(loaded, synchronise)
        self._stop_criteria: dict[tuple[str, ...], StopStringCriteria] = {}
        # Without this, generate() would take missing settings from generation_config.json.
        loaded.model.generation_config = GenerationConfig()

    def describe(self) -> AttentionEngineRecord:
        """See `Engine.describe`."""
        return {
            "name": "transformers",
            **self.describe_attention(),
            "padding_side": "left",
            "torch_threads": torch.get_num_threads(),
        }

    def complete(
        self, prompts: list[str], decoding: DecodingParams, seeds: SampleSeeds = DEFAULT_SEEDS
    ) -> BatchResult:
        """See `Engine.complete`."""
        tokenizer, model, known = self.loaded.tokenizer, self.loaded.model, self.loaded.generation
        clock, logit_ranges = _TokenClock(self.synchronise), _LogitRangeRecorder()
        processors: list[LogitsProcessor] = [logit_ranges]
        criteria: list[StoppingCriteria] = [clock]
        stops = None
        if decoding.stop_strings:
            stops = _RecordingCriterion(self._stop_string_criterion(decoding.stop_strings))
            criteria.append(stops)
        if decoding.sampler is not None:
            uniforms = seeds.uniforms(len(prompts), decoding.samples, decoding.token_limit)
            drawer = _TokenDrawer(decoding.sampler, uniforms, logit_ranges, self.loaded.device)
            processors.append(drawer)
        self.synchronise()
        start_s = time.monotonic()
        encoded = pad_prompts(
            tokenizer,
            prompts,
            known.padding(tokenizer),
            self.loaded.device,
            add_special_tokens=decoding.add_special_tokens,
        )
        if decoding.samples > 1:
            encoded = {
                name: rows.repeat_interleave(decoding.samples, dim=0)
                for name, rows in encoded.items()
            }
        with torch.inference_mode():
            tokens = model.generate(
                **encoded,
                generation_config=self._generation_config(decoding),
                logits_processor=LogitsProcessorList(processors),
                stopping_criteria=StoppingCriteriaList(criteria),
            )
        self.synchronise()
        end_s = time.monotonic()
        clock.times_s.append(end_s)
        new_tokens = tokens[:, encoded["input_ids"].shape[1] :].tolist()
        lengths = [len(row) for row in new_tokens] if stops is None else stops.lengths()
        rows = [
            truncate_at_stop_token(row[:length], known.stop_token_ids)
            for row, length in zip(new_tokens, lengths, strict=True)
        ]
        generated = GeneratedBatch(
            rows,
            encoded["attention_mask"].sum(dim=1).tolist(),
            start_s,
            clock.times_s,
            first_invalid_token(*logit_ranges.read(), [len(row) for row in rows]),
        )
        completions = build_completions(
            generated, tokenizer, known.stop_token_ids, prompts, decoding
        )
        return BatchResult(completions, start_s, clock.times_s[0], end_s)

    def _stop_string_criterion(self, stop_strings: tuple[str, ...]) -> StopStringCriteria:
        """Built once for all batches: it reads the whole vocabulary, which takes half a second."""
        if stop_strings not in self._stop_criteria:
            self._stop_criteria[stop_strings] = StopStringCriteria(
                self.loaded.tokenizer, list(stop_strings)
            )
        return self._stop_criteria[stop_strings]

    def _generation_config(self, decoding: DecodingParams) -> GenerationConfig:
        """The settings of generate(); of generation_config.json only the stop tokens are used.

        With sampled decoding generate() is greedy too: `_TokenDrawer` leaves it one token.
        """
        known = self.loaded.generation
        return GenerationConfig(
            max_new_tokens=decoding.token_limit,
            do_sample=False,
            eos_token_id=list(known.stop_token_ids) or None,
            pad_token_id=known.padding(self.loaded.tokenizer),
            use_cache=True,
        )


class _TokenClock(StoppingCriteria):  # type: ignore[misc]
    """Records the time at which the host reaches each decode step; stops nothing.

    The first call synchronises, so that the first token's time is exact. In later steps generate()
    itself waits for the GPU, to read which sequences have ended.
    """

    def __init__(self, synchronise: Any) -> None:
        self.synchronise = synchronise
        self.times_s: list[float] = []

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        if not self.times_s:
            self.synchronise()
        self.times_s.append(time.monotonic())
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


class _RecordingCriterion(StoppingCriteria):  # type: ignore[misc]
    """A stopping criterion that keeps its results, to be read at the end of the batch."""

    def __init__(self, criterion: StopStringCriteria) -> None:
        self._criterion = criterion
        self._results: list[Any] = []

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        result = self._criterion(input_ids, scores, **kwargs)
        self._results.append(result)
        return result

    def lengths(self) -> list[int]:
        """Number of new tokens of each row up to the first that met the criterion, or all."""
        met = torch.stack(self._results, dim=1).tolist()
        return [row.index(True) + 1 if True in row else len(row) for row in met]


class _LogitRangeRecorder(LogitsProcessor):  # type: ignore[misc]
    """Records minimum and maximum logit of every row and decode step, on the device.

    They are read once, at the end of the batch. The logits are not changed.
    """

    def __init__(self) -> None:
        self._minima: list[Any] = []
        self._maxima: list[Any] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        minima, maxima = scores.aminmax(dim=-1)
        self._minima.append(minima)
        self._maxima.append(maxima)
        return scores

    def latest(self) -> tuple[Any, Any]:
        """Minimum and maximum logit of the latest decode step, each (rows,), on the device."""
        return self._minima[-1], self._maxima[-1]

    def read(self) -> tuple[Any, Any]:
        """Minimum and maximum logit, each (rows, decode steps), on the CPU."""
        return torch.stack(self._minima, dim=1).cpu(), torch.stack(self._maxima, dim=1).cpu()


class _TokenDrawer(LogitsProcessor):  # type: ignore[misc]
    """Draws the next token of every row and masks the logits of all others.

    generate() would draw from torch's global generator, whose numbers depend on the batch; engine
    `graph` could not draw the same ones.

    Args:
        sampler: draws the tokens.
        uniforms: (rows, new tokens), see `SampleSeeds.uniforms`.
        logit_ranges: has recorded the logits before.
        device: of the logits.
    """

    def __init__(
        self, sampler: TokenSampler, uniforms: Any, logit_ranges: _LogitRangeRecorder, device: str
    ) -> None:
        self._sampler, self._logit_ranges = sampler, logit_ranges
        self._columns = iter(torch.from_numpy(uniforms).to(device).unbind(dim=1))

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        minima, maxima = self._logit_ranges.latest()
        invalid = invalid_logits(minima, maxima)
        tokens = self._sampler.draw(scores, maxima, invalid, next(self._columns))
        return torch.full_like(scores, float("-inf")).scatter_(1, tokens[:, None], 0.0)


ENGINE = TransformersEngine
