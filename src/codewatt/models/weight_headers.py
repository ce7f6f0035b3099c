"""Tensor names, shapes and dtypes of a model directory, from safetensors headers only."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.model_config import layer_count, read_configuration
from codewatt.models.model_files import refuse_lfs_pointer, weight_files
from codewatt.models.model_record import WeightsSummary

#: Tensors of a layer that GPTQ or AWQ packed.
PACKED_TENSORS = ("qweight", "qzeros", "scales", "g_idx")
# Constants that older versions of transformers saved and no model reads: causal masks (1, 1,
# positions, positions), their fill value, frequencies of rotary embeddings.
_MASK = re.compile(r"\.(attn|attention)\.(bias|causal_mask)$")
_CONSTANT = re.compile(r"\.(attn|attention)\.masked_bias$|\.(original_)?inv_freq$")
_MASK_DIMENSIONS = 4
_HEADER_LIMIT_BYTES = 100_000_000


def read_tensor_headers(file: str | Path) -> dict[str, dict[str, Any]]:
    """Read name -> {dtype, shape, data_offsets} of each tensor in a safetensors file.

    Raises:
        CodewattError: the file is missing, truncated or not in safetensors format.
    """
    path = Path(file)
    refuse_lfs_pointer(path)
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 0 < length <= _HEADER_LIMIT_BYTES:
                raise ValueError(
                    f"header length {length}; allowed: 1 to {_HEADER_LIMIT_BYTES} bytes"
                )
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        tensor_bytes = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
        for entry in header.values():
            str(entry["dtype"]), math.prod(entry["shape"])
    except FileNotFoundError:
        raise CodewattError(f"{path}: file is missing") from None
    except (OSError, ValueError) as error:
        raise CodewattError(f"{path}: not a safetensors file: {error}") from None
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError):
        raise CodewattError(
            f"{path}: not a safetensors file: the header does not describe tensors"
        ) from None
    end = 8 + length + tensor_bytes
    if path.stat().st_size != end:
        raise CodewattError(
            f"{path}: {path.stat().st_size} bytes, but its header says {end}; the file is "
            "truncated or damaged, fetch it again"
        )
    return dict(header)


def read_weight_headers(directory: str | Path) -> dict[str, dict[str, Any]]:
    """Read name -> header of each tensor in all weight files of a model directory.

    Raises:
        CodewattError: see `weight_files` and `read_tensor_headers`.
    """
    headers: dict[str, dict[str, Any]] = {}
    for file in weight_files(directory):
        headers |= read_tensor_headers(file)
    return headers


def describe_weights(directory: str | Path) -> WeightsSummary:
    """Describe the weights of a model directory.

    Returns:
        model_type, layers (decoder layers), parameters (tied ones once; GPTQ and AWQ layers count
        as the weights before packing, without scales), size_bytes, dtypes (as safetensors names
        them). Masks and other constants in old checkpoints do not count.
    """
    headers = {
        name: header
        for name, header in read_weight_headers(directory).items()
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
    """Whether a tensor is a constant that follows from the config, not a weight."""
    mask = _MASK.search(name) is not None and len(header["shape"]) == _MASK_DIMENSIONS
    return mask or _CONSTANT.search(name) is not None


def _parameters(name: str, headers: dict[str, dict[str, Any]]) -> int:
    """Number of weights that a tensor holds, packed or not."""
    layer, _, part = name.rpartition(".")
    if f"{layer}.qweight" not in headers or part not in PACKED_TENSORS:
        return math.prod(headers[name]["shape"])
    if part != "qweight":
        return 0
    g_idx = headers.get(f"{layer}.g_idx")  # only in GPTQ, which packs inputs; AWQ packs outputs
    inputs = g_idx["shape"][0] if g_idx else headers[name]["shape"][0]
    return int(inputs * headers[f"{layer}.scales"]["shape"][1])
