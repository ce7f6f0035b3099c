"""The operations of a step by kernels: products of one row and of few, attention at every batch.

How products are shared out over blocks was chosen by benchmarks/product_kernels.py.
"""

from dataclasses import dataclass
from typing import Any

import torch

from codewatt.generate.static.dense_decoder import Activation, Heads, Norm
from codewatt.generate.static.kernels import activations, attention, gemm, gemv
from codewatt.generate.static.linear_layers import Dense, EightBit, FourBit, Packed, Projection
from codewatt.generate.static.torch_ops import Memory, Operations, combined

#: Places of the cache that a block of the attention kernel takes at a time.
_PLACES = 64
#: Rows up to which our kernel multiplies, of weights and of codes; above it is the library's turn.
_MOST_ROWS, _MOST_ROWS_OF_CODES = 16, 64
#: Matrix units take sixteen inputs at a time: one nibble of a group's words must hold as many.
_LEAST_GROUP = 64
#: Lines of 128 bytes of each row that a block sends for before it may start.
_LINES = 8
#: Blocks of the attention kernel that fill a GPU; more splits only make more to join.
_BLOCKS = 256


@dataclass(frozen=True)
class _Folded:
    """What a norm before a product comes to: see kernels/one_row.py.

    Attributes:
        sums: float32 (out,), W g; bias: float32 (out,), W b and the product's own bias.
        scale, zero: of 4-bit codes, (out, groups): as a kernel of one row reads them.
    """

    sums: torch.Tensor | None
    bias: torch.Tensor | None
    scale: torch.Tensor | None = None
    zero: torch.Tensor | None = None


@dataclass(frozen=True)
class Blocks:
    """How one row's product is shared out over a GPU.

    Attributes:
        rows: outputs that a block takes at a time; columns: inputs of a tile.
        warps: of a block; most: blocks at most, each of which takes several turns then.
    """

    rows: int
    columns: int
    warps: int
    most: int


@dataclass(frozen=True)
class RowBlocks:
    """How a product of few rows is shared out over a GPU.

    Attributes:
        rows: outputs of a block; columns: inputs of a tile (of 4-bit codes it is a group).
        splits: blocks that share an output's inputs; warps: of a block.
        stages: tiles on their way.
    """

    rows: int
    columns: int
    splits: int
    warps: int
    stages: int


class Kernels(Operations):
    """Operations by Triton's kernels where there is one; else by torch's functions.

    Args:
        early: start a kernel while the one before it still runs (programmatic dependent launch,
            from compute capability 9.0).
        assembly: kernels may hold a GPU's instructions, which Triton's interpreter cannot run.
    """

    def __init__(self, early: bool = False, assembly: bool = False) -> None:
        self._assembly = assembly
        self._launch: dict[str, Any] = {"PDL": early, **({"launch_pdl": True} if early else {})}
        self._folded: dict[tuple[int, int], _Folded] = {}
        self._scratch: dict[tuple[Any, ...], tuple[torch.Tensor, ...]] = {}

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
        packed = product.packed
        batch, inputs = rows.shape
        blocks = _row_blocks(packed, batch, inputs, product.features, rows.dtype)
        if packed is not None and blocks is not None:
            read = rows if norm is None else self._normed(rows, norm)
            if not product.gated:
                return self._of_rows(product, read, blocks, activation, residual)
            made = self._of_rows(product, read, blocks, None, None)
            return combined(made, product.gated, activation, residual)
        if packed is not None and len(rows) == 1:
            return self._of_row(product, packed, rows, norm, activation, residual)
        read = rows if norm is None else self._normed(rows, norm)
        return super().project(product, read, activation=activation, residual=residual)

    def _of_rows(
        self,
        product: Projection,
        rows: torch.Tensor,
        blocks: RowBlocks,
        activation: Activation | None,
        residual: torch.Tensor | None,
    ) -> torch.Tensor:
        """A product by the matrix units; nothing is gated."""
        packed, features = product.packed, product.features
        batch, inputs = rows.shape
        out = rows.new_empty(batch, features)
        padded = max(8, _power_of_two(batch))
        number = -(-features // blocks.rows)
        partial, arrived = None, None
        if blocks.splits > 1:
            wide = number * blocks.splits * blocks.rows * padded
            partial, arrived = self._buffers("rows", rows.device, number, wide)
        w, scale, zero, kind, group = _contents(packed)
        row_bytes = w.shape[1] * w.element_size() // blocks.splits
        gemm.product_of_rows[(number, blocks.splits)](
            rows, w, scale, zero, product.bias, residual, out, partial, arrived,
            features=features, inputs=inputs, batch=batch, kind=kind, group=group,
            activation=activation or "", has_bias=product.bias is not None,
            has_residual=residual is not None, has_zero=zero is not None, ROWS=blocks.rows,
            COLUMNS=blocks.columns, BATCH=padded, SPLITS=blocks.splits, STAGES=blocks.stages,
            num_warps=blocks.warps,
            GROUPS=_power_of_two(inputs // blocks.columns // blocks.splits),
            LINES=min(_LINES, 1 << (max(row_bytes // 128, 1).bit_length() - 1)),
            ASM=self._assembly and rows.dtype == torch.bfloat16, **self._launch,
        )  # fmt: skip
        return out

    def _normed(self, rows: torch.Tensor, norm: Norm) -> torch.Tensor:
        """Rows (batch, features) normed, in their own dtype."""
        out = torch.empty_like(rows)
        gemm.normed_rows[(len(rows),)](
            rows, norm.weight, norm.bias, out, inputs=rows.shape[1], eps=norm.eps,
            norm=_kind(norm), has_beta=norm.bias is not None,
            COLUMNS=_power_of_two(rows.shape[1]), num_warps=8, **self._launch,
        )  # fmt: skip
        return out

    def _of_row(
        self,
        product: Projection,
        packed: Packed,
        row: torch.Tensor,
        norm: Norm | None,
        activation: Activation | None,
        residual: torch.Tensor | None,
    ) -> torch.Tensor:
        """A product of one row, with all that stands before and after it."""
        features = product.features // (2 if product.gated else 1)
        inputs = row.shape[1]
        folded = self._fold(product, norm)
        out = row.new_empty(1, features)
        blocks = _blocks(packed, features, inputs, product.gated)
        number = min(-(-features // blocks.rows), blocks.most)
        gamma = None if norm is None else norm.weight
        shared = dict(
            features=features, inputs=inputs, eps=0.0 if norm is None else norm.eps,
            norm=_kind(norm), activation=activation or "", gated=product.gated,
            has_bias=folded.bias is not None, has_residual=residual is not None,
            ROWS=blocks.rows, COLUMNS=blocks.columns, BLOCKS=number,
            TURNS=-(-features // (blocks.rows * number)), num_warps=blocks.warps, **self._launch,
        )  # fmt: skip
        if isinstance(packed, FourBit):
            gemv.product_of_codes[(number,)](
                row, packed.words.view(torch.int32), folded.scale, folded.zero, folded.sums,
                folded.bias, gamma, residual, out, group=packed.group,
                has_zero=packed.zero is not None, ASM=self._assembly, **shared,
            )  # fmt: skip
            return out
        weight = packed.weight if isinstance(packed, Dense) else packed.codes
        scale = None if isinstance(packed, Dense) else packed.scale
        gemv.product[(number,)](
            row, weight, scale, folded.sums, folded.bias, gamma, residual, out,
            kind=(activations.DENSE if scale is None else activations.EIGHT_BIT).value, **shared,
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
        parts = pairs * splits * padded_group
        partial, stats, arrived = self._buffers(
            "attention", keys.device, pairs, parts * padded_size, 2 * parts
        )
        out = qkv.new_empty(batch, heads.heads * size)
        attention.attention[(pairs, splits)](
            qkv, memory.cos, memory.sin, memory.place, memory.start, keys, values,
            partial, stats, arrived, out,
            qkv.stride(0), keys.stride(0), keys.stride(1),
            q_first=heads.query[0], q_stride=heads.query[1],
            k_first=heads.key[0], k_stride=heads.key[1],
            v_first=heads.value[0], v_stride=heads.value[1],
            kv_heads=kv_heads, group=group, size=size, rotary=heads.rotary,
            scaling=heads.scaling, splits=splits, steps=-(-places // (_PLACES * splits)),
            GROUP=padded_group, SIZE=padded_size, PLACES=_PLACES, num_warps=4, num_stages=2,
            **self._launch,
        )  # fmt: skip
        return out

    def _buffers(
        self, name: str, device: torch.device, counters: int, *elements: int
    ) -> tuple[torch.Tensor, ...]:
        """Float32 buffers, and counters at zero, that blocks leave their parts in.

        Kernels run one after the other, so that all of the same shape take turns with them.
        """
        key = (name, counters, *elements)
        if key not in self._scratch:
            self._scratch[key] = (
                *(torch.empty(count, dtype=torch.float32, device=device) for count in elements),
                torch.zeros(counters, dtype=torch.int32, device=device),
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
            scale = zero = None
            if isinstance(product.packed, FourBit):
                scale = product.packed.scale.T.contiguous()
                zero = None if product.packed.zero is None else product.packed.zero.T.contiguous()
            self._folded[key] = _Folded(sums, bias, scale, zero)
        return self._folded[key]


def _kind(norm: Norm | None) -> int:
    if norm is None:
        return int(activations.NO_NORM.value)
    return int(activations.RMS_NORM.value if norm.rms else activations.LAYER_NORM.value)


def _contents(packed: Packed | None) -> tuple[Any, ...]:
    """(weights or codes, scale, zero, kind, group) of a product."""
    if isinstance(packed, FourBit):
        return packed.words, packed.scale, packed.zero, activations.FOUR_BIT.value, packed.group
    if isinstance(packed, EightBit):
        return packed.codes, packed.scale, None, activations.EIGHT_BIT.value, 0
    assert packed is not None
    return packed.weight, None, None, activations.DENSE.value, 0


def _blocks(packed: Packed, features: int, inputs: int, gated: bool) -> Blocks:
    """How one row's product is shared out: what was fastest on an H200."""
    if isinstance(packed, FourBit):
        return Blocks(4 if gated else 8, min(512, _power_of_two(inputs // 8)), 4, 10**6)
    most = 528 if isinstance(packed, Dense) else 10**6
    # The longer the row, the more registers the input takes, and the fewer are left for outputs.
    rows = 4 if inputs <= 4096 else 2 if inputs <= 12288 else 1
    rows = max(1, rows // 2) if gated else rows
    return Blocks(rows, min(1024, _power_of_two(inputs)), 4, most)


def _row_blocks(
    packed: Packed | None, batch: int, inputs: int, features: int, dtype: torch.dtype
) -> RowBlocks | None:
    """How a product of few rows is shared out: what was fastest on an H200. None: not at all."""
    if packed is None or dtype not in (torch.bfloat16, torch.float16):
        return None
    if batch > (_MOST_ROWS if isinstance(packed, Dense) else _MOST_ROWS_OF_CODES):
        return None
    columns = next((size for size in (128, 64, 32, 16) if inputs % size == 0), 0)
    if isinstance(packed, FourBit):
        columns = packed.group
    if columns == 0 or inputs % columns:
        return None
    if isinstance(packed, FourBit) and packed.group < _LEAST_GROUP:
        return None
    wide, deep = features >= 8192, inputs > 8192
    four_bit = isinstance(packed, FourBit)
    # One row has kernels of its own: faster, but for large products of codes.
    if batch == 1 and not (deep and not isinstance(packed, Dense)) and not (wide and four_bit):
        return None
    tiles = inputs // columns
    wanted = 8 if deep else 4 if not wide or four_bit else 1 if isinstance(packed, Dense) else 2
    splits = max(count for count in range(1, wanted + 1) if tiles % count == 0)
    if four_bit and batch == 1:
        return RowBlocks(*((32, columns, splits, 2, 6) if wide else (16, columns, splits, 1, 6)))
    return RowBlocks(*((64, columns, splits, 4, 5) if wide else (32, columns, splits, 2, 5)))


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


def kernels_for(device: Any) -> Operations:
    """The fastest operations that there are on a device."""
    early = torch.cuda.get_device_capability(device) >= (9, 0)
    return Kernels(early, assembly=True)
