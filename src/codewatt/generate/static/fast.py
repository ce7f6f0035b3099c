"""The operations of a step by kernels: batch 1's products, and attention at every batch."""

from dataclasses import dataclass
from typing import Any

import torch

from codewatt.generate.static import kernels
from codewatt.generate.static.operations import Memory, Operations
from codewatt.generate.static.plan import Activation, Heads, Norm
from codewatt.generate.static.projections import Dense, FourBit, Int8, Projection

#: Places of the cache that a block of the attention kernel takes at a time.
_PLACES = 64
#: Blocks of the attention kernel that fill a GPU; more splits only make more to join.
_BLOCKS = 256


@dataclass(frozen=True)
class _Folded:
    """What a norm before a product comes to: see kernels.py.

    Attributes:
        sums: float32 (out,), W g; bias: float32 (out,), W b and the product's own bias.
    """

    sums: torch.Tensor | None
    bias: torch.Tensor | None


@dataclass(frozen=True)
class Blocks:
    """How a product is shared out over a GPU.

    Attributes:
        rows: outputs that a block takes at a time; columns: inputs (or words) of a tile.
        warps: of a block; most: blocks at most, each of which takes several turns then.
    """

    rows: int
    columns: int
    warps: int
    most: int

    def number(self, features: int) -> int:
        """Blocks for so many outputs."""
        return min(-(-features // self.rows), self.most)

    def constants(self, features: int) -> dict[str, int]:
        """The kernels' constants."""
        number = self.number(features)
        return {
            "ROWS": self.rows,
            "COLUMNS": self.columns,
            "BLOCKS": number,
            "TURNS": -(-features // (self.rows * number)),
            "num_warps": self.warps,
        }


class Kernels(Operations):
    """Operations by Triton's kernels where there is one; else by torch's functions.

    Args:
        early: start a kernel while the one before it still runs (programmatic dependent launch,
            from compute capability 9.0).
    """

    def __init__(self, early: bool = False) -> None:
        self._early = early
        self._folded: dict[tuple[int, int], _Folded] = {}
        self._scratch: dict[tuple[int, ...], tuple[torch.Tensor, ...]] = {}

    def project(
        self,
        product: Projection,
        rows: torch.Tensor,
        *,
        norm: Norm | None = None,
        activation: Activation | None = None,
        residual: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See `Operations.project`."""
        if rows.shape[0] != 1 or product.packed is None:
            return super().project(
                product, rows, norm=norm, activation=activation, residual=residual
            )
        gated = product.gated and activation is not None
        features = product.features // (2 if gated else 1)
        inputs = rows.shape[1]
        folded = self._fold(product, norm)
        out = rows.new_empty(1, features)
        shared = {
            "features": features,
            "inputs": inputs,
            "eps": 0.0 if norm is None else norm.eps,
            "norm": _kind(norm),
            "activation": activation or "",
            "gated": gated,
            "has_bias": folded.bias is not None,
            "has_residual": residual is not None,
            "PDL": self._early,
            **({"launch_pdl": True} if self._early else {}),
        }
        gamma = None if norm is None else norm.weight
        packed = product.packed
        if isinstance(packed, FourBit):
            blocks = _four_bit_blocks(features, inputs)
            kernels.product_four_bit[(blocks.number(features),)](
                rows, packed.words, packed.scale, packed.zero, packed.table, folded.sums,
                folded.bias, gamma, residual, out, group=packed.group,
                has_zero=packed.zero is not None, has_table=packed.table is not None,
                **blocks.constants(features), **shared,
            )  # fmt: skip
            return out
        weight = packed.weight if isinstance(packed, Dense) else packed.codes
        scale = packed.scale if isinstance(packed, Int8) else None
        blocks = _blocks(features, inputs, weight.element_size(), gated)
        kernels.product[(blocks.number(features),)](
            rows, weight, scale, folded.sums, folded.bias, gamma, residual, out,
            kind=kernels.DENSE.value if scale is None else kernels.INT8.value,
            **blocks.constants(features), **shared,
        )  # fmt: skip
        return out

    def attend(
        self,
        qkv: torch.Tensor,
        heads: Heads,
        memory: Memory,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:
        """See `Operations.attend`."""
        batch, kv_heads, places, size = keys.shape
        pairs = batch * kv_heads
        splits = max(1, min(-(-places // _PLACES), _BLOCKS // pairs))
        group = heads.heads // kv_heads
        padded_group = max(16, _power_of_two(group))
        padded_size = max(16, _power_of_two(size))
        partial, stats, arrived = self._joining(pairs, splits, padded_group, padded_size, keys)
        out = qkv.new_empty(batch, heads.heads * size)
        kernels.attention[(pairs, splits)](
            qkv, memory.cos, memory.sin, memory.place, memory.start, keys, values,
            partial, stats, arrived, out,
            qkv.stride(0), keys.stride(0), keys.stride(1),
            q_first=heads.query[0], q_stride=heads.query[1],
            k_first=heads.key[0], k_stride=heads.key[1],
            v_first=heads.value[0], v_stride=heads.value[1],
            kv_heads=kv_heads, group=group, size=size, rotary=heads.rotary,
            scaling=heads.scaling, splits=splits, steps=-(-places // (_PLACES * splits)),
            GROUP=padded_group, SIZE=padded_size, PLACES=_PLACES, num_warps=4, num_stages=2,
            PDL=self._early, **({"launch_pdl": True} if self._early else {}),
        )  # fmt: skip
        return out

    def _joining(
        self, pairs: int, splits: int, group: int, size: int, like: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """What the splits of a row leave for the last of them; the layers take turns with it."""
        key = (pairs, splits, group, size)
        if key not in self._scratch:
            wide = {"dtype": torch.float32, "device": like.device}
            self._scratch[key] = (
                torch.empty(pairs * splits * group * size, **wide),
                torch.empty(pairs * splits * 2 * group, **wide),
                torch.zeros(pairs, dtype=torch.int32, device=like.device),
            )
        return self._scratch[key]

    def _fold(self, product: Projection, norm: Norm | None) -> _Folded:
        """W g and W b of a product behind a norm, once."""
        key = (id(product), id(norm))
        if key not in self._folded:
            bias = None if product.bias is None else product.bias.float()
            sums = None
            if norm is not None and not norm.rms and product.packed is not None:
                weight = product.packed.dequantised()
                sums = weight @ norm.weight.float()
                if norm.bias is not None:
                    shift = weight @ norm.bias.float()
                    bias = shift if bias is None else bias + shift
            self._folded[key] = _Folded(sums, bias)
        return self._folded[key]


def _kind(norm: Norm | None) -> int:
    if norm is None:
        return int(kernels.NO_NORM.value)
    return int(kernels.RMS_NORM.value if norm.rms else kernels.LAYER_NORM.value)


def _blocks(features: int, inputs: int, element_bytes: int, gated: bool) -> Blocks:
    """How a product of weights or int8 codes is shared out: what was fastest on an H200."""
    rows = 2 if gated or inputs > 8192 else 4
    return Blocks(rows, min(1024, _power_of_two(inputs)), 4, 2048)


def _four_bit_blocks(features: int, inputs: int) -> Blocks:
    """How a product of 4-bit codes is shared out: what was fastest on an H200."""
    return Blocks(4, min(512, _power_of_two(inputs // 8)), 4, 2048)


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


def kernels_for(device: Any) -> Operations:
    """The fastest operations that there are on a device."""
    early = torch.cuda.get_device_capability(device) >= (9, 0)
    return Kernels(early)
