"""Quantised weights as plain integers, scales and zeros, whatever layout torchao packs them in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codewatt.errors import CodewattError

INT4_MIDPOINT = 8  # tinygemm's 0..15 stand for -8..7
#: Rows of the identity that a kernel multiplies at a time: bounds the memory of unpacking.
_IDENTITY_ROWS = 1024
_WEIGHT_CLASSES = ("Int8Tensor", "Float8Tensor", "Int4OpaqueTensor", "Int4TilePackedTo4dTensor")


@dataclass(frozen=True)
class EightBitWeight:
    """weight[o, i] = quantised[o, i] * scales[o].

    Attributes:
        quantised: int8 or float8_e4m3fn (out, in), on the layer's device.
        scales: float32 (out,), on the layer's device.
    """

    quantised: Any
    scales: Any

    def dequantise(self) -> Any:
        """The weight as float32 (out, in)."""
        return self.quantised.float() * self.scales.float()[:, None]


@dataclass(frozen=True)
class Int4Weight:
    """weight[o, i] = (quantised[o, i] - 8) * scales[o, g] + zeros[o, g], g = i // group_size.

    This is the form of torch's tinygemm kernels: zeros are added after scaling, in units of
    weights. An integer zero point z as GPTQ has it is zeros = (8 - z) * scales. Nothing is rounded
    in unpacking.

    Attributes:
        quantised: uint8 (out, in), 0 to 15, one value per byte, without padding.
        scales: (out, in / group_size), in the layer's dtype (torchao on a GPU: bfloat16).
        zeros: as scales; None if all are 0.
        group_size: inputs that share a scale.
    """

    quantised: Any
    scales: Any
    zeros: Any | None
    group_size: int

    def dequantise(self) -> Any:
        """The weight as float32 (out, in)."""
        scales = self.scales.float().repeat_interleave(self.group_size, dim=1)
        weight = (self.quantised.float() - INT4_MIDPOINT) * scales
        if self.zeros is None:
            return weight
        return weight + self.zeros.float().repeat_interleave(self.group_size, dim=1)


def unpack(linear: Any) -> EightBitWeight | Int4Weight:
    """Unpack the weight of a linear layer that torchao quantised; the bias stays in the layer.

    Runs on the layer's device: int4 is read through that device's kernel. 8-bit tensors share the
    layer's memory, int4 tensors are copies.

    Args:
        linear: an nn.Linear with one of the weights that `codewatt.quantise.torchao` makes.

    Raises:
        CodewattError: the layer is not quantised, or its layout is not one of those.
    """
    import torch

    weight = linear.weight
    weight_class = type(weight).__name__
    if weight_class not in _WEIGHT_CLASSES:
        raise CodewattError(
            f"torchao: cannot unpack a weight of class {weight_class}; allowed: "
            f"{', '.join(_WEIGHT_CLASSES)}"
        )
    for name in ("act_pre_scale", "act_quant_kwargs", "act_mapping_type"):
        if getattr(weight, name, None) is not None:
            raise CodewattError(
                f"torchao: cannot unpack a weight with {name}; allowed: weight-only quantisation"
            )
    out_features, in_features = weight.shape
    if weight_class in ("Int8Tensor", "Float8Tensor"):
        zero_point = getattr(weight, "zero_point", None)
        asymmetric = zero_point is not None and bool(zero_point.any())
        if weight.scale.numel() != out_features or asymmetric:
            raise CodewattError(
                f"torchao: cannot unpack 8-bit weights with {weight.scale.numel()} scales for "
                f"{out_features} outputs{' and zero points' if asymmetric else ''}; allowed: one "
                "scale per output and no zero points"
            )
        return EightBitWeight(weight.qdata, weight.scale.flatten())

    group_size = weight.block_size[-1]
    packed, scale_and_zero = weight.qdata, weight.scale_and_zero
    if weight_class == "Int4OpaqueTensor":
        kernel, dtype = torch.ops.aten._weight_int4pack_mm_for_cpu, torch.float32
    else:
        kernel, dtype = torch.ops.aten._weight_int4pack_mm, torch.bfloat16
    # scale_and_zero is (padded in / group_size, out, 2).
    padded_in = scale_and_zero.shape[0] * group_size
    unit = torch.zeros(scale_and_zero.shape, dtype=dtype, device=packed.device)
    unit[..., 0] = 1  # scale 1 and zero 0: the kernel then multiplies by quantised - 8

    def matmul(rows: Any) -> Any:
        return kernel(rows, packed, group_size, unit)

    quantised = unpack_by_matmul(matmul, padded_in, dtype, packed.device)
    groups = in_features // group_size
    scales, zeros = scale_and_zero[:groups, :out_features].permute(2, 1, 0).contiguous()
    return Int4Weight(
        quantised[:out_features, :in_features].contiguous(), scales, zeros, group_size
    )


def unpack_by_matmul(
    matmul: Callable[[Any], Any], in_features: int, dtype: Any, device: Any
) -> Any:
    """Unpack 4-bit weights through a kernel that multiplies by them.

    torch does not document the packed layouts, and they differ between processors; it documents
    what the kernels multiply by. Products with rows of the identity are exact in all of torch's
    float types.

    Args:
        matmul: maps rows (n, in) to rows @ (quantised - 8).T, (n, out).
        in_features: columns of the matrix, padding included.
        dtype: of the rows that `matmul` takes.
        device: of the rows that `matmul` takes.

    Returns:
        uint8 (out, in), 0 to 15.

    Raises:
        CodewattError: a product is not an integer from -8 to 7.
    """
    import torch

    columns = []
    for first in range(0, in_features, _IDENTITY_ROWS):
        last = min(first + _IDENTITY_ROWS, in_features)
        rows = torch.zeros(last - first, in_features, dtype=dtype, device=device)
        rows[torch.arange(last - first), torch.arange(first, last)] = 1
        columns.append(matmul(rows).T + INT4_MIDPOINT)
    values = torch.cat(columns, dim=1)
    quantised = values.to(torch.uint8)
    if not torch.equal(quantised.to(values.dtype), values) or int(quantised.max()) > 15:
        raise CodewattError(
            "int4 kernel: its products with the identity are not integers from -8 to 7, so its "
            "packed layout is not the one that torch documents; use another torch version"
        )
    return quantised
