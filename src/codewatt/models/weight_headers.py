"""What a directory of weights holds, read from its headers: no tensor is loaded."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.model_config import layer_count, read_configuration
from codewatt.models.model_files import refuse_pointer, weight_files
from codewatt.models.model_record import WeightsSummary

#: Of a layer that GPTQ or AWQ packed.
PACKED_TENSORS = ("qweight", "qzeros", "scales", "g_idx")
# Constants that older versions of transformers saved as well, and that no model reads: causal masks
# (1, 1, positions, positions), what they are filled with, frequencies of rotary embeddings.
_MASK = re.compile(r"\.(attn|attention)\.(bias|causal_mask)$")
_CONSTANT = re.compile(r"\.(attn|attention)\.masked_bias$|\.(original_)?inv_freq$")
_MASK_DIMENSIONS = 4
_HEADER_LIMIT_BYTES = 100_000_000


def tensor_headers(file: str | Path) -> dict[str, dict[str, Any]]:
    """Name -> {dtype, shape, data_offsets} of each tensor in a safetensors file.

    Raises:
        CodewattError: the file is missing, cut short or not in that format.
    """
    path = Path(file)
    refuse_pointer(path)
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 0 < length <= _HEADER_LIMIT_BYTES:
                raise ValueError("its header's length is impossible")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        tensor_bytes = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
        for entry in header.values():
            str(entry["dtype"]), math.prod(entry["shape"])
    except FileNotFoundError:
        raise CodewattError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise CodewattError(f"{path}: not a safetensors file: {error}") from None
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError):
        raise CodewattError(
            f"{path}: not a safetensors file: its header does not describe tensors"
        ) from None
    end = 8 + length + tensor_bytes
    if path.stat().st_size != end:
        raise CodewattError(f"{path}: {path.stat().st_size} bytes, its header says {end}")
    return dict(header)


def headers_of(directory: str | Path) -> dict[str, dict[str, Any]]:
    """Name -> header of each tensor of a directory, all files together.

    Raises:
        CodewattError: see `weight_files` and `tensor_headers`.
    """
    headers: dict[str, dict[str, Any]] = {}
    for file in weight_files(directory):
        headers |= tensor_headers(file)
    return headers


def describe_weights(directory: str | Path) -> WeightsSummary:
    """Parameters (tied ones once), bytes, dtypes and decoder layers of a model directory.

    What GPTQ or AWQ packed counts as the weights that it stands for, without scales. Masks and
    other constants that old checkpoints hold do not count.
    """
    headers = {
        name: header
        for name, header in headers_of(directory).items()
        if not _is_constant(name, header)
    }
    config = read_configuration(directory)
    return {
        "model_type": config.get("model_type"),
        "layers": layer_count(config),
        "parameters": sum(_parameters(name, headers) for name in headers),
        "size_bytes": sum(
            last - first for first, last in (entry["data_offsets"] for entry in headers.values())
        ),
        "dtypes": sorted({entry["dtype"] for entry in headers.values()}),
    }


def _is_constant(name: str, header: Mapping[str, Any]) -> bool:
    """Whether a tensor is no weight but follows from the configuration."""
    mask = _MASK.search(name) is not None and len(header["shape"]) == _MASK_DIMENSIONS
    return mask or _CONSTANT.search(name) is not None


def _parameters(name: str, headers: dict[str, dict[str, Any]]) -> int:
    """How many weights a tensor stands for."""
    layer, _, part = name.rpartition(".")
    if f"{layer}.qweight" not in headers or part not in PACKED_TENSORS:
        return math.prod(headers[name]["shape"])
    if part != "qweight":
        return 0
    groups_of_inputs = headers.get(f"{layer}.g_idx")  # GPTQ's; it packs inputs, AWQ outputs
    inputs = groups_of_inputs["shape"][0] if groups_of_inputs else headers[name]["shape"][0]
    return int(inputs * headers[f"{layer}.scales"]["shape"][1])
