"""Linear layers (GEMV, GEMM of few rows) and attention of a decode step by Triton kernels.

Launch configurations were chosen by benchmarks/matmul_kernels.py.
"""

from dataclasses import dataclass
from typing import Any

import torch

from codewatt.generate.static.dense_decoder import Activation, HeadLayout, Norm
from codewatt.generate.static.kernels import activations, attention, gemm, gemv
from codewatt.generate.static.linear_layers import (
    DenseWeight,
    FusedLinear,
    KernelWeight,
    PackedInt4Weight,
)
from codewatt.generate.static.torch_ops import CachePositions, TorchOps, apply_epilogue
from codewatt.models.torchao_weights import EightBitWeight

#: Cache positions that a block of the attention kernel reads at a time.
_ATTENTION_POSITIONS = 64
#: Rows up to which our GEMM is used, for dense and quantised weights; above, the library's is.
_MAX_ROWS_DENSE, _MAX_ROWS_QUANTISED = 16, 64
#: Tensor cores take sixteen inputs at a time: one nibble of a group's int16 must hold as many.
_MIN_GROUP_SIZE = 64
#: Lines of 128 bytes that a block of the GEMM prefetches of each row of weights.
_PREFETCH_LINES = 8
#: Blocks of the attention kernel that fill a GPU; more splits only add work to combine them.
_ATTENTION_BLOCKS = 256


@dataclass(frozen=True)
class _FoldedNorm:
    """What a GEMV needs of the norm before it (see kernels/gemv.py), and int4 scales by output.

    Attributes:
        sums: float32 (out,), W g; None without a LayerNorm.
        bias: float32 (out,), W b plus the layer's bias; None without either.
        scales, zeros: of 4-bit weights, (out, groups): the layout that the GEMV reads.
    """

    sums: torch.Tensor | None
    bias: torch.Tensor | None
    scales: torch.Tensor | None = None
    zeros: torch.Tensor | None = None


@dataclass(frozen=True)
class GemvConfig:
    """Launch configuration of a GEMV.

    Attributes:
        rows: outputs that a block computes at a time.
        columns: inputs of a tile; of 4-bit weights, int32 words.
        warps: of a block.
        max_blocks: with more outputs than these blocks hold, each block takes several turns.
    """

    rows: int
    columns: int
    warps: int
    max_blocks: int


@dataclass(frozen=True)
class GemmConfig:
    """Launch configuration of a GEMM of few rows.

    Attributes:
        rows: outputs of a block.
        columns: inputs of a tile; of 4-bit weights, the group size.
        splits: blocks that share the inputs of an output (split-K).
        warps: of a block.
        stages: tiles that are loaded ahead (software pipelining).
    """

    rows: int
    columns: int
    splits: int
    warps: int
    stages: int


class TritonOps(TorchOps):
    """`TorchOps` by Triton kernels where there is one, else by torch's functions.

    Args:
        dependent_launch: start a kernel while the previous one still runs (programmatic dependent
            launch; needs compute capability 9.0).
        assembly: kernels may use PTX instructions, which Triton's interpreter cannot run.
    """

    def __init__(self, dependent_launch: bool = False, assembly: bool = False) -> None:
        self._assembly = assembly
        self._launch: dict[str, Any] = {
            "PDL": dependent_launch,
            **({"launch_pdl": True} if dependent_launch else {}),
        }
        self._folded: dict[tuple[int, int], _FoldedNorm] = {}
        self._scratch: dict[tuple[Any, ...], tuple[torch.Tensor, ...]] = {}

    def linear(
        self,
        linear: FusedLinear,
        x: torch.Tensor,
        *,
        norm: Norm | None = None,
        activation: Activation | None = None,
        residual: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See `TorchOps.linear`."""
        weight = linear.weight
        batch, inputs = x.shape
        config = gemm_config(weight, batch, inputs, linear.out_features, x.dtype)
        if weight is not None and config is not None:
            normed = x if norm is None else self._norm(x, norm)
            if not linear.gated:
                return self._gemm(linear, normed, config, activation, residual)
            y = self._gemm(linear, normed, config, None, None)
            return apply_epilogue(y, linear.gated, activation, residual)
        if weight is not None and len(x) == 1:
            return self._gemv(linear, weight, x, norm, activation, residual)
        normed = x if norm is None else self._norm(x, norm)
        return super().linear(linear, normed, activation=activation, residual=residual)

    def _gemm(
        self,
        linear: FusedLinear,
        x: torch.Tensor,
        config: GemmConfig,
        activation: Activation | None,
        residual: torch.Tensor | None,
    ) -> torch.Tensor:
        """activation(linear(x)) + residual for few rows; the kernel applies no gate."""
        features = linear.out_features
        batch, inputs = x.shape
        out = x.new_empty(batch, features)
        padded_batch = max(8, _power_of_two(batch))
        blocks = -(-features // config.rows)
        partial, arrived = None, None
        if config.splits > 1:
            elements = blocks * config.splits * config.rows * padded_batch
            partial, arrived = self._buffers("gemm", x.device, blocks, elements)
        w, scales, zeros, kind, group_size = _kernel_arguments(linear.weight)
        row_bytes = w.shape[1] * w.element_size() // config.splits
        gemm.gemm[(blocks, config.splits)](
            x, w, scales, zeros, linear.bias, residual, out, partial, arrived,
            features=features, inputs=inputs, batch=batch, kind=kind, group=group_size,
            activation=activation or "", has_bias=linear.bias is not None,
            has_residual=residual is not None, has_zero=zeros is not None, ROWS=config.rows,
            COLUMNS=config.columns, BATCH=padded_batch, SPLITS=config.splits, STAGES=config.stages,
            num_warps=config.warps,
            GROUPS=_power_of_two(inputs // config.columns // config.splits),
            LINES=min(_PREFETCH_LINES, 1 << (max(row_bytes // 128, 1).bit_length() - 1)),
            ASM=self._assembly and x.dtype == torch.bfloat16, **self._launch,
        )  # fmt: skip
        return out

    def _norm(self, x: torch.Tensor, norm: Norm) -> torch.Tensor:
        """The norm of x (batch, features), in the dtype of x."""
        out = torch.empty_like(x)
        gemm.norm_rows[(len(x),)](
            x, norm.weight, norm.bias, out, inputs=x.shape[1], eps=norm.eps,
            norm=_norm_kind(norm), has_beta=norm.bias is not None,
            COLUMNS=_power_of_two(x.shape[1]), num_warps=8, **self._launch,
        )  # fmt: skip
        return out

    def _gemv(
        self,
        linear: FusedLinear,
        weight: KernelWeight,
        x: torch.Tensor,
        norm: Norm | None,
        activation: Activation | None,
        residual: torch.Tensor | None,
    ) -> torch.Tensor:
        """The linear layer of one row, fused with norm, activation, gate and residual."""
        features = linear.out_features // (2 if linear.gated else 1)
        inputs = x.shape[1]
        folded = self._fold_norm(linear, norm)
        out = x.new_empty(1, features)
        config = gemv_config(weight, features, inputs, linear.gated)
        blocks = min(-(-features // config.rows), config.max_blocks)
        gamma = None if norm is None else norm.weight
        shared = dict(
            features=features, inputs=inputs, eps=0.0 if norm is None else norm.eps,
            norm=_norm_kind(norm), activation=activation or "", gated=linear.gated,
            has_bias=folded.bias is not None, has_residual=residual is not None,
            ROWS=config.rows, COLUMNS=config.columns, BLOCKS=blocks,
            TURNS=-(-features // (config.rows * blocks)), num_warps=config.warps, **self._launch,
        )  # fmt: skip
        if isinstance(weight, PackedInt4Weight):
            gemv.gemv_int4[(blocks,)](
                x, weight.qweight.view(torch.int32), folded.scales, folded.zeros, folded.sums,
                folded.bias, gamma, residual, out, group=weight.group_size,
                has_zero=weight.zeros is not None, ASM=self._assembly, **shared,
            )  # fmt: skip
            return out
        dense = isinstance(weight, DenseWeight)
        w, scales, *_ = _kernel_arguments(weight)
        gemv.gemv[(blocks,)](
            x, w, scales, folded.sums, folded.bias, gamma, residual, out,
            kind=(activations.DENSE if dense else activations.EIGHT_BIT).value, **shared,
        )  # fmt: skip
        return out

    def attention(
        self,
        qkv: torch.Tensor,
        heads: HeadLayout,
        positions: CachePositions,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:
        """See `TorchOps.attention`."""
        batch, kv_heads, cache_length, size = keys.shape
        pairs = batch * kv_heads
        splits = max(1, min(-(-cache_length // _ATTENTION_POSITIONS), _ATTENTION_BLOCKS // pairs))
        group = heads.heads // kv_heads
        padded_group = max(16, _power_of_two(group))
        padded_size = max(16, _power_of_two(size))
        parts = pairs * splits * padded_group
        partial, stats, arrived = self._buffers(
            "attention", keys.device, pairs, parts * padded_size, 2 * parts
        )
        out = qkv.new_empty(batch, heads.heads * size)
        attention.attention[(pairs, splits)](
            qkv, positions.cos, positions.sin, positions.input_pos, positions.start_pos,
            keys, values, partial, stats, arrived, out,
            qkv.stride(0), keys.stride(0), keys.stride(1),
            q_first=heads.query[0], q_stride=heads.query[1],
            k_first=heads.key[0], k_stride=heads.key[1],
            v_first=heads.value[0], v_stride=heads.value[1],
            kv_heads=kv_heads, group=group, size=size, rotary=heads.rotary,
            scaling=heads.scaling, splits=splits,
            steps=-(-cache_length // (_ATTENTION_POSITIONS * splits)),
            GROUP=padded_group, SIZE=padded_size, POSITIONS=_ATTENTION_POSITIONS,
            num_warps=4, num_stages=2, **self._launch,
        )  # fmt: skip
        return out

    def _buffers(
        self, name: str, device: torch.device, counters: int, *elements: int
    ) -> tuple[torch.Tensor, ...]:
        """Float32 buffers for partial results of blocks, and int32 counters at zero.

        Kernels run one after the other, so that all launches of the same shape share them.
        """
        key = (name, counters, *elements)
        if key not in self._scratch:
            self._scratch[key] = (
                *(torch.empty(count, dtype=torch.float32, device=device) for count in elements),
                torch.zeros(counters, dtype=torch.int32, device=device),
            )
        return self._scratch[key]

    def _fold_norm(self, linear: FusedLinear, norm: Norm | None) -> _FoldedNorm:
        """See `_FoldedNorm`; computed once for each pair of layer and norm."""
        key = (id(linear), id(norm))
        if key not in self._folded:
            bias = None if linear.bias is None else linear.bias.float()
            sums = None
            if norm is not None and not norm.rms and linear.weight is not None:
                weight = linear.weight.dequantise()
                sums = weight @ norm.weight.float()
                if norm.bias is not None:
                    shift = weight @ norm.bias.float()
                    bias = shift if bias is None else bias + shift
            scales = zeros = None
            if isinstance(linear.weight, PackedInt4Weight):
                scales = linear.weight.scales.T.contiguous()
                zeros = None if linear.weight.zeros is None else linear.weight.zeros.T.contiguous()
            self._folded[key] = _FoldedNorm(sums, bias, scales, zeros)
        return self._folded[key]


def _norm_kind(norm: Norm | None) -> int:
    if norm is None:
        return int(activations.NO_NORM.value)
    return int(activations.RMS_NORM.value if norm.rms else activations.LAYER_NORM.value)


def _kernel_arguments(weight: KernelWeight | None) -> tuple[Any, ...]:
    """(weights, scales, zeros, kind, group size) as the GEMM kernel takes them."""
    if isinstance(weight, PackedInt4Weight):
        kind = activations.FOUR_BIT.value
        return weight.qweight, weight.scales, weight.zeros, kind, weight.group_size
    if isinstance(weight, EightBitWeight):
        return weight.quantised, weight.scales, None, activations.EIGHT_BIT.value, 0
    assert weight is not None
    return weight.weight, None, None, activations.DENSE.value, 0


def gemv_config(weight: KernelWeight, features: int, inputs: int, gated: bool) -> GemvConfig:
    """The launch configuration of a GEMV that was fastest on an H200.

    Args:
        features: outputs; if gated, of one half.
    """
    if isinstance(weight, PackedInt4Weight):
        return GemvConfig(4 if gated else 8, min(512, _power_of_two(inputs // 8)), 4, 10**6)
    max_blocks = 528 if isinstance(weight, DenseWeight) else 10**6
    # The longer the row, the more registers the input takes, and the fewer are left for outputs.
    rows = 4 if inputs <= 4096 else 2 if inputs <= 12288 else 1
    rows = max(1, rows // 2) if gated else rows
    return GemvConfig(rows, min(1024, _power_of_two(inputs)), 4, max_blocks)


def gemm_config(
    weight: KernelWeight | None, batch: int, inputs: int, features: int, dtype: torch.dtype
) -> GemmConfig | None:
    """The launch configuration of a GEMM of few rows that was fastest on an H200.

    Args:
        batch: rows.
        features: outputs, both halves if gated.
        dtype: of the rows.

    Returns:
        None where our GEMM cannot run or is slower than the library's GEMM or our GEMV.
    """
    if weight is None or dtype not in (torch.bfloat16, torch.float16):
        return None
    dense, int4 = isinstance(weight, DenseWeight), isinstance(weight, PackedInt4Weight)
    if batch > (_MAX_ROWS_DENSE if dense else _MAX_ROWS_QUANTISED):
        return None
    columns = next((size for size in (128, 64, 32, 16) if inputs % size == 0), 0)
    if isinstance(weight, PackedInt4Weight):
        columns = weight.group_size
    if columns == 0 or inputs % columns:
        return None
    if isinstance(weight, PackedInt4Weight) and weight.group_size < _MIN_GROUP_SIZE:
        return None
    wide, deep = features >= 8192, inputs > 8192
    # For one row the GEMV is faster, except for large layers of quantised weights.
    if batch == 1 and not (deep and not dense) and not (wide and int4):
        return None
    tiles = inputs // columns
    max_splits = 8 if deep else 4 if not wide or int4 else 1 if dense else 2
    splits = max(count for count in range(1, max_splits + 1) if tiles % count == 0)
    if int4 and batch == 1:
        return GemmConfig(*((32, columns, splits, 2, 6) if wide else (16, columns, splits, 1, 6)))
    return GemmConfig(*((64, columns, splits, 4, 5) if wide else (32, columns, splits, 2, 5)))


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


def triton_ops_for(device: Any) -> TritonOps:
    """`TritonOps` with the features of a GPU's compute capability."""
    dependent_launch = torch.cuda.get_device_capability(device) >= (9, 0)
    return TritonOps(dependent_launch, assembly=True)
