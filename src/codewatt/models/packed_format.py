"""The format of packed GPTQ and AWQ checkpoints, read from the files beside the weights."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from codewatt.errors import CodewattError
from codewatt.models.model_config import read_configuration, read_json_object
from codewatt.models.model_files import INDEX, PACKED_FORMAT_FILES, WEIGHTS, model_file
from codewatt.models.weight_headers import read_weight_headers

METHODS = ("gptq", "awq")
_BITS = {"gptq": (4, 8), "awq": (4,)}
#: Layouts of each method that are supported, by GPTQModel's names.
LAYOUTS = {"gptq": ("gptq", "gptq_v2"), "awq": ("gemm",)}
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
    if layout not in LAYOUTS[method]:
        raise _refusal(method, "format", layout, LAYOUTS[method])
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
