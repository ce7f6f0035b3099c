"""Quantised weights as plain integers and scales, whatever layout torchao packed them in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codewatt.errors import CodewattError

INT4_MIDPOINT = 8  # tinygemm's codes 0..15 stand for -8..7
_PROBED_ROWS = 1024  # of the identity at a time: bounds the memory that unpacking takes


@dataclass(frozen=True)
class EightBitWeight:
    """weight[o, i] = codes[o, i] * scales[o].

    codes: int8 or float8_e4m3fn (out, in); scales: float32 (out,). Both on the layer's device.
    """

    codes: Any
    scales: Any

    def dequantise(self) -> Any:
        """The weight, float32 (out, in)."""
        return self.codes.float() * self.scales.float()[:, None]


@dataclass(frozen=True)
class Int4Weight:
    """weight[o, i] = (codes[o, i] - 8) * scales[o, g] + offsets[o, g], with g = i // group_size.

    That is tinygemm's own form: offsets are what the kernels add, in weights' units, not in codes'.
    Nothing is rounded on the way here. `zero_points` has the other usual form.

    codes: uint8 (out, in), 0..15, one a byte; scales and offsets: (out, in / group_size), as the
    layer has them (torchao's in bfloat16 on a GPU); offsets None where all are 0. All on the
    layer's device, without padding.
    """

    codes: Any
    scales: Any
    offsets: Any | None
    group_size: int

    @property
    def zero_points(self) -> Any:
        """float32 (out, groups): weight = (codes - zero_points) * scales, but for rounding.

        Raises:
            CodewattError: a group of equal weights has a scale too small for that form.
        """
        offsets = self.scales.new_zeros(()) if self.offsets is None else self.offsets
        zeros = INT4_MIDPOINT - offsets.float() / self.scales.float()
        if not bool(zeros.isfinite().all()):
            raise CodewattError("a group of equal weights has no finite zero point: use offsets")
        return zeros

    def dequantise(self) -> Any:
        """The weight, float32 (out, in)."""
        scales = self.scales.float().repeat_interleave(self.group_size, dim=1)
        weight = (self.codes.float() - INT4_MIDPOINT) * scales
        if self.offsets is None:
            return weight
        return weight + self.offsets.float().repeat_interleave(self.group_size, dim=1)


def unpack(linear: Any) -> EightBitWeight | Int4Weight:
    """The plain content of a linear layer that torchao quantised (a bias stays where it is).

    Works where the layer runs: int4 is read through the device's own kernel. 8-bit tensors are the
    layer's own memory, int4's are copies.

    Args:
        linear: an nn.Linear with one of the weights that `codewatt.quantise.torchao` makes.

    Raises:
        CodewattError: the layer is not quantised, or in a way that is not one of those.
    """
    import torch

    weight = linear.weight
    kind = type(weight).__name__
    if kind not in ("Int8Tensor", "Float8Tensor", "Int4OpaqueTensor", "Int4TilePackedTo4dTensor"):
        raise CodewattError(f"a weight of type {kind} is not one that torchao's method makes")
    for name in ("act_pre_scale", "act_quant_kwargs", "act_mapping_type"):
        if getattr(weight, name, None) is not None:
            raise CodewattError(f"a weight with {name} is not weight-only")
    out_features, in_features = weight.shape
    if kind in ("Int8Tensor", "Float8Tensor"):
        zero_point = getattr(weight, "zero_point", None)
        shifted = zero_point is not None and bool(zero_point.any())
        if weight.scale.numel() != out_features or shifted:
            raise CodewattError("8-bit weights are not symmetric per output channel")
        return EightBitWeight(weight.qdata, weight.scale.flatten())

    group_size = weight.block_size[-1]
    packed, scale_and_zero = weight.qdata, weight.scale_and_zero
    if kind == "Int4OpaqueTensor":
        kernel, dtype = torch.ops.aten._weight_int4pack_mm_for_cpu, torch.float32
    else:
        kernel, dtype = torch.ops.aten._weight_int4pack_mm, torch.bfloat16
    # The padded shape stands in the scales': (in / group_size, out, 2).
    padded_in = scale_and_zero.shape[0] * group_size
    unit = torch.zeros(scale_and_zero.shape, dtype=dtype, device=packed.device)
    unit[..., 0] = 1  # scale 1 and offset 0: the kernel then multiplies by codes - 8

    def product(rows: Any) -> Any:
        return kernel(rows, packed, group_size, unit)

    codes = codes_by_product(product, padded_in, dtype, packed.device)
    groups = in_features // group_size
    scales, offsets = scale_and_zero[:groups, :out_features].permute(2, 1, 0).contiguous()
    return Int4Weight(codes[:out_features, :in_features].contiguous(), scales, offsets, group_size)


def codes_by_product(
    product: Callable[[Any], Any], in_features: int, dtype: Any, device: Any
) -> Any:
    """Codes 0..15 of a packed matrix of which only a product with it is to be had.

    The packings are the kernels' own business and differ between processors; what they multiply by
    is documented. Products with rows of the identity are exact in any of torch's float types.

    Args:
        product: maps rows (n, in) to rows @ (codes - 8).T, (n, out).
        in_features: columns of the matrix, padding included.
        dtype: of the rows that `product` takes.
        device: where it takes them.

    Returns:
        uint8 (out, in).

    Raises:
        CodewattError: a product is none of -8..7.
    """
    import torch

    columns = []
    for first in range(0, in_features, _PROBED_ROWS):
        last = min(first + _PROBED_ROWS, in_features)
        rows = torch.zeros(last - first, in_features, dtype=dtype, device=device)
        rows[torch.arange(last - first), torch.arange(first, last)] = 1
        columns.append(product(rows).T + INT4_MIDPOINT)
    values = torch.cat(columns, dim=1)
    codes = values.to(torch.uint8)
    if not torch.equal(codes.to(values.dtype), values) or int(codes.max()) > 15:
        raise CodewattError("the kernel's products are not 4-bit codes: its layout is another one")
    return codes
