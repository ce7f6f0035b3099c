"""Static key/value cache: buffers of fixed size, written at a cache position that is a tensor.

A CUDA graph replays with the same buffers, so the cache position must not be a Python number.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class StaticCacheLayer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer, each (batch, kv heads, cache length, head size).

    During prefill (see `prefill_rows`) the keys and values of a prompt are written from a given
    cache position on, and the prompt attends to itself. In a decode step one token of each sequence
    is written at `input_pos` and attends to the whole buffer; the caller gives the attention mask.
    Sliding windows are left to the mask too: every layer holds the full length.

    Args:
        batch_size: sequences; the buffers are allocated at the first prefill.
        cache_length: cache positions, for prompt and new tokens together.
        input_pos: int64 (1,), the cache position of the next token; shared by all layers.
    """

    is_compileable = True
    is_sliding = False

    def __init__(self, batch_size: int, cache_length: int, input_pos: torch.Tensor) -> None:
        super().__init__()
        self.batch_size, self.cache_length, self.input_pos = batch_size, cache_length, input_pos
        self.prefill: tuple[slice, int] | None = None  # rows, and their first cache position

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate buffers with the head count, head size, dtype and device of these states."""
        self.keys, self.values = (
            states.new_zeros(
                (self.batch_size, states.shape[1], self.cache_length, states.shape[-1])
            )
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write states into the cache.

        Args:
            key_states, value_states: (batch, kv heads, tokens, head size).

        Returns:
            Keys and values to attend to: in prefill the states themselves, in a decode step the
            whole buffers.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.prefill is not None:
            rows, first = self.prefill
            positions = slice(first, first + key_states.shape[-2])
            self.keys[rows, :, positions].copy_(key_states)
            self.values[rows, :, positions].copy_(value_states)
            return key_states, value_states
        self.keys.index_copy_(2, self.input_pos, key_states)
        self.values.index_copy_(2, self.input_pos, value_states)
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(length, offset) of the attention mask that transformers makes for a prompt."""
        return (self.cache_length if self.prefill is None else query_length), 0

    def get_seq_length(self) -> int:
        """0: the caller passes position ids and attention masks itself."""
        return 0

    def get_max_length(self) -> int:
        """Number of cache positions."""
        return self.cache_length

    #: transformers 5.17 calls `get_max_length` by this name.
    get_max_cache_shape = get_max_length


@contextmanager
def prefill_rows(cache: Cache, rows: slice, first_position: int) -> Iterator[None]:
    """Within the block, forward passes write the prompts of `rows` from `first_position` on."""
    for layer in cache.layers:
        layer.prefill = rows, first_position
    try:
        yield
    finally:
        for layer in cache.layers:
            layer.prefill = None


def make_static_cache(
    layers: int, batch_size: int, cache_length: int, input_pos: torch.Tensor
) -> Cache:
    """A static KV cache of `layers` layers; for the other arguments see `StaticCacheLayer`."""
    return Cache(
        layers=[StaticCacheLayer(batch_size, cache_length, input_pos) for _ in range(layers)]
    )
