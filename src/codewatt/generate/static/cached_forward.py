"""The forward pass of one decode step over a static KV cache: newest tokens in, logits out."""

from typing import Any, Protocol

import torch

from codewatt.generate.static.dense_decoder import DenseDecoder
from codewatt.generate.static.kv_cache import make_static_cache
from codewatt.generate.static.torch_ops import CachePositions, TorchOps


class CachedForward(Protocol):
    """The forward pass of a decode step.

    Shapes and addresses of all buffers stay the same and nothing waits for the host, so that a CUDA
    graph can capture it.

    Attributes:
        cache: the static KV cache; prefill by transformers writes into it.
        input_pos: int64 (1,), the cache position of the next token.
        start_pos: int64 (batch,), the cache position of each prompt's first token; earlier
            positions hold padding and are masked.
    """

    cache: Any
    input_pos: torch.Tensor
    start_pos: torch.Tensor

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (batch, vocabulary) after the newest tokens, int64 (batch,)."""


class TransformersForward:
    """transformers' forward over a static KV cache; for any architecture."""

    def __init__(self, model: Any, batch_size: int, cache_length: int) -> None:
        self.model = model
        device = model.device
        self.input_pos = torch.zeros(1, dtype=torch.int64, device=device)
        self.start_pos = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self._cache_positions = torch.arange(cache_length, device=device)
        self.cache = make_static_cache(
            model.config.num_hidden_layers, batch_size, cache_length, self.input_pos
        )

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """See `CachedForward`."""
        positions = self._cache_positions
        mask = (positions <= self.input_pos) & (positions >= self.start_pos[:, None])
        logits = self.model(
            input_ids=tokens[:, None],
            attention_mask=mask[:, None, None],
            position_ids=(self.input_pos - self.start_pos)[:, None],
            past_key_values=self.cache,
            use_cache=True,
        ).logits
        return logits[:, -1]  # type: ignore[no-any-return]


class DenseForward:
    """The forward pass of a `DenseDecoder`, with fused linear layers and our own kernels.

    Args:
        ops: what computes linear layers and attention.
    """

    def __init__(
        self,
        model: Any,
        decoder: DenseDecoder,
        ops: TorchOps,
        batch_size: int,
        cache_length: int,
    ) -> None:
        self.decoder, self.ops = decoder, ops
        device = model.device
        self.input_pos = torch.zeros(1, dtype=torch.int64, device=device)
        self.start_pos = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self.cache = make_static_cache(
            model.config.num_hidden_layers, batch_size, cache_length, self.input_pos
        )
        cos, sin = decoder.rotary_tables(cache_length)
        self._positions = CachePositions(cos, sin, self.input_pos, self.start_pos)

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """See `CachedForward`."""
        decoder, linear = self.decoder, self.ops.linear
        hidden = torch.nn.functional.embedding(tokens, decoder.embedding)
        for layer, cached in zip(decoder.layers, self.cache.layers, strict=True):
            layer_input = hidden
            qkv = linear(layer.qkv, layer_input, norm=layer.attention_norm)
            attended = self.ops.attention(
                qkv, decoder.heads, self._positions, cached.keys, cached.values
            )
            hidden = linear(layer.out, attended, residual=layer_input)
            mlp_input = layer_input if layer.parallel else hidden
            intermediate = linear(
                layer.up, mlp_input, norm=layer.mlp_norm, activation=decoder.activation
            )
            hidden = linear(layer.down, intermediate, residual=hidden)
        return linear(decoder.lm_head, hidden, norm=decoder.final_norm)
