"""Fused linear layers: layers that read the same input become one GEMV or GEMM.

Fusing copies no weights for good: the parameters of unquantised layers become views of the fused
tensor, so the model itself still works. Quantised layers are repacked into a layout that kernels
read in long runs; a layer of unknown layout computes itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from codewatt.models.packed_weights import is_packed, unpack_layer
from codewatt.models.torchao_layouts import fp8_refusal
from codewatt.models.torchao_weights import INT4_MIDPOINT, EightBitWeight, Int4Weight, unpack


@dataclass(frozen=True)
class DenseWeight:
    """Unquantised weights (out, in)."""

    weight: torch.Tensor

    def dequantise(self) -> torch.Tensor:
        """The weights as float32 (out, in)."""
        return self.weight.float()


@dataclass(frozen=True)
class PackedInt4Weight:
    """4-bit weights in groups: weight = (q - 8) * scale + zero, with q from 0 to 15.

    Attributes:
        qweight: packed q, int16 (out, in / 4); for the layout see `pack_int4`.
        scales, zeros: (in / group size, out); zeros are in units of weights, as tinygemm's; None if
            all are 0.
        group_size: inputs that share a scale.
    """

    qweight: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None
    group_size: int

    def dequantise(self) -> torch.Tensor:
        """The weights as float32 (out, in)."""
        values = unpack_int4(self.qweight, self.group_size).float() - INT4_MIDPOINT
        grouped = values.unflatten(1, (-1, self.group_size)) * self.scales.float().T[..., None]
        if self.zeros is not None:
            grouped = grouped + self.zeros.float().T[..., None]
        return grouped.flatten(1)


#: The weight layouts that kernels read.
KernelWeight = DenseWeight | EightBitWeight | PackedInt4Weight


@dataclass(frozen=True)
class FusedLinear:
    """Linear layers that read the same input, with their outputs side by side.

    Attributes:
        modules: the layers.
        weight: their fused weights; None if only the modules know how to compute.
        bias: (out,), or None.
        gated: the first half of the outputs is a gate, the second half is what it gates.
    """

    modules: tuple[Any, ...]
    weight: KernelWeight | None
    bias: torch.Tensor | None
    gated: bool

    @property
    def out_features(self) -> int:
        """Outputs of all layers together."""
        return sum(module.out_features for module in self.modules)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (n, out) for x (n, in), by the modules' own GEMM."""
        if isinstance(self.weight, DenseWeight):
            return functional.linear(x, self.weight.weight, self.bias)
        if len(self.modules) == 1:
            return self.modules[0](x)  # type: ignore[no-any-return]
        return torch.cat([module(x) for module in self.modules], dim=-1)


def fuse_linears(modules: Sequence[Any], gated: bool = False) -> FusedLinear:
    """Fuse linear layers that read the same input.

    The parameters of unquantised layers become views of the fused tensor.

    Args:
        modules: linear layers of a transformers model, quantised or not.
        gated: the modules are a gate projection and the projection that it gates.
    """
    weight = _concatenated([_kernel_weight(module) for module in modules])
    biases = [module.bias for module in modules]
    bias = None
    if any(part is not None for part in biases):
        bias = torch.cat(
            [
                torch.zeros(module.out_features, dtype=biases[0].dtype, device=biases[0].device)
                if module.bias is None
                else module.bias.detach()
                for module in modules
            ]
        )
    if isinstance(weight, DenseWeight) and len(modules) > 1:
        for module, rows in zip(
            modules, weight.weight.split([m.out_features for m in modules]), strict=True
        ):
            module.weight.data = rows
    return FusedLinear(tuple(modules), weight, bias, gated)


def _kernel_weight(module: Any) -> KernelWeight | None:
    """The weights of a linear layer in a kernel's layout; None if no kernel reads its kind."""
    if type(module) is torch.nn.Linear and type(module.weight) is torch.nn.Parameter:
        return DenseWeight(module.weight.detach())
    if is_packed(module):
        return _repacked(unpack_layer(module))
    weight = getattr(module, "weight", None)
    if getattr(weight, "act_quant_kwargs", None) is not None:
        return None  # the layer quantises its input, too
    if type(weight).__module__.startswith("torchao."):
        return _repacked(unpack(module))
    return None


def _repacked(weight: EightBitWeight | Int4Weight | None) -> KernelWeight | None:
    """Quantised weights in a kernel's layout; None if no kernel here reads them."""
    if weight is None:
        return None
    if isinstance(weight, EightBitWeight):
        if weight.quantised.dtype == torch.float8_e4m3fn and _no_fp8(weight.quantised.device):
            return None
        return EightBitWeight(weight.quantised, weight.scales.float())
    return PackedInt4Weight(
        pack_int4(weight.quantised, weight.group_size),
        weight.scales.T.contiguous(),
        None if weight.zeros is None else weight.zeros.T.contiguous(),
        weight.group_size,
    )


def _no_fp8(device: torch.device) -> bool:
    """Whether the GPU's kernels cannot read fp8; torch's functions on a CPU can."""
    return device.type == "cuda" and fp8_refusal("cuda") is not None


def _concatenated(weights: list[KernelWeight | None]) -> KernelWeight | None:
    """Weights of the same layout, concatenated by output; None if the layouts differ."""
    first = weights[0]
    if len(weights) == 1 or first is None:
        return first
    if any(type(weight) is not type(first) for weight in weights):
        return None
    if isinstance(first, DenseWeight):
        return DenseWeight(torch.cat([weight.weight for weight in weights]))  # type: ignore[union-attr]
    if isinstance(first, EightBitWeight):
        return EightBitWeight(
            torch.cat([weight.quantised for weight in weights]),  # type: ignore[union-attr]
            torch.cat([weight.scales for weight in weights]),  # type: ignore[union-attr]
        )
    if any(weight.group_size != first.group_size for weight in weights):  # type: ignore[union-attr]
        return None
    zeros = [weight.zeros for weight in weights]  # type: ignore[union-attr]
    if any((zero is None) != (first.zeros is None) for zero in zeros):
        return None
    return PackedInt4Weight(
        torch.cat([weight.qweight for weight in weights]),  # type: ignore[union-attr]
        torch.cat([weight.scales for weight in weights], dim=1),  # type: ignore[union-attr]
        None if first.zeros is None else torch.cat(zeros, dim=1),
        first.group_size,
    )


def pack_int4(quantised: torch.Tensor, group_size: int) -> torch.Tensor:
    """Pack four 4-bit values into each int16.

    The int16 of a group are adjacent; bits 4 * j to 4 * j + 3 of its int16 c hold the group's
    element j * group_size / 4 + c, so that one nibble of adjacent int16 is adjacent inputs.

    Args:
        quantised: integers (out, in), 0 to 15.
        group_size: inputs that share a scale.

    Returns:
        int16 (out, in / 4).
    """
    parts = quantised.to(torch.int32).view(len(quantised), -1, 4, group_size // 4)
    shifts = torch.arange(0, 16, 4, device=quantised.device, dtype=torch.int32).view(1, 1, 4, 1)
    packed = (parts << shifts).sum(dim=2, dtype=torch.int32).view(len(quantised), -1)
    return torch.where(packed >= 2**15, packed - 2**16, packed).to(torch.int16)


def unpack_int4(qweight: torch.Tensor, group_size: int) -> torch.Tensor:
    """The inverse of `pack_int4`: uint8 (out, in)."""
    shifts = torch.arange(0, 16, 4, device=qweight.device, dtype=torch.int32).view(1, 1, 4, 1)
    grouped = qweight.to(torch.int32).view(len(qweight), -1, 1, group_size // 4)
    return ((grouped >> shifts) & 15).to(torch.uint8).view(len(qweight), -1)
