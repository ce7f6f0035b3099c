"""What a directory of weights holds, read from its headers: no tensor is loaded."""

import json
import math
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import read_json

INDEX = "model.safetensors.index.json"
_HEADER_LIMIT_BYTES = 100_000_000


def safetensors_files(directory: str | Path) -> list[Path]:
    """The weight files of a save_pretrained directory, those of the index if there is one.

    Raises:
        CodewattError: there are none; pickled weights are not read, as they can run code.
    """
    root = Path(directory)
    if (root / INDEX).is_file():
        names = sorted(set(read_json(root / INDEX)["weight_map"].values()))
        return [root / name for name in names]
    files = sorted(root.glob("*.safetensors"))
    if not files:
        raise CodewattError(f"{root}: no *.safetensors; weights must be in that format")
    return files


def tensor_headers(file: str | Path) -> dict[str, dict[str, Any]]:
    """Name -> {dtype, shape, data_offsets} of each tensor in a safetensors file.

    Raises:
        CodewattError: the file is missing, cut short or not in that format.
    """
    path = Path(file)
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 0 < length <= _HEADER_LIMIT_BYTES:
                raise ValueError("its header's length is impossible")
            header = json.loads(stream.read(length))
    except FileNotFoundError:
        raise CodewattError(f"{path}: no such file") from None
    except ValueError as error:
        raise CodewattError(f"{path}: not a safetensors file: {error}") from None
    header.pop("__metadata__", None)
    end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if path.stat().st_size != end:
        raise CodewattError(f"{path}: {path.stat().st_size} bytes, its header says {end}")
    return dict(header)


def describe_weights(directory: str | Path) -> dict[str, Any]:
    """Parameters (tied ones once), bytes, dtypes and decoder layers of a model directory."""
    root = Path(directory)
    parameters = 0
    size_bytes = 0
    dtypes: set[str] = set()
    for file in safetensors_files(root):
        for entry in tensor_headers(file).values():
            elements = math.prod(entry["shape"])
            parameters += elements
            first, last = entry["data_offsets"]
            size_bytes += last - first
            dtypes.add(entry["dtype"])
    config = read_json(root / "config.json")
    return {
        "model_type": config.get("model_type"),
        "layers": config.get("num_hidden_layers"),
        "parameters": parameters,
        "size_bytes": size_bytes,
        "dtypes": sorted(dtypes),
    }
