"""Linear layers and attention of a decode step by torch's functions: the reference for kernels.

Used where there is no kernel: on the CPU, and for batches so large that the library's GEMM is
faster.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from codewatt.generate.static.dense_decoder import Activation, HeadLayout, Norm
from codewatt.generate.static.linear_layers import FusedLinear


@dataclass(frozen=True)
class CachePositions:
    """Rotary tables, and which positions of the static KV cache attention writes and reads.

    Attributes:
        cos, sin: (cache length, rotary size), by position within a sequence.
        input_pos: int64 (1,), the cache position of the new token.
        start_pos: int64 (batch,), the cache position of each prompt's first token; earlier
            positions hold padding and are masked.
    """

    cos: torch.Tensor
    sin: torch.Tensor
    input_pos: torch.Tensor
    start_pos: torch.Tensor


class TorchOps:
    """Linear layers and attention of one token per sequence."""

    def linear(
        self,
        linear: FusedLinear,
        x: torch.Tensor,
        *,
        norm: Norm | None = None,
        activation: Activation | None = None,
        residual: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """residual + activation(linear(norm(x))); see `apply_epilogue` for gated layers.

        Args:
            x: (batch, in).
            residual: (batch, out).

        Returns:
            (batch, out).
        """
        y = linear(x if norm is None else apply_norm(x, norm))
        return apply_epilogue(y, linear.gated, activation, residual)

    def attention(
        self,
        qkv: torch.Tensor,
        heads: HeadLayout,
        positions: CachePositions,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:
        """Apply rotary embeddings, write the new key and value, and attend to the cache.

        Args:
            qkv: (batch, elements), laid out as `heads` says.
            keys, values: (batch, kv heads, cache length, head size); written at `input_pos`.

        Returns:
            (batch, heads * head size).
        """
        input_pos, start_pos = positions.input_pos, positions.start_pos
        position = input_pos - start_pos
        cos, sin = positions.cos[position][:, None], positions.sin[position][:, None]
        query = apply_rotary(_split_heads(qkv, heads.query, heads.heads, heads.size), cos, sin)
        key = apply_rotary(_split_heads(qkv, heads.key, heads.kv_heads, heads.size), cos, sin)
        value = _split_heads(qkv, heads.value, heads.kv_heads, heads.size)
        keys.index_copy_(2, input_pos, key[:, :, None])
        values.index_copy_(2, input_pos, value[:, :, None])
        cache_positions = torch.arange(keys.shape[2], device=keys.device)
        mask = (cache_positions <= input_pos) & (cache_positions >= start_pos[:, None])
        grouped = query.unflatten(1, (heads.kv_heads, -1))  # (batch, kv heads, group, head size)
        scores = grouped @ keys.transpose(2, 3) * heads.scaling
        scores = scores.float().masked_fill(~mask[:, None, None], float("-inf"))
        return (scores.softmax(dim=-1).to(values.dtype) @ values).flatten(1)


def apply_epilogue(
    y: torch.Tensor,
    gated: bool,
    activation: Activation | None,
    residual: torch.Tensor | None,
) -> torch.Tensor:
    """residual + activation(y); if gated, activation(first half of y) * second half of y.

    Args:
        y: (batch, out), or (batch, 2 * out) if gated.
        residual: (batch, out).
    """
    if gated and activation is not None:
        gate, value = y.chunk(2, dim=-1)
        y = apply_activation(gate, activation) * value
    elif activation is not None:
        y = apply_activation(y, activation)
    return y if residual is None else residual + y


def apply_norm(x: torch.Tensor, norm: Norm) -> torch.Tensor:
    """LayerNorm or RMSNorm of x (batch, features), rounded where transformers rounds."""
    if not norm.rms:
        return functional.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, norm.eps)
    single = x.float()
    single = single * torch.rsqrt(single.square().mean(dim=-1, keepdim=True) + norm.eps)
    return norm.weight * single.to(x.dtype)


def apply_activation(x: torch.Tensor, activation: Activation) -> torch.Tensor:
    """The activation of each element of x (any shape)."""
    if activation == "gelu_tanh":
        return functional.gelu(x, approximate="tanh")
    if activation == "gelu":
        return functional.gelu(x)
    return functional.silu(x) if activation == "silu" else functional.relu(x)


def apply_rotary(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding (Su et al. 2021, "RoFormer", section 3.2) of leading elements.

    Args:
        heads: (batch, heads, head size).
        cos, sin: (batch, 1, rotary size); elements from the rotary size on stay as they are.
    """
    rotary, passed = heads.split([cos.shape[-1], heads.shape[-1] - cos.shape[-1]], dim=-1)
    low, high = rotary.chunk(2, dim=-1)
    return torch.cat([rotary * cos + torch.cat([-high, low], dim=-1) * sin, passed], dim=-1)


def _split_heads(qkv: torch.Tensor, layout: tuple[int, int], heads: int, size: int) -> torch.Tensor:
    """(batch, heads, head size) of queries, keys or values; layout (first element, stride)."""
    first, stride = layout
    return qkv.as_strided(
        (qkv.shape[0], heads, size), (qkv.stride(0), stride, 1), qkv.storage_offset() + first
    )
