"""The operations of a step by torch's own functions: what the kernels must equal.

Run where there is no kernel: on the CPU, and for batches that are matrix products.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from codewatt.generate.static.dense_decoder import Activation, Heads, Norm
from codewatt.generate.static.linear_layers import Projection


@dataclass(frozen=True)
class Memory:
    """What attention looks back on.

    Attributes:
        cos, sin: (places, rotary), the rotation of each position.
        place: int64 (1,), where the new token's keys and values go.
        start: int64 (batch,), the first place of each sequence (those before are padding).
    """

    cos: torch.Tensor
    sin: torch.Tensor
    place: torch.Tensor
    start: torch.Tensor


class Operations:
    """Products and attention of one token a sequence."""

    def project(
        self,
        product: Projection,
        rows: torch.Tensor,
        *,
        norm: Norm | None = None,
        activation: Activation | None = None,
        residual: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """residual + activation(product(norm(rows))), gated where the product is.

        Args:
            rows: (batch, in); residual: (batch, out).
        """
        made = product(rows if norm is None else normed(rows, norm))
        return combined(made, product.gated, activation, residual)

    def attend(
        self,
        qkv: torch.Tensor,
        heads: Heads,
        memory: Memory,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:
        """Rotate queries and keys, keep keys and values, attend to all places up to the new one.

        Args:
            qkv: (batch, elements), laid out as `heads` says.
            keys, values: (batch, kv heads, places, size); the new place is written.

        Returns:
            (batch, heads * size).
        """
        place = memory.place
        position = place - memory.start
        cos, sin = memory.cos[position][:, None], memory.sin[position][:, None]
        query = rotated(_part(qkv, heads.query, heads.heads, heads.size), cos, sin)
        key = rotated(_part(qkv, heads.key, heads.kv_heads, heads.size), cos, sin)
        value = _part(qkv, heads.value, heads.kv_heads, heads.size)
        keys.index_copy_(2, place, key[:, :, None])
        values.index_copy_(2, place, value[:, :, None])
        places = torch.arange(keys.shape[2], device=keys.device)
        seen = (places <= place) & (places >= memory.start[:, None])
        grouped = query.unflatten(1, (heads.kv_heads, -1))  # (batch, kv heads, group, size)
        scores = grouped @ keys.transpose(2, 3) * heads.scaling
        scores = scores.float().masked_fill(~seen[:, None, None], float("-inf"))
        return (scores.softmax(dim=-1).to(values.dtype) @ values).flatten(1)


def combined(
    made: torch.Tensor,
    gated: bool,
    activation: Activation | None,
    residual: torch.Tensor | None,
) -> torch.Tensor:
    """residual + activation(made); where it is gated, the first half is the gate's."""
    if gated and activation is not None:
        gate, value = made.chunk(2, dim=-1)
        made = activated(gate, activation) * value
    elif activation is not None:
        made = activated(made, activation)
    return made if residual is None else residual + made


def normed(rows: torch.Tensor, norm: Norm) -> torch.Tensor:
    """LayerNorm or RMSNorm of rows (batch, features), as transformers computes them."""
    if not norm.rms:
        return functional.layer_norm(rows, norm.weight.shape, norm.weight, norm.bias, norm.eps)
    wide = rows.float()
    wide = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + norm.eps)
    return norm.weight * wide.to(rows.dtype)


def activated(rows: torch.Tensor, activation: Activation) -> torch.Tensor:
    """The activation of each element."""
    if activation == "gelu_tanh":
        return functional.gelu(rows, approximate="tanh")
    if activation == "gelu":
        return functional.gelu(rows)
    return functional.silu(rows) if activation == "silu" else functional.relu(rows)


def rotated(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary embedding (Su et al. 2021) of the leading elements of heads (batch, heads, size)."""
    turned, kept = heads.split([cos.shape[-1], heads.shape[-1] - cos.shape[-1]], dim=-1)
    low, high = turned.chunk(2, dim=-1)
    return torch.cat([turned * cos + torch.cat([-high, low], dim=-1) * sin, kept], dim=-1)


def _part(qkv: torch.Tensor, place: tuple[int, int], heads: int, size: int) -> torch.Tensor:
    """(batch, heads, size) of queries, keys or values."""
    first, stride = place
    return qkv.as_strided(
        (qkv.shape[0], heads, size), (qkv.stride(0), stride, 1), qkv.storage_offset() + first
    )
