"""Packed checkpoints of GPTQ and AWQ: their format, their layers, and checks of both.

Reads headers, and of the tensors only zero points and group indices, which headers do not show.

GPTQ (AutoGPTQ's format 'gptq' and GPTQModel's 'gptq_v2') has for each layer `qweight` int32
(in * bits / 32, out), `scales` (groups, out), `qzeros` int32 (groups, out * bits / 32) and `g_idx`
int32 (in,), the group of each input. AWQ (AutoAWQ's format 'gemm') has `qweight` int32
(in, out / 8), `scales` (groups, out) and `qzeros` int32 (groups, out / 8); each int32 holds eight
outputs.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from codewatt.errors import CodewattError
from codewatt.models.model_config import read_configuration, read_json_object
from codewatt.models.model_files import (
    INDEX,
    PACKED_FORMAT_FILES,
    WEIGHTS,
    model_file,
    weight_files,
)
from codewatt.models.model_record import QuantisedCounts
from codewatt.models.weight_headers import PACKED_TENSORS, read_weight_headers

METHODS = ("gptq", "awq")
_BITS = {"gptq": (4, 8), "awq": (4,)}
_FORMATS = {"gptq": ("gptq", "gptq_v2"), "awq": ("gemm",)}
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
#: AutoAWQ's names in quant_config.json -> those in config.json.
_AUTOAWQ_KEYS = {"w_bit": "bits", "q_group_size": "group_size"}
_BOOLEANS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


@dataclass(frozen=True)
class PackedFormat:
    """The format in which a checkpoint's layers are packed.

    Attributes:
        method: 'gptq' or 'awq'.
        bits: of a quantised weight.
        group_size: inputs that share a scale; -1 for all inputs.
        act_order: groups follow the order of the activations (GPTQ only).
        symmetric: all zero points are 2 ** (bits - 1).
        layout: 'gptq', 'gptq_v2' or 'gemm', GPTQModel's names for the formats.
    """

    method: Literal["gptq", "awq"]
    bits: int
    group_size: int
    act_order: bool
    symmetric: bool
    layout: str

    @property
    def stores_zero_points_minus_one(self) -> bool:
        """Whether stored zero points are one too small, as in format 'gptq'."""
        return self.layout == "gptq"

    @property
    def unpackable(self) -> bool:
        """Whether `codewatt.models.packed_weights` unpacks layers of this format."""
        return not self.act_order and (self.bits == 4 or self.group_size == -1)


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


def parse_packed_format(configuration: Mapping[str, Any]) -> PackedFormat | None:
    """Parse the packed format from a config.json; None if it is not GPTQ or AWQ.

    Args:
        configuration: a config.json with or without quantization_config.

    Raises:
        CodewattError: the format is not supported.
    """
    config = configuration.get("quantization_config") or {}
    if not isinstance(config, Mapping):
        raise CodewattError(
            "config.json: quantization_config is not a JSON object; allowed: a JSON object"
        )
    method = str(config.get("quant_method")).lower()
    if method not in METHODS:
        return None
    bits = _integer(method, "bits", config.get("bits"))
    if bits not in _BITS[method]:
        raise _refusal(method, "bits", bits, _BITS[method])
    group_size = _integer(method, "group_size", config.get("group_size"))
    if group_size != -1 and (group_size < 1 or group_size % 16):
        raise _refusal(method, "group_size", group_size, ("-1", "multiples of 16"))
    layout = _layout(config, method)
    if layout not in _FORMATS[method]:
        raise _refusal(method, "format", layout, _FORMATS[method])
    if _boolean(method, "lm_head", config.get("lm_head"), default=False):
        raise _refusal(method, "lm_head", True, (False,))
    if method == "gptq":
        symmetric = _boolean(method, "sym", config.get("sym"), default=True)
    else:
        symmetric = not _boolean(method, "zero_point", config.get("zero_point"), default=True)
    if layout == "gptq" and not symmetric:
        # One less than a zero point of 0 borrows a bit from its neighbour; libraries read it
        # differently.
        raise _refusal(method, "sym", "false in format 'gptq'", ("true, or format 'gptq_v2'",))
    act_order = _boolean(method, "desc_act", config.get("desc_act"), default=False)
    return PackedFormat(
        "gptq" if method == "gptq" else "awq",
        bits,
        group_size,
        act_order and method == "gptq",
        symmetric,
        layout,
    )


def read_quantisation_config(directory: str | Path) -> dict[str, Any] | None:
    """Read a model directory's quantization_config; None if the weights are not quantised.

    If config.json has none and the weights are packed, it is read from AutoGPTQ's
    quantize_config.json or AutoAWQ's quant_config.json, with the keys of config.json.

    Raises:
        CodewattError: the weights are packed and no file describes the format, or the description
            is not a JSON object.
    """
    root = Path(directory)
    config = read_configuration(root).get("quantization_config")
    if isinstance(config, dict) and config.get("quant_method"):
        renamed = {key: config[old] for old, key in _AUTOAWQ_KEYS.items() if old in config}
        return {**config, **renamed}
    if config:
        raise CodewattError(
            f"{root / 'config.json'}: quantization_config: {config!r}; allowed: a JSON object "
            "with quant_method"
        )
    if not any((root / name).is_file() for name in (WEIGHTS, INDEX)):
        return None  # the code that reads the weights reports the error
    packed = next((name for name in read_weight_headers(root) if name.endswith(".qweight")), None)
    if packed is None:
        return None
    for name, method in zip(PACKED_FORMAT_FILES, METHODS, strict=True):
        if (root / name).is_file():
            content = read_json_object(model_file(root, name))
            renamed = {_AUTOAWQ_KEYS.get(key, key): value for key, value in content.items()}
            return {"quant_method": method, **renamed}
    raise CodewattError(
        f"{root}: {packed} is packed, but no file describes the format; allowed: "
        f"quantization_config in config.json, or {' or '.join(PACKED_FORMAT_FILES)} beside it"
    )


def read_packed_format(directory: str | Path) -> PackedFormat | None:
    """Read the packed format of a model directory; None if it is not GPTQ or AWQ.

    Raises:
        CodewattError: see `parse_packed_format` and `read_quantisation_config`.
    """
    return parse_packed_format({"quantization_config": read_quantisation_config(directory)})


def _layout(config: Mapping[str, Any], method: str) -> str:
    """GPTQModel's name of the layout, from any of the keys that libraries write it to."""
    default = "gptq" if method == "gptq" else "gemm"
    named = (
        config.get("checkpoint_format") or config.get("format") or config.get("version") or default
    )
    if _boolean(method, "is_marlin_format", config.get("is_marlin_format"), default=False):
        return "marlin"
    return str(named).lower()


def _integer(method: str, key: str, value: Any) -> int:
    """An integer in any form that libraries write: 4, 4.0 or "4"."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if number.is_integer():
            return int(number)
    raise _refusal(method, key, json.dumps(value, default=str), ("an integer",))


def _boolean(method: str, key: str, value: Any, *, default: bool) -> bool:
    """A boolean in any form that libraries write: false, 0 or "False"."""
    if value is None:
        return default
    found = _BOOLEANS.get(str(value).strip().lower())
    if found is None:
        raise _refusal(method, key, json.dumps(value, default=str), ("true", "false"))
    return found


def _refusal(method: str, key: str, found: Any, allowed: tuple[Any, ...]) -> CodewattError:
    return CodewattError(
        f"quantization_config.{key}: {method} checkpoints with {found} are not supported; "
        f"allowed: {', '.join(map(str, allowed))}"
    )


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
    for layout in _FORMATS[packing.method]:
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
