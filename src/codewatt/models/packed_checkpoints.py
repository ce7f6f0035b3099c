"""Checkpoints in the packed formats of GPTQ and AWQ, as their headers say.

Of the tensors only the small ones are read, that headers and labels cannot tell: zero points and
the groups of inputs.

GPTQ (AutoGPTQ's format, and GPTQModel's second): of each layer `qweight` int32 (in * bits / 32,
out), `scales` (groups, out), `qzeros` int32 (groups, out * bits / 32) and `g_idx` int32 (in,), the
group of each input. AWQ (AutoAWQ's version 'gemm'): `qweight` int32 (in, out / 8), `scales`
(groups, out), `qzeros` int32 (groups, out / 8), the codes of eight outputs in one word.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from codewatt.errors import CodewattError
from codewatt.models.model_config import read_configuration, read_object
from codewatt.models.model_files import INDEX, PACKING_FILES, WEIGHTS, own_file, weight_files
from codewatt.models.model_record import QuantisedCounts
from codewatt.models.weight_headers import PACKED_TENSORS, headers_of

METHODS = ("gptq", "awq")
_BITS = {"gptq": (4, 8), "awq": (4,)}
_FORMATS = {"gptq": ("gptq", "gptq_v2"), "awq": ("gemm",)}
_TENSORS = {"gptq": PACKED_TENSORS, "awq": PACKED_TENSORS[:-1]}
_WORD_BITS = 32
_FLOATS = ("F16", "BF16", "F32")
_ACTIVATION_SCALES = ".act.scales"
_TYPES = {"qweight": ("I32",), "qzeros": ("I32",), "g_idx": ("I32",), "scales": _FLOATS}
#: AutoAWQ's names in quant_config.json -> those in config.json.
_OLD_KEYS = {"w_bit": "bits", "q_group_size": "group_size"}
_TRUTHS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


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
        """Whether a layer is codes with scales and no more: `codewatt.models.packed_weights`."""
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
    if not isinstance(said, Mapping):
        raise CodewattError("config.json: quantization_config: allowed: a JSON object")
    method = str(said.get("quant_method")).lower()
    if method not in METHODS:
        return None
    bits = _integer(method, "bits", said.get("bits"))
    if bits not in _BITS[method]:
        raise _refusal(method, "bits", bits, _BITS[method])
    group_size = _integer(method, "group_size", said.get("group_size"))
    if group_size != -1 and (group_size < 1 or group_size % 16):
        raise _refusal(method, "group_size", group_size, ("-1", "multiples of 16"))
    layout = _layout(said, method)
    if layout not in _FORMATS[method]:
        raise _refusal(method, "format", layout, _FORMATS[method])
    if _truth(method, "lm_head", said.get("lm_head"), default=False):
        raise _refusal(method, "lm_head", True, (False,))
    if method == "gptq":
        symmetric = _truth(method, "sym", said.get("sym"), default=True)
    else:
        symmetric = not _truth(method, "zero_point", said.get("zero_point"), default=True)
    if layout == "gptq" and not symmetric:
        # Less one, a zero point of 0 borrows from its neighbour: libraries differ on what it means.
        raise _refusal(method, "sym", "false in format 'gptq'", ("true, or format 'gptq_v2'",))
    act_order = _truth(method, "desc_act", said.get("desc_act"), default=False)
    return PackedFormat(
        "gptq" if method == "gptq" else "awq",
        bits,
        group_size,
        act_order and method == "gptq",
        symmetric,
        layout,
    )


def quantisation_of(directory: str | Path) -> dict[str, Any] | None:
    """How a model directory says that its weights are quantised; None if they are not.

    That is config.json's quantization_config. Where it has none and the weights are packed, it is
    what AutoGPTQ wrote as quantize_config.json or AutoAWQ as quant_config.json, in config.json's
    own terms.

    Raises:
        CodewattError: no file says how the packed weights are packed, or not in JSON objects.
    """
    root = Path(directory)
    said = read_configuration(root).get("quantization_config")
    if isinstance(said, dict) and said.get("quant_method"):
        return {**said, **{key: said[old] for old, key in _OLD_KEYS.items() if old in said}}
    if said:
        raise CodewattError(
            f"{root / 'config.json'}: quantization_config: {said!r}; allowed: a JSON object "
            "with quant_method"
        )
    if not any((root / name).is_file() for name in (WEIGHTS, INDEX)):
        return None  # whoever reads weights says that there are none
    packed = next((name for name in headers_of(root) if name.endswith(".qweight")), None)
    if packed is None:
        return None
    for name, method in zip(PACKING_FILES, METHODS, strict=True):
        if (root / name).is_file():
            content = read_object(own_file(root, name))
            renamed = {_OLD_KEYS.get(key, key): value for key, value in content.items()}
            return {"quant_method": method, **renamed}
    raise CodewattError(
        f"{root}: {packed} is packed, but nothing says how; allowed: quantization_config in "
        f"config.json, or {' or '.join(PACKING_FILES)} beside it"
    )


def packed_format_of(directory: str | Path) -> PackedFormat | None:
    """How a model directory is packed, as its files say; None if not by GPTQ or AWQ.

    Raises:
        CodewattError: see `packed_format` and `quantisation_of`.
    """
    return packed_format({"quantization_config": quantisation_of(directory)})


def _layout(said: Mapping[str, Any], method: str) -> str:
    """The layout under its name in GPTQModel, whichever of the libraries' keys it stands in."""
    default = "gptq" if method == "gptq" else "gemm"
    named = said.get("checkpoint_format") or said.get("format") or said.get("version") or default
    if _truth(method, "is_marlin_format", said.get("is_marlin_format"), default=False):
        return "marlin"
    return str(named).lower()


def _integer(method: str, key: str, value: Any) -> int:
    """A whole number, however a library has written it: 4, 4.0 or "4"."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if number.is_integer():
            return int(number)
    raise _refusal(method, key, json.dumps(value, default=str), ("a whole number",))


def _truth(method: str, key: str, value: Any, *, default: bool) -> bool:
    """True or false, however a library has written it: false, 0 or "False"."""
    if value is None:
        return default
    found = _TRUTHS.get(str(value).strip().lower())
    if found is None:
        raise _refusal(method, key, json.dumps(value, default=str), ("true", "false"))
    return found


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
    if any(len(shape) != (1 if part == "g_idx" else 2) for part, shape in shapes.items()):
        raise CodewattError(f"{name}: tensors of shapes {shapes}; {packing.layout} has matrices")
    groups, outs = shapes["scales"]
    ins = shapes["qweight"][0] * (per_word if packing.method == "gptq" else 1)
    wanted = {
        "qweight": (ins // per_word, outs) if packing.method == "gptq" else (ins, outs // per_word),
        "qzeros": (groups, outs // per_word),
        "scales": (_groups(ins, packing.group_size), outs),
        "g_idx": (ins,),
    }
    for part, header in found.items():
        if header and header["dtype"] not in _TYPES[part]:
            raise CodewattError(
                f"{name}.{part}: of type {header['dtype']}; {packing.layout} has "
                f"{' or '.join(_TYPES[part])}"
            )
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


def check_contents(
    directory: str | Path, packing: PackedFormat, layers: Mapping[str, PackedLayer]
) -> None:
    """See that zero points and groups of inputs are those that the labels promise.

    A checkpoint of GPTQ's first format has its zero points less one; read as the second format, or
    the other way round, every weight is off by one step of its scale, and nothing else tells.

    Raises:
        CodewattError: they are not.
    """
    from safetensors import safe_open

    zeros: set[int] = set()
    for file in weight_files(directory):
        with safe_open(file, framework="np") as reader:
            for name in reader.keys():  # noqa: SIM118 (not a mapping)
                layer, _, part = name.rpartition(".")
                if layer in layers and part == "qzeros":
                    zeros |= _distinct(reader.get_tensor(name), packing.bits)
                elif layer in layers and part == "g_idx":
                    _check_groups(name, reader.get_tensor(name), layers[layer], packing)
    _check_zeros(directory, zeros, packing)


def _distinct(words: Any, bits: int) -> set[int]:
    """The different numbers that int32 words hold."""
    import numpy

    shifts = numpy.arange(0, _WORD_BITS, bits, dtype=numpy.int32)
    codes = (words[..., None] >> shifts) & ((1 << bits) - 1)
    return set(numpy.unique(codes).tolist())


def _check_groups(name: str, groups: Any, layer: PackedLayer, packing: PackedFormat) -> None:
    """Groups are there, and are runs of inputs unless the label says that they are not."""
    import numpy

    if int(groups.min()) < 0 or int(groups.max()) >= layer.groups:
        raise CodewattError(
            f"{name}: groups {groups.min()} to {groups.max()}; allowed: 0 to {layer.groups - 1}"
        )
    size = layer.in_features if packing.group_size == -1 else packing.group_size
    if not packing.act_order and not numpy.array_equal(groups, numpy.arange(len(groups)) // size):
        raise CodewattError(
            f"{name}: the groups of inputs follow their activations, though desc_act is false; "
            "allowed: desc_act true, or groups that are runs of inputs"
        )


def _check_zeros(directory: str | Path, zeros: set[int], packing: PackedFormat) -> None:
    """Stored zero points, of all layers, against symmetry and layout."""
    middle = 2 ** (packing.bits - 1)
    stored = {"gptq": middle - 1, "gptq_v2": middle, "gemm": middle}
    label = f"{'' if packing.symmetric else 'a'}symmetric {packing.layout}"
    if packing.symmetric and zeros == {stored[packing.layout]}:
        return
    # No asymmetric matrix has the middle less one everywhere: that is the first format's symmetry.
    if not packing.symmetric and (zeros != {middle - 1} or packing.method == "awq"):
        return
    found = f"{min(zeros)}" if len(zeros) == 1 else f"{min(zeros)} to {max(zeros)}"
    hint = ""
    for layout in _FORMATS[packing.method]:
        if zeros == {stored[layout]}:
            hint = f"; symmetric {layout} has {stored[layout]}: the label is wrong"
    raise CodewattError(
        f"{directory}: labelled {label}, but its stored zero points are {found}{hint}; allowed: "
        + (f"{stored[packing.layout]}" if packing.symmetric else "those of the labelled format")
    )


def count_packed(directory: str | Path) -> QuantisedCounts | None:
    """How much of a checkpoint is packed, and what was left as it was; None if it is not packed.

    Returns:
        quantised_modules, quantised_weights, unquantised_weights (of matrices), packed_bytes.

    Raises:
        CodewattError: see `packed_format`, `packed_layers` and `check_contents`.
    """
    packing = packed_format_of(directory)
    if packing is None:
        return None
    headers = headers_of(directory)
    layers = packed_layers(headers, packing)
    check_contents(directory, packing, layers)
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
