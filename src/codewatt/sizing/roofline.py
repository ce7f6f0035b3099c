"""The roofline of generation: minimum memory traffic and FLOPs of prefill and decoding.

The roofline model (Williams, Waterman, Patterson 2009, "Roofline", CACM 52(4)): work that moves B
bytes and does F FLOPs takes at least max(B / bandwidth, F / rate). What decoding must move
and do is counted as Pope et al. 2022 do ("Efficiently Scaling Transformer Inference",
arXiv:2211.05102, section 2): every step reads the weights once, independent of the batch size, and
the keys and values of each sequence. Each token takes two FLOPs per weight (a multiplication and an
addition), plus the FLOPs of attention.

These are lower bounds. Not counted, because a perfect implementation can avoid it: activations
(they can stay on the chip), rows of the input embedding, padding, norms and non-linearities, and
reading data again that was just written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Self, cast

from codewatt.errors import CodewattError
from codewatt.sizing.parameter_counts import Architecture
from codewatt.sizing.roofline_record import DemandRecord


@dataclass(frozen=True)
class Demand:
    """Memory traffic and FLOPs of a loaded model, per step and per token.

    Attributes:
        step_weight_bytes: bytes of weights that one forward pass must read.
        kv_bytes_per_token: bytes that one token adds to the KV cache of all layers.
        flops_per_token: FLOPs per token in the matrices of the layers: 2 * active weights.
        head_flops: FLOPs per token in the head: 2 * weights of the head.
        attention_flops: FLOPs of one query for one attended token, in all layers.
        layers, windowed_layers, window: see `Architecture`.
    """

    step_weight_bytes: int
    kv_bytes_per_token: int
    flops_per_token: int
    head_flops: int
    attention_flops: int
    layers: int
    windowed_layers: int = 0
    window: int | None = None

    @classmethod
    def of(cls, architecture: Architecture, step_weight_bytes: int, cache_bytes: int) -> Self:
        """The demand of a model.

        Args:
            architecture: the model's architecture.
            step_weight_bytes: see the class; for a loaded model see
                `loaded_memory.step_weight_bytes`.
            cache_bytes: bytes of one element of the KV cache.
        """
        return cls(
            step_weight_bytes=step_weight_bytes,
            kv_bytes_per_token=architecture.kv_bytes_per_token(cache_bytes),
            flops_per_token=2 * architecture.active_layer_weights,
            head_flops=2 * architecture.head,
            attention_flops=architecture.layers * architecture.attention_width,
            layers=architecture.layers,
            windowed_layers=architecture.windowed_layers,
            window=architecture.window,
        )

    @classmethod
    def from_dict(cls, values: DemandRecord) -> Self:
        """The inverse of `to_dict`.

        Raises:
            CodewattError: a key is missing or unknown.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise CodewattError(f"manifest: roofline.demand: {error}") from None

    def to_dict(self) -> DemandRecord:
        """The fields as a dictionary, for a manifest."""
        return cast(DemandRecord, asdict(self))

    def attended(self, first: int, last: int) -> int:
        """Attended tokens, summed over layers and over context lengths from `first` to `last`.

        A layer with a sliding window attends to at most the last `window` tokens of the context.
        """
        full = self.layers - self.windowed_layers
        tokens = full * _sum(first, last)
        if self.window is None:
            return tokens
        within = min(last, self.window)
        beyond = max(last - max(first - 1, self.window), 0)
        inside = _sum(first, within) if within >= first else 0
        return tokens + self.windowed_layers * (inside + beyond * self.window)


@dataclass(frozen=True)
class GeneratedSequence:
    """One sequence of a batch: numbers of prompt tokens and of new tokens (with the stop token)."""

    prompt_tokens: int
    new_tokens: int


@dataclass(frozen=True)
class Work:
    """Minimum memory traffic (bytes) and minimum FLOPs."""

    moved_bytes: int = 0
    flops: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.moved_bytes + other.moved_bytes, self.flops + other.flops)


def decode_work(demand: Demand, batch: Sequence[GeneratedSequence]) -> Work:
    """Work of decoding a batch: all steps after the first token of each sequence.

    Prefill gives the first token, so a sequence with n new tokens takes n - 1 decode steps. In step
    i it attends to c = prompt + i tokens. With W = step_weight_bytes and k = kv_bytes_per_token:

        bytes = W * (steps of the longest sequence) + Σ sequences Σ steps k * c
        flops = Σ sequences Σ steps (flops_per_token + head_flops + attention_flops * c)

    Of the c tokens, c - 1 are read from the KV cache and one is written. Each sequence has its own
    cache, even if several sequences have the same prompt.
    """
    steps = [max(sequence.new_tokens - 1, 0) for sequence in batch]
    layer_tokens = sum(
        demand.attended(sequence.prompt_tokens + 1, sequence.prompt_tokens + count)
        for sequence, count in zip(batch, steps, strict=True)
        if count
    )
    matrices = sum(steps) * (demand.flops_per_token + demand.head_flops)
    return Work(
        max(steps, default=0) * demand.step_weight_bytes
        + layer_tokens * demand.kv_bytes_per_token // demand.layers,
        matrices + layer_tokens * demand.attention_flops // demand.layers,
    )


def prefill_work(demand: Demand, batch: Sequence[GeneratedSequence]) -> Work:
    """Work of the prefill of a batch, which gives the first token of each sequence.

        bytes = W + Σ sequences k * prompt (with a sliding window: at most the window)
        flops = Σ sequences (prompt * flops_per_token + head_flops
                             + attention_flops * Σ c from 1 to prompt)

    For W and k see `decode_work`. Keys and values are written once. The head is needed for the last
    token only. In a mixture of experts, W counts the experts of one token; a long prompt reads
    more.
    """
    if not batch:
        return Work()
    prompts = [sequence.prompt_tokens for sequence in batch]
    layer_tokens = sum(demand.attended(1, prompt) for prompt in prompts)
    kept = sum(demand.attended(prompt, prompt) for prompt in prompts)
    return Work(
        demand.step_weight_bytes + kept * demand.kv_bytes_per_token // demand.layers,
        sum(prompts) * demand.flops_per_token
        + len(batch) * demand.head_flops
        + layer_tokens * demand.attention_flops // demand.layers,
    )


def total(parts: Iterable[Work]) -> Work:
    """Sum of several works; the sum of lower bounds is a lower bound."""
    return sum(parts, Work())


def roofline_times(
    work: Work, bandwidth_bytes_per_s: float | None, flops_per_s: float | None
) -> tuple[float | None, float | None, float | None]:
    """Minimum times of some work: (time of the bytes, time of the FLOPs, the larger of both), in s.

    A time is None if its rate is unknown. The maximum of two sums is at most the sum of the maxima
    over steps, so it is also a lower bound for phases of many steps.
    """
    moving = work.moved_bytes / bandwidth_bytes_per_s if bandwidth_bytes_per_s else None
    computing = work.flops / flops_per_s if flops_per_s else None
    both = None if moving is None or computing is None else max(moving, computing)
    return moving, computing, both


def _sum(first: int, last: int) -> int:
    """first + (first + 1) + ... + last; 0 if last < first."""
    return (first + last) * (last - first + 1) // 2 if last >= first else 0
