"""The packed layers of GPTQ and AWQ checkpoints, and checks that they agree with the format.

Reads headers, and of the tensors only zero points and group indices, which headers do not show.

GPTQ (AutoGPTQ's format 'gptq' and GPTQModel's 'gptq_v2') has for each layer `qweight` int32
(in * bits / 32, out), `scales` (groups, out), `qzeros` int32 (groups, out * bits / 32) and `g_idx`
int32 (in,), the group of each input. AWQ (AutoAWQ's format 'gemm') has `qweight` int32
(in, out / 8), `scales` (groups, out) and `qzeros` int32 (groups, out / 8); each int32 holds eight
outputs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.model_files import weight_files
from codewatt.models.model_record import QuantisedCounts
from codewatt.models.packed_format import LAYOUTS, PackedFormat, read_packed_format
from codewatt.models.weight_headers import PACKED_TENSORS, read_weight_headers

_TENSORS = {"gptq": PACKED_TENSORS, "awq": PACKED_TENSORS[:-1]}
_INT32_BITS = 32
_FLOAT_DTYPES = ("F16", "BF16", "F32")
_ACTIVATION_SCALES = ".act.scales"
_TENSOR_DTYPES = {
    "qweight": ("I32",),
    "qzeros": ("I32",),
    "g_idx": ("I32",),
    "scales": _FLOAT_DTYPES,
}


@dataclass(frozen=True)
class PackedLayer:
    """Shape of a packed layer.

    Attributes:
        in_features, out_features: of the unpacked weight.
        groups: of inputs, each with its own scales.
        bias: whether the layer has one.
        size_bytes: of the packed tensors, without the bias.
    """

    in_features: int
    out_features: int
    groups: int
    bias: bool
    size_bytes: int


def packed_layers(
    headers: Mapping[str, Mapping[str, Any]], packing: PackedFormat
) -> dict[str, PackedLayer]:
    """The packed layers of a checkpoint, by name.

    Args:
        headers: name -> header of the checkpoint's tensors.
        packing: format of the checkpoint.

    Raises:
        CodewattError: the shapes of a layer's tensors contradict each other or the bits and group
            size of the format; or there is no packed layer.
    """
    names = [name.removesuffix(".qweight") for name in headers if name.endswith(".qweight")]
    if not names:
        raise CodewattError(
            "the weights have no packed layer (NAME.qweight), but config.json says "
            f"{packing.method}"
        )
    return {name: _layer(name, headers, packing) for name in sorted(names)}


def _layer(
    name: str, headers: Mapping[str, Mapping[str, Any]], packing: PackedFormat
) -> PackedLayer:
    """One layer, after a check of its tensors' presence, dtypes and shapes."""
    found = {part: headers.get(f"{name}.{part}") for part in _TENSORS[packing.method]}
    if missing := [part for part, header in found.items() if header is None]:
        raise CodewattError(f"{name}: packed, but tensors are missing: {', '.join(missing)}")
    shapes = {part: tuple(header["shape"]) for part, header in found.items() if header}
    per_int32 = _INT32_BITS // packing.bits
    if any(len(shape) != (1 if part == "g_idx" else 2) for part, shape in shapes.items()):
        raise CodewattError(
            f"{name}: tensors of shapes {shapes}; layout {packing.layout} needs matrices, and a "
            "vector g_idx"
        )
    groups, outs = shapes["scales"]
    ins = shapes["qweight"][0] * (per_int32 if packing.method == "gptq" else 1)
    expected = {
        "qweight": (ins // per_int32, outs)
        if packing.method == "gptq"
        else (ins, outs // per_int32),
        "qzeros": (groups, outs // per_int32),
        "scales": (_groups(ins, packing.group_size), outs),
        "g_idx": (ins,),
    }
    for part, header in found.items():
        if header and header["dtype"] not in _TENSOR_DTYPES[part]:
            raise CodewattError(
                f"{name}.{part}: dtype {header['dtype']}; layout {packing.layout} needs "
                f"{' or '.join(_TENSOR_DTYPES[part])}"
            )
    for part, shape in shapes.items():
        if shape != expected[part]:
            raise CodewattError(
                f"{name}.{part}: shape {shape}; {packing.bits} bits in groups of "
                f"{packing.group_size} need {expected[part]}"
            )
    bias = headers.get(f"{name}.bias")
    parts = [header for header in found.values() if header]
    return PackedLayer(ins, outs, groups, bias is not None, sum(map(_bytes, parts)))


def _groups(ins: int, group_size: int) -> int:
    return 1 if group_size == -1 else math.ceil(ins / group_size)


def _bytes(header: Mapping[str, Any]) -> int:
    first, last = header["data_offsets"]
    return int(last - first)


def check_packed_tensors(
    directory: str | Path, packing: PackedFormat, layers: Mapping[str, PackedLayer]
) -> None:
    """Check that stored zero points and group indices agree with the format.

    Format 'gptq' stores zero points minus one. If it is read as 'gptq_v2', or the other way round,
    every weight is wrong by one scale, and nothing else shows it.

    Raises:
        CodewattError: they do not agree.
    """
    from safetensors import safe_open

    zeros: set[int] = set()
    for file in weight_files(directory):
        with safe_open(file, framework="np") as reader:
            for name in reader.keys():  # noqa: SIM118 (not a mapping)
                layer, _, part = name.rpartition(".")
                if layer in layers and part == "qzeros":
                    zeros |= _distinct_values(reader.get_tensor(name), packing.bits)
                elif layer in layers and part == "g_idx":
                    _check_groups(name, reader.get_tensor(name), layers[layer], packing)
    _check_zeros(directory, zeros, packing)


def _distinct_values(packed: Any, bits: int) -> set[int]:
    """The distinct integers of so many bits in packed int32."""
    import numpy

    shifts = numpy.arange(0, _INT32_BITS, bits, dtype=numpy.int32)
    values = (packed[..., None] >> shifts) & ((1 << bits) - 1)
    return set(numpy.unique(values).tolist())


def _check_groups(name: str, g_idx: Any, layer: PackedLayer, packing: PackedFormat) -> None:
    """Group indices exist, and groups are runs of adjacent inputs unless desc_act is true."""
    import numpy

    if int(g_idx.min()) < 0 or int(g_idx.max()) >= layer.groups:
        raise CodewattError(
            f"{name}: group indices {g_idx.min()} to {g_idx.max()}; allowed: 0 to "
            f"{layer.groups - 1}"
        )
    size = layer.in_features if packing.group_size == -1 else packing.group_size
    if not packing.act_order and not numpy.array_equal(g_idx, numpy.arange(len(g_idx)) // size):
        raise CodewattError(
            f"{name}: groups are not runs of adjacent inputs, but desc_act is false; allowed: "
            "desc_act true, or groups of adjacent inputs"
        )


def _check_zeros(directory: str | Path, zeros: set[int], packing: PackedFormat) -> None:
    """Check the stored zero points of all layers against symmetry and layout."""
    middle = 2 ** (packing.bits - 1)
    stored = {"gptq": middle - 1, "gptq_v2": middle, "gemm": middle}
    label = f"{'' if packing.symmetric else 'a'}symmetric {packing.layout}"
    if packing.symmetric and zeros == {stored[packing.layout]}:
        return
    # Zero points of middle - 1 everywhere are format 'gptq', symmetric; no asymmetric layer has
    # them.
    if not packing.symmetric and (zeros != {middle - 1} or packing.method == "awq"):
        return
    found = f"{min(zeros)}" if len(zeros) == 1 else f"{min(zeros)} to {max(zeros)}"
    hint = ""
    for layout in LAYOUTS[packing.method]:
        if zeros == {stored[layout]}:
            hint = f"; symmetric {layout} has {stored[layout]}, so config.json is wrong"
    raise CodewattError(
        f"{directory}: config.json says {label}, but stored zero points are {found}{hint}; "
        "allowed: " + (f"{stored[packing.layout]}" if packing.symmetric else "those of this format")
    )


def count_packed_weights(directory: str | Path) -> QuantisedCounts | None:
    """Count the packed weights of a model directory; None if it is not GPTQ or AWQ.

    Returns:
        quantised_modules, quantised_weights, unquantised_weights (in matrices), packed_bytes.

    Raises:
        CodewattError: see `parse_packed_format`, `packed_layers` and `check_packed_tensors`.
    """
    packing = read_packed_format(directory)
    if packing is None:
        return None
    headers = read_weight_headers(directory)
    layers = packed_layers(headers, packing)
    check_packed_tensors(directory, packing, layers)
    unquantised = (
        math.prod(header["shape"])
        for name, header in headers.items()
        if len(header["shape"]) > 1 and name.rpartition(".")[0] not in layers
    )
    return {
        "quantised_modules": len(layers),
        "quantised_weights": sum(
            layer.in_features * layer.out_features for layer in layers.values()
        ),
        "unquantised_weights": sum(unquantised),
        "packed_bytes": sum(layer.size_bytes for layer in layers.values()),
    }


def find_scaled_activations(headers: Mapping[str, Any]) -> dict[str, int]:
    """Name -> channels of each activation that AWQ scales (AutoAWQ's ScaledActivation).

    Args:
        headers: name -> header of the checkpoint's tensors.
    """
    return {
        name.removesuffix(".scales"): int(header["shape"][0])
        for name, header in headers.items()
        if name.endswith(_ACTIVATION_SCALES)
    }
