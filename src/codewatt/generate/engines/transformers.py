"""transformers' own generate(): the way in which the studies ran their models."""

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
    Generated,
    completions_of,
    first_unsound,
    until_end,
)
from codewatt.generate.engine import Batch, Decoding, Engine
from codewatt.generate.prompt_batches import padded
from codewatt.models.loading import Loaded, unsound


class TransformersEngine(Engine):
    """model.generate() on left-padded batches with a dynamic KV cache."""

    def __init__(self, loaded: Loaded, synchronise: Callable[[], None]) -> None:
        super().__init__(loaded, synchronise)
        self._stops: dict[tuple[str, ...], StopStringCriteria] = {}
        # generate() fills in what is not set here from the model's own settings.
        loaded.model.generation_config = GenerationConfig()

    def describe(self) -> dict[str, Any]:
        """See `Engine.describe`."""
        return {
            "name": "transformers",
            **self.describe_attention(),
            "padding_side": "left",
            "torch_threads": torch.get_num_threads(),
        }

    def complete(self, prompts: list[str], decoding: Decoding) -> Batch:
        """See `Engine.complete`."""
        tokenizer, model, known = self.loaded.tokenizer, self.loaded.model, self.loaded.generation
        clock, watch = _StepClock(self.synchronise), _Watch(decoding.temperature is not None)
        criteria: list[StoppingCriteria] = [clock]
        stops = None
        if decoding.stop_strings:
            stops = _Noted(self._stop_at(decoding.stop_strings))
            criteria.append(stops)
        self.synchronise()
        start_s = time.monotonic()
        encoded = padded(tokenizer, prompts, known.padding(tokenizer), self.loaded.device)
        with torch.inference_mode():
            tokens = model.generate(
                **encoded,
                generation_config=self._configuration(decoding),
                logits_processor=LogitsProcessorList([watch]),
                stopping_criteria=StoppingCriteriaList(criteria),
            )
        self.synchronise()
        end_s = time.monotonic()
        clock.steps_s.append(end_s)
        new_tokens = tokens[:, encoded["input_ids"].shape[1] :].tolist()
        lengths = [len(row) for row in new_tokens] if stops is None else stops.lengths()
        rows = [
            until_end(row[:length], known.ends)
            for row, length in zip(new_tokens, lengths, strict=True)
        ]
        prompt_tokens = encoded["attention_mask"].sum(dim=1).repeat_interleave(decoding.samples)
        generated = Generated(
            rows,
            prompt_tokens.tolist(),
            start_s,
            clock.steps_s,
            first_unsound(*watch.extremes(), [len(row) for row in rows]),
        )
        completions = completions_of(generated, tokenizer, known.ends, prompts, decoding)
        return Batch(completions, start_s, clock.steps_s[0], end_s)

    def _stop_at(self, stop_strings: tuple[str, ...]) -> StopStringCriteria:
        """Made once: going through the vocabulary takes half a second, in every batch."""
        if stop_strings not in self._stops:
            self._stops[stop_strings] = StopStringCriteria(
                self.loaded.tokenizer, list(stop_strings)
            )
        return self._stops[stop_strings]

    def _configuration(self, decoding: Decoding) -> GenerationConfig:
        """Every choice made here: of generation_config.json only the ends are followed."""
        known, sampled = self.loaded.generation, decoding.temperature is not None
        chosen = {"temperature": decoding.temperature, "top_p": decoding.top_p or 1.0, "top_k": 0}
        return GenerationConfig(
            max_new_tokens=decoding.token_limit,
            do_sample=sampled,
            num_return_sequences=decoding.samples,
            eos_token_id=list(known.ends) or None,
            pad_token_id=known.padding(self.loaded.tokenizer),
            use_cache=True,
            **(chosen if sampled else {}),
        )


class _StepClock(StoppingCriteria):  # type: ignore[misc]
    """Notes when the host reaches each decoding step; stops nothing.

    The first call synchronises, so that the first token's time is exact; later steps are paced by
    generate()'s own look at which sequences are done.
    """

    def __init__(self, synchronise: Any) -> None:
        self.synchronise = synchronise
        self.steps_s: list[float] = []

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        if not self.steps_s:
            self.synchronise()
        self.steps_s.append(time.monotonic())
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


class _Noted(StoppingCriteria):  # type: ignore[misc]
    """A criterion that also keeps its answers, to be read when the batch is done."""

    def __init__(self, criterion: StopStringCriteria) -> None:
        self._criterion = criterion
        self._answers: list[Any] = []

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        answer = self._criterion(input_ids, scores, **kwargs)
        self._answers.append(answer)
        return answer

    def lengths(self) -> list[int]:
        """New tokens of each row up to the first at which the criterion was met, or all."""
        met = torch.stack(self._answers, dim=1).tolist()
        return [row.index(True) + 1 if True in row else len(row) for row in met]


class _Watch(LogitsProcessor):  # type: ignore[misc]
    """Keeps the least and greatest logit of every row and step, on the device.

    They are read once a batch, when it is done. Greedy decoding goes on as it would; a sampled row
    that is unsound becomes one of equal logits, as drawing from NaN would end the process.
    """

    def __init__(self, sampled: bool) -> None:
        self._sampled = sampled
        self._least: list[Any] = []
        self._greatest: list[Any] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        least, greatest = scores.aminmax(dim=-1)
        self._least.append(least)
        self._greatest.append(greatest)
        if self._sampled:
            return scores.masked_fill(unsound(least, greatest)[:, None], 0.0)
        return scores

    def extremes(self) -> tuple[Any, Any]:
        """The least and the greatest logit, each (rows, steps) on the host."""
        return torch.stack(self._least, dim=1).cpu(), torch.stack(self._greatest, dim=1).cpu()


ENGINE = TransformersEngine
