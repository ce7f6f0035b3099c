"""The least that generating must move and compute: the roofline beside a measured figure.

The roofline model (Williams, Waterman, Patterson 2009, "Roofline", CACM 52(4)): work that moves B
bytes and does F FLOPs takes at least max(B / bandwidth, F / rate). What decoding must move
and do is counted as Pope et al. 2022 do ("Efficiently Scaling Transformer Inference",
arXiv:2211.05102, section 2): every step reads the weights once, whatever the batch, and each
sequence's keys and values; each token takes two FLOPs, a multiplication and an addition, a
weight, and attention comes on top.

These are lower bounds. Left out, as a perfect implementation needs none of it: activations (they
can stay on the chip), the row of the input embedding that is looked up, padding, norms and
non-linearities, and the reading again of what was just written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Self, cast

from codewatt.errors import CodewattError
from codewatt.sizing.parameter_counts import Architecture
from codewatt.sizing.roofline_record import DemandRecord


@dataclass(frozen=True)
class Demand:
    """What a loaded model asks of a machine.

    Attributes:
        step_weight_bytes: bytes of weights that one pass through the model must read.
        kv_bytes_per_token: bytes that a token adds to the cache of all layers.
        flops_per_token: 2 * weights of the layers' matrices that a token is multiplied with.
        head_flops: 2 * weights of the head.
        attention_flops: of one query on one attended token, in all layers.
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
            step_weight_bytes: see the class; of a loaded model: `loaded.step_weight_bytes`.
            cache_bytes: of one number in the key/value cache.
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
        """What `to_dict` gave.

        Raises:
            CodewattError: a key is absent or none of these.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise CodewattError(f"a manifest's roofline: {error}") from None

    def to_dict(self) -> DemandRecord:
        """Plain values, as manifests keep them."""
        return cast(DemandRecord, asdict(self))

    def attended(self, first: int, last: int) -> int:
        """Σ over contexts of first, first + 1, ..., last tokens of layers * tokens attended to.

        A layer with a sliding window attends to the last `window` tokens of a context at most.
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
    """One sequence of a batch: tokens of its prompt, and tokens generated (the end included)."""

    prompt_tokens: int
    new_tokens: int


@dataclass(frozen=True)
class Work:
    """The least bytes that must be moved and the least FLOPs that must be done."""

    moved_bytes: int = 0
    flops: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.moved_bytes + other.moved_bytes, self.flops + other.flops)


def decode_work(demand: Demand, batch: Sequence[GeneratedSequence]) -> Work:
    """Of a batch, from the first token of each sequence to its last.

    The prompt's pass gives the first token, so a sequence of n new tokens takes n - 1 steps; in
    step i it attends to c = prompt + i tokens. With W = step_weight_bytes, k = kv_bytes_per_token:

        bytes      = W * (steps of the longest sequence) + Σ sequences Σ steps k * c
        flops = Σ sequences Σ steps (flops_per_token + head_flops
                                          + attention_flops * c)

    Of the c tokens, c - 1 are read from the cache and one is written to it. Each sequence has a
    cache of its own, also where several begin with the same prompt.
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
    """Of a batch's pass over its prompts, which gives the first token of each sequence.

        bytes      = W + Σ sequences k * prompt (of a sliding window, what stays in it)
        flops = Σ sequences (prompt * flops_per_token + head_flops
                                  + attention_flops * Σ c from 1 to prompt)

    Keys and values are written once; the head is needed for the last token only. In a mixture of
    experts, W holds the experts of one token; a long prompt reads more of them.
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
    """The sum; of bounds, and so a bound."""
    return sum(parts, Work())


def least_s(
    work: Work, bandwidth_bytes_per_s: float | None, flops_per_s: float | None
) -> tuple[float | None, float | None, float | None]:
    """(seconds of the bytes, seconds of the FLOPs, the larger one); None where unknown.

    The larger of two sums is never more than the sum over steps of the larger one, so it stays a
    lower bound for phases of many steps.
    """
    moving = work.moved_bytes / bandwidth_bytes_per_s if bandwidth_bytes_per_s else None
    computing = work.flops / flops_per_s if flops_per_s else None
    both = None if moving is None or computing is None else max(moving, computing)
    return moving, computing, both


def _sum(first: int, last: int) -> int:
    """first + (first + 1) + ... + last; 0 if there is nothing between."""
    return (first + last) * (last - first + 1) // 2 if last >= first else 0
