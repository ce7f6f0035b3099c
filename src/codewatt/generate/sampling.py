"""Sampled decoding: the random numbers of each sample, and how one draws a token from logits.

Engines `transformers` and `graph` draw with the same functions. So with the same seed they write
the same completions if they compute the same logits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Integer weight of the most likely token. Sums of integers are exact in any order, so the result
#: is the same at every run; torch.cumsum of floating-point numbers is not deterministic on a GPU.
#: Sums of 2^18 tokens stay below 2^63.
_LARGEST_WEIGHT = 2.0**44


@dataclass(frozen=True)
class SampleSeeds:
    """Which random numbers the samples of a batch use.

    Every sample of every task has its own stream of random numbers, so a completion does not depend
    on the batch that its task is in, nor on the number of samples. The streams come from the
    counter-based generator Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
    3", SC'11): the seed is the key, task and sample are two words of the counter.

    Attributes:
        seed: seed of the repeat, 0 or more.
        first_task: index of the batch's first prompt among the tasks of the benchmark.
    """

    seed: int = 0
    first_task: int = 0

    def uniforms(self, prompts: int, samples: int, tokens: int) -> NDArray[np.float64]:
        """Random numbers, uniform in [0, 1).

        Args:
            prompts: number of prompts of the batch.
            samples: number of samples of each prompt.
            tokens: largest number of new tokens of a sample.

        Returns:
            float64 (prompts * samples, tokens); the samples of one prompt are consecutive rows.
        """
        rows = [
            self._stream(prompt, sample).random_raw(tokens)
            for prompt in range(prompts)
            for sample in range(samples)
        ]
        return (np.stack(rows) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def request_seeds(self, prompts: int, samples: int) -> list[int]:
        """A seed (31 bits) for each row of `uniforms`, for an engine that draws by itself."""
        return [
            int(self._stream(prompt, sample).random_raw()) >> 33
            for prompt in range(prompts)
            for sample in range(samples)
        ]

    def _stream(self, prompt: int, sample: int) -> np.random.Philox:
        """The stream of one sample; the lowest word of the counter counts its numbers."""
        counter = np.array([0, sample, self.first_task + prompt, 0], dtype=np.uint64)
        return np.random.Philox(key=self.seed, counter=counter)


#: Seeds of the first batch with seed 0.
DEFAULT_SEEDS = SampleSeeds()


@dataclass(frozen=True)
class TokenSampler:
    """Draws tokens from logits with a temperature and nucleus sampling.

    The distribution is the one of transformers' TemperatureLogitsWarper and then TopPLogitsWarper
    (generation/logits_process.py): nucleus sampling (Holtzman et al. 2020, arXiv 1904.09751) keeps
    the smallest set of most likely tokens whose probabilities add up to `top_p` or more.

    Attributes:
        temperature: above 0.
        top_p: above 0; None or 1: every token can be drawn.
    """

    temperature: float
    top_p: float | None

    def draw(self, logits: Any, maxima: Any, invalid: Any, uniforms: Any) -> Any:
        """Draw one token of each row by inversion of the cumulative distribution.

        No operation waits for the host and no random generator is used, so that a CUDA graph can
        capture the computation. From a row of invalid logits a token is drawn as if all logits were
        equal; such a token is not used.

        Args:
            logits: (rows, vocabulary), of any floating-point type; converted to float32.
            maxima: (rows,), the largest logit of each row.
            invalid: bool (rows,), see `codewatt.models.loading.invalid_logits`.
            uniforms: float64 (rows,), in [0, 1).

        Returns:
            int64 (rows,).
        """
        import torch

        scores = logits.float() - maxima.float()[:, None]
        scores = scores.masked_fill(invalid[:, None], 0.0) / self.temperature
        order = None
        if self.top_p is not None and self.top_p < 1:
            scores, order = scores.sort(dim=-1, stable=True)  # least likely first
        cumulative = (scores.exp() * _LARGEST_WEIGHT).round().long().cumsum(dim=-1)
        total = cumulative[:, -1:]
        excluded = torch.zeros_like(total)  # weight of the tokens outside the nucleus
        if order is not None:
            limit = ((1 - self.top_p) * total.double()).long()  # type: ignore[operator]
            excluded = cumulative[:, :-1].masked_fill(cumulative[:, :-1] > limit, 0)
            excluded = excluded.amax(dim=-1, keepdim=True)
        kept = total - excluded
        drawn = (uniforms[:, None] * kept.double()).long()
        # minimum: the product may round up to the whole weight
        position = torch.searchsorted(
            cumulative, excluded + torch.minimum(drawn, kept - 1), right=True
        )
        return (position if order is None else order.gather(1, position)).squeeze(1)
