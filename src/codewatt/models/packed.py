"""Checkpoints in the packed formats of GPTQ and AWQ, as their headers say: no tensor is read.

GPTQ (AutoGPTQ's format, and GPTQModel's second): of each layer `qweight` int32 (in * bits / 32,
out), `scales` (groups, out), `qzeros` int32 (groups, out * bits / 32) and `g_idx` int32 (in,), the
group of each input. AWQ (AutoAWQ's version 'gemm'): `qweight` int32 (in, out / 8), `scales`
(groups, out), `qzeros` int32 (groups, out / 8), the codes of eight outputs in one word.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.models.weights import PACKED_TENSORS, headers_of

METHODS = ("gptq", "awq")
_BITS = {"gptq": (4, 8), "awq": (4,)}
_FORMATS = {"gptq": ("gptq", "gptq_v2"), "awq": ("gemm",)}
_TENSORS = {"gptq": PACKED_TENSORS, "awq": PACKED_TENSORS[:-1]}
_WORD_BITS = 32
_ACTIVATION_SCALES = ".act.scales"


@dataclass(frozen=True)
class PackedFormat:
    """How a checkpoint's layers are packed.

    Attributes:
        bits: of a code.
        group_size: inputs that share a scale; -1 for all.
        act_order: groups follow the order of the activations (GPTQ only).
        symmetric: zero points are all in the middle of the codes.
        layout: 'gptq', 'gptq_v2' or 'gemm', GPTQModel's names for the formats.
    """

    method: Literal["gptq", "awq"]
    bits: int
    group_size: int
    act_order: bool
    symmetric: bool
    layout: str

    @property
    def zeros_less_one(self) -> bool:
        """Whether zero points are stored less one: in GPTQ's first format."""
        return self.layout == "gptq"

    @property
    def plain(self) -> bool:
        """Whether a layer is codes with scales and no more: `codewatt.models.packed_content`."""
        return not self.act_order and (self.bits == 4 or self.group_size == -1)


@dataclass(frozen=True)
class PackedLayer:
    """One packed layer: inputs, outputs, groups of inputs, whether it has a bias, bytes."""

    in_features: int
    out_features: int
    groups: int
    bias: bool
    size_bytes: int


def packed_format(configuration: Mapping[str, Any]) -> PackedFormat | None:
    """What a config.json says of how its model is packed; None if not by GPTQ or AWQ.

    Raises:
        CodewattError: it is packed in a way that is not read here.
    """
    said = configuration.get("quantization_config") or {}
    method = said.get("quant_method")
    if method not in METHODS:
        return None
    bits, group_size = said.get("bits"), said.get("group_size")
    if bits not in _BITS[method]:
        raise _refusal(method, "bits", bits, _BITS[method])
    if not isinstance(group_size, int) or (
        group_size != -1 and (group_size < 1 or group_size % 16)
    ):
        raise _refusal(method, "group_size", group_size, ("-1", "multiples of 16"))
    layout = _layout(said)
    if layout not in _FORMATS[method]:
        raise _refusal(method, "format", layout, _FORMATS[method])
    if said.get("lm_head"):
        raise _refusal(method, "lm_head", True, (False,))
    symmetric = (
        bool(said.get("sym", True)) if method == "gptq" else not said.get("zero_point", True)
    )
    if layout == "gptq" and not symmetric:
        # Less one, a zero point of 0 borrows from its neighbour: libraries differ on what it means.
        raise _refusal(method, "sym", "false in format 'gptq'", ("true, or format 'gptq_v2'",))
    return PackedFormat(
        method,
        bits,
        group_size,
        bool(said.get("desc_act", False)) and method == "gptq",
        symmetric,
        layout,
    )


def _layout(said: Mapping[str, Any]) -> str:
    """The layout under its name in GPTQModel, whichever of the libraries' keys it stands in."""
    default = "gptq" if said["quant_method"] == "gptq" else "gemm"
    named = said.get("checkpoint_format") or said.get("format") or said.get("version") or default
    if said.get("is_marlin_format"):
        return "marlin"
    return str(named).lower()


def _refusal(method: str, key: str, found: Any, allowed: tuple[Any, ...]) -> CodewattError:
    return CodewattError(
        f"quantization_config.{key}: {method} checkpoints with {found} are not read here; "
        f"allowed: {', '.join(map(str, allowed))}"
    )


def packed_layers(
    headers: Mapping[str, Mapping[str, Any]], packing: PackedFormat
) -> dict[str, PackedLayer]:
    """Name -> layer, for each layer that is packed.

    Args:
        headers: of the checkpoint's tensors.
        packing: of the checkpoint.

    Raises:
        CodewattError: a layer's tensors do not fit each other, or are of other bits or groups than
            the configuration says; or there is no packed layer.
    """
    names = [name.removesuffix(".qweight") for name in headers if name.endswith(".qweight")]
    if not names:
        raise CodewattError(f"no layer is packed, though config.json says {packing.method}")
    return {name: _layer(name, headers, packing) for name in sorted(names)}


def _layer(
    name: str, headers: Mapping[str, Mapping[str, Any]], packing: PackedFormat
) -> PackedLayer:
    """One layer of which everything is there and in the shape that the format has."""
    found = {part: headers.get(f"{name}.{part}") for part in _TENSORS[packing.method]}
    if missing := [part for part, header in found.items() if header is None]:
        raise CodewattError(f"{name}: packed, but without {', '.join(missing)}")
    shapes = {part: tuple(header["shape"]) for part, header in found.items() if header}
    per_word = _WORD_BITS // packing.bits
    groups, outs = shapes["scales"]
    ins = shapes["qweight"][0] * (per_word if packing.method == "gptq" else 1)
    wanted = {
        "qweight": (ins // per_word, outs) if packing.method == "gptq" else (ins, outs // per_word),
        "qzeros": (groups, outs // per_word),
        "scales": (_groups(ins, packing.group_size), outs),
        "g_idx": (ins,),
    }
    for part, shape in shapes.items():
        if shape != wanted[part]:
            raise CodewattError(
                f"{name}.{part}: shape {shape}; {packing.bits} bits in groups of "
                f"{packing.group_size} need {wanted[part]}"
            )
    bias = headers.get(f"{name}.bias")
    parts = [header for header in found.values() if header]
    return PackedLayer(ins, outs, groups, bias is not None, sum(map(_bytes, parts)))


def _groups(ins: int, group_size: int) -> int:
    return 1 if group_size == -1 else math.ceil(ins / group_size)


def _bytes(header: Mapping[str, Any]) -> int:
    first, last = header["data_offsets"]
    return int(last - first)


def count_packed(directory: str | Path) -> dict[str, Any] | None:
    """How much of a checkpoint is packed, and what was left as it was; None if it is not packed.

    Returns:
        quantised_modules, quantised_weights, unquantised_weights (of matrices), packed_bytes.

    Raises:
        CodewattError: see `packed_format` and `packed_layers`.
    """
    packing = packed_format(read_json(Path(directory) / "config.json"))
    if packing is None:
        return None
    headers = headers_of(directory)
    layers = packed_layers(headers, packing)
    left = (
        math.prod(header["shape"])
        for name, header in headers.items()
        if len(header["shape"]) > 1 and name.rpartition(".")[0] not in layers
    )
    return {
        "quantised_modules": len(layers),
        "quantised_weights": sum(
            layer.in_features * layer.out_features for layer in layers.values()
        ),
        "unquantised_weights": sum(left),
        "packed_bytes": sum(layer.size_bytes for layer in layers.values()),
    }


def scaled_activations(headers: Mapping[str, Any]) -> dict[str, int]:
    """Name -> channels of each activation that AWQ scales (AutoAWQ's ScaledActivation)."""
    return {
        name.removesuffix(".scales"): int(header["shape"][0])
        for name, header in headers.items()
        if name.endswith(_ACTIVATION_SCALES)
    }
