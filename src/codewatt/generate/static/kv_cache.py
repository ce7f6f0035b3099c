"""A key/value cache of fixed size whose place of writing is a tensor, not a Python number."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class FixedLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values: (batch, kv heads, length, head size), allocated once.

    While `reading` some rows, their prompts are written to the places from the first one given on
    and attend to themselves; otherwise a single token of each row is written where `place` says and
    attends to the whole buffer, under the caller's mask. Sliding windows are the mask's business
    too: all layers are full.

    Args:
        batch: rows, allocated at the first prompt.
        length: places, for prompt and new tokens together.
        place: int64 tensor of shape (1,), shared by all layers: where the next token goes.
    """

    is_compileable = True
    is_sliding = False

    def __init__(self, batch: int, length: int, place: torch.Tensor) -> None:
        super().__init__()
        self.batch, self.length, self.place = batch, length, place
        self.reading: tuple[slice, int] | None = None  # rows, and the first place

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate buffers for states of this head count, head size, dtype and device."""
        self.keys, self.values = (
            states.new_zeros((self.batch, states.shape[1], self.length, states.shape[-1]))
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write states (batch, kv heads, tokens, head size) and return what to attend to."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.reading is not None:
            rows, first = self.reading
            places = slice(first, first + key_states.shape[-2])
            self.keys[rows, :, places].copy_(key_states)
            self.values[rows, :, places].copy_(value_states)
            return key_states, value_states
        self.keys.index_copy_(2, self.place, key_states)
        self.values.index_copy_(2, self.place, value_states)
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(length, offset) of the mask that transformers makes for a prompt."""
        return (self.length if self.reading is None else query_length), 0

    def get_seq_length(self) -> int:
        """0: the caller gives positions and masks."""
        return 0

    def get_max_length(self) -> int:
        """The places there are."""
        return self.length

    #: The name of the same in transformers 5.17.
    get_max_cache_shape = get_max_length


@contextmanager
def reading(cache: Cache, rows: slice, first: int) -> Iterator[None]:
    """While the block runs, layers get the prompts of those rows, from that place on."""
    for layer in cache.layers:
        layer.reading = rows, first
    try:
        yield
    finally:
        for layer in cache.layers:
            layer.reading = None


def fixed_cache(layers: int, batch: int, length: int, place: torch.Tensor) -> Cache:
    """A cache of so many layers; see FixedLayer for the arguments."""
    return Cache(layers=[FixedLayer(batch, length, place) for _ in range(layers)])
