"""Linear layers as the products of a step: joined where they read the same input.

Joining copies nothing for good: the layers' parameters become views of the joined tensor, so the
model itself goes on as before. A quantised layer whose content is known is kept in a form that a
kernel reads in long runs; any other is asked to compute itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from codewatt.models.packed_weights import is_packed, unpack_layer
from codewatt.models.torchao_layouts import lacks_fp8
from codewatt.models.torchao_weights import EightBitWeight, Int4Weight, unpack


@dataclass(frozen=True)
class Dense:
    """Weights as they are: (out, in)."""

    weight: torch.Tensor

    def dequantised(self) -> torch.Tensor:
        """Float32 (out, in)."""
        return self.weight.float()


@dataclass(frozen=True)
class EightBit:
    """weight = codes * scale: codes int8 or float8_e4m3fn (out, in), scale float32 (out,)."""

    codes: torch.Tensor
    scale: torch.Tensor

    def dequantised(self) -> torch.Tensor:
        """Float32 (out, in)."""
        return self.codes.float() * self.scale[:, None]


@dataclass(frozen=True)
class FourBit:
    """Groups of 4-bit codes: weight = (code - 8) * scale + zero.

    Attributes:
        words: int16 (out, in / 4), see `pack_words`.
        scale, zero: (in / group, out); zero None without one.
        group: inputs that share a scale.
    """

    words: torch.Tensor
    scale: torch.Tensor
    zero: torch.Tensor | None
    group: int

    def dequantised(self) -> torch.Tensor:
        """Float32 (out, in)."""
        codes = unpack_words(self.words, self.group)
        values = codes.float() - 8
        grouped = values.unflatten(1, (-1, self.group)) * self.scale.float().T[..., None]
        if self.zero is not None:
            grouped = grouped + self.zero.float().T[..., None]
        return grouped.flatten(1)


Packed = Dense | EightBit | FourBit


@dataclass(frozen=True)
class Projection:
    """Linear layers over one input, their outputs side by side.

    Attributes:
        modules: the layers.
        packed: their joined content, or None where only the layers know how to compute.
        bias: (out,), or None.
        gated: the outputs are a gate's and then as many to be gated.
    """

    modules: tuple[Any, ...]
    packed: Packed | None
    bias: torch.Tensor | None
    gated: bool

    @property
    def features(self) -> int:
        """Outputs, all layers together."""
        return sum(module.out_features for module in self.modules)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """(n, in) to (n, out), by the library's own products."""
        if isinstance(self.packed, Dense):
            return functional.linear(rows, self.packed.weight, self.bias)
        if len(self.modules) == 1:
            return self.modules[0](rows)  # type: ignore[no-any-return]
        return torch.cat([module(rows) for module in self.modules], dim=-1)


def projection(modules: Sequence[Any], gated: bool = False) -> Projection:
    """Join linear layers that read the same input."""
    packed = _joined([_content(module) for module in modules])
    biases = [module.bias for module in modules]
    joined = None
    if any(bias is not None for bias in biases):
        joined = torch.cat(
            [
                torch.zeros(module.out_features, dtype=biases[0].dtype, device=biases[0].device)
                if module.bias is None
                else module.bias.detach()
                for module in modules
            ]
        )
    if isinstance(packed, Dense) and len(modules) > 1:
        for module, rows in zip(
            modules, packed.weight.split([m.out_features for m in modules]), strict=True
        ):
            module.weight.data = rows
    return Projection(tuple(modules), packed, joined, gated)


def _content(module: Any) -> Packed | None:
    """What is in a linear layer, if it is of a kind that has a kernel here."""
    if type(module) is torch.nn.Linear and type(module.weight) is torch.nn.Parameter:
        return Dense(module.weight.detach())
    if is_packed(module):
        return _of_plain(unpack_layer(module))
    weight = getattr(module, "weight", None)
    if getattr(weight, "act_quant_kwargs", None) is not None:
        return None  # the layer quantises its input, too
    if type(weight).__module__.startswith("torchao."):
        return _of_plain(unpack(module))
    return None


def _of_plain(plain: EightBitWeight | Int4Weight | None) -> Packed | None:
    """Numbers and scales as kernels here read them; None where they cannot."""
    if plain is None:
        return None
    if isinstance(plain, EightBitWeight):
        if plain.codes.dtype == torch.float8_e4m3fn and _no_fp8(plain.codes.device):
            return None
        return EightBit(plain.codes, plain.scales.float())
    return FourBit(
        pack_words(plain.codes, plain.group_size),
        plain.scales.T.contiguous(),
        None if plain.offsets is None else plain.offsets.T.contiguous(),
        plain.group_size,
    )


def _no_fp8(device: torch.device) -> bool:
    """Whether kernels of a GPU cannot read fp8 numbers; torch's functions on a CPU can."""
    return device.type == "cuda" and lacks_fp8("cuda") is not None


def _joined(contents: list[Packed | None]) -> Packed | None:
    """Contents of the same kind, one under the other; None where they differ."""
    first = contents[0]
    if len(contents) == 1 or first is None:
        return first
    if any(type(content) is not type(first) for content in contents):
        return None
    if isinstance(first, Dense):
        return Dense(torch.cat([content.weight for content in contents]))  # type: ignore[union-attr]
    if isinstance(first, EightBit):
        return EightBit(
            torch.cat([content.codes for content in contents]),  # type: ignore[union-attr]
            torch.cat([content.scale for content in contents]),  # type: ignore[union-attr]
        )
    if any(content.group != first.group for content in contents):  # type: ignore[union-attr]
        return None
    zeros = [content.zero for content in contents]  # type: ignore[union-attr]
    if any((zero is None) != (first.zero is None) for zero in zeros):
        return None
    return FourBit(
        torch.cat([content.words for content in contents]),  # type: ignore[union-attr]
        torch.cat([content.scale for content in contents], dim=1),  # type: ignore[union-attr]
        None if first.zero is None else torch.cat(zeros, dim=1),
        first.group,
    )


def pack_words(codes: torch.Tensor, group: int) -> torch.Tensor:
    """4-bit codes (out, in), 0 to 15, as int16 words (out, in / 4).

    The words of a group stand together; nibble j of its word c is the group's element
    j * group / 4 + c, so that one nibble of consecutive words is consecutive inputs.
    """
    parts = codes.to(torch.int32).view(len(codes), -1, 4, group // 4)
    shifts = torch.arange(0, 16, 4, device=codes.device, dtype=torch.int32).view(1, 1, 4, 1)
    words = (parts << shifts).sum(dim=2, dtype=torch.int32).view(len(codes), -1)
    return torch.where(words >= 2**15, words - 2**16, words).to(torch.int16)


def unpack_words(words: torch.Tensor, group: int) -> torch.Tensor:
    """The inverse of `pack_words`: uint8 (out, in)."""
    shifts = torch.arange(0, 16, 4, device=words.device, dtype=torch.int32).view(1, 1, 4, 1)
    grouped = words.to(torch.int32).view(len(words), -1, 1, group // 4)
    return ((grouped >> shifts) & 15).to(torch.uint8).view(len(words), -1)
