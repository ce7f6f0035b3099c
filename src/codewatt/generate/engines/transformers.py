"""transformers' own generate(): the way in which the studies ran their models."""

import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    StoppingCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
)

from codewatt.generate.assemble import Generated, completions_of
from codewatt.generate.base import Batch, Decoding, Engine
from codewatt.models.loading import Loaded


class TransformersEngine(Engine):
    """model.generate() on left-padded batches with a dynamic KV cache."""

    def __init__(self, loaded: Loaded, synchronise: Callable[[], None]) -> None:
        super().__init__(loaded, synchronise)
        self._stops: dict[tuple[str, ...], StopStringCriteria] = {}

    def describe(self) -> dict[str, Any]:
        """See `Engine.describe`."""
        return {
            "name": "transformers",
            "attention": self.loaded.model.config._attn_implementation,
            "padding_side": self.loaded.tokenizer.padding_side,
            "torch_threads": torch.get_num_threads(),
        }

    def complete(self, prompts: list[str], decoding: Decoding) -> Batch:
        """See `Engine.complete`."""
        tokenizer, model = self.loaded.tokenizer, self.loaded.model
        clock = _StepClock(self.synchronise)
        criteria: list[StoppingCriteria] = [clock]
        if decoding.stop_strings:
            criteria.append(self._stop_at(decoding.stop_strings))
        self.synchronise()
        start_s = time.monotonic()
        encoded = tokenizer(prompts, return_tensors="pt", padding=True).to(self.loaded.device)
        with torch.inference_mode():
            tokens = model.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                generation_config=self._configuration(decoding),
                stopping_criteria=StoppingCriteriaList(criteria),
            )
        self.synchronise()
        end_s = time.monotonic()
        clock.steps_s.append(end_s)
        new_tokens = tokens[:, encoded["input_ids"].shape[1] :].tolist()
        prompt_tokens = encoded["attention_mask"].sum(dim=1).repeat_interleave(decoding.samples)
        generated = Generated(new_tokens, prompt_tokens.tolist(), start_s, clock.steps_s)
        completions = completions_of(generated, tokenizer, prompts, decoding)
        return Batch(completions, start_s, clock.steps_s[0], end_s)

    def _stop_at(self, stop_strings: tuple[str, ...]) -> StopStringCriteria:
        """Made once: going through the vocabulary takes half a second, in every batch."""
        if stop_strings not in self._stops:
            self._stops[stop_strings] = StopStringCriteria(
                self.loaded.tokenizer, list(stop_strings)
            )
        return self._stops[stop_strings]

    def _configuration(self, decoding: Decoding) -> GenerationConfig:
        """Every choice made here: a checkpoint's own generation_config.json has no say."""
        sampled = decoding.temperature is not None
        chosen = {"temperature": decoding.temperature, "top_p": decoding.top_p or 1.0, "top_k": 0}
        return GenerationConfig(
            max_new_tokens=decoding.token_limit,
            do_sample=sampled,
            num_return_sequences=decoding.samples,
            eos_token_id=self.loaded.tokenizer.eos_token_id,
            pad_token_id=self.loaded.tokenizer.pad_token_id,
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


ENGINE = TransformersEngine
