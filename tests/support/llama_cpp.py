"""Whether llama.cpp is installed, and GGUF variants of little models."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from codewatt.files import describe_files
from codewatt.generate.engine import DecodingParams, LoadRequest
from codewatt.quantise.gguf_conversion import GgufConverter
from codewatt.quantise.quantiser import open_quantiser

needs_llama_cpp = pytest.mark.skipif(
    importlib.util.find_spec("llama_cpp") is None,
    reason="llama.cpp is not installed: `make llama-cpp` builds it",
)
PROMPTS = ["def add(a, b):", "def f(x):\n    return", "x"]


class SharedConverter:
    """llama.cpp's converter in one process for all conversions: its imports take seconds."""

    _process: Any = None

    def __init__(self) -> None:
        if SharedConverter._process is None:
            SharedConverter._process = GgufConverter()

    def convert(self, *arguments: Any) -> dict[str, str]:
        """See `GgufConverter.convert`."""
        names: dict[str, str] = self._process.convert(*arguments)
        return names

    def close(self) -> None:
        """The process is kept, until pytest ends."""


def gguf(quant_type: str, **settings: Any) -> dict[str, Any]:
    """A study's precision of method gguf, without id and label."""
    return {
        "method": "gguf", "quant_type": quant_type, "compute_dtype": "float32", **settings,
    }  # fmt: skip


def request_of(directory: Path, **decoding: Any) -> LoadRequest:
    """The request by which the engine loads a GGUF variant."""
    files = describe_files(directory, open_quantiser("gguf").list_files(directory))
    params = DecodingParams(**{"token_limit": 12, "stop_strings": (), **decoding})
    return LoadRequest(str(directory), files, "float32", "cpu", [PROMPTS], 3, params, 0)
