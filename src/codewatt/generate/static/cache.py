"""A key/value cache of fixed size whose place of writing is a tensor, not a Python number."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class FixedLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values: (batch, kv heads, length, head size), allocated once.

    While `reading`, a prompt is written to the first places and attended to by itself; otherwise
    a single token is written where `place` says and attends to the whole buffer, under the
    caller's mask. Sliding windows are the mask's business too: all layers are full.

    Args:
        length: places, for prompt and new tokens together.
        place: int64 tensor of shape (1,), shared by all layers: where the next token goes.
    """

    is_compileable = True
    is_sliding = False

    def __init__(self, length: int, place: torch.Tensor) -> None:
        super().__init__()
        self.length, self.place, self.reading = length, place, False

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate buffers for states of this batch, head count, head size, dtype and device."""
        self.keys, self.values = (
            states.new_zeros((*states.shape[:2], self.length, states.shape[-1]))
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write states (batch, kv heads, tokens, head size) and return what to attend to."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.reading:
            tokens = key_states.shape[-2]
            self.keys[:, :, :tokens].copy_(key_states)
            self.values[:, :, :tokens].copy_(value_states)
            return key_states, value_states
        self.keys.index_copy_(2, self.place, key_states)
        self.values.index_copy_(2, self.place, value_states)
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(length, offset) of the mask that transformers makes for a prompt."""
        return (query_length if self.reading else self.length), 0

    def get_seq_length(self) -> int:
        """0: the caller gives positions and masks."""
        return 0

    def get_max_length(self) -> int:
        """The places there are."""
        return self.length

    #: The name of the same in transformers 5.17.
    get_max_cache_shape = get_max_length


@contextmanager
def reading(cache: Cache) -> Iterator[None]:
    """While the block runs, what the layers get is a prompt."""
    for layer in cache.layers:
        layer.reading = True
    try:
        yield
    finally:
        for layer in cache.layers:
            layer.reading = False


def fixed_cache(layers: int, length: int, place: torch.Tensor) -> Cache:
    """A cache of so many layers; see FixedLayer for the arguments."""
    return Cache(layers=[FixedLayer(length, place) for _ in range(layers)])
