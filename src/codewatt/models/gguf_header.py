"""Metadata and tensor table of a GGUF file; refuses files that are not GGUF or are incomplete.

Weights are not read here. torch and transformers are not imported, so that a dry run can check a
local file. The format: gguf.md in the documentation of https://github.com/ggml-org/ggml
"""

import math
import mmap
import os
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.model_files import refuse_lfs_pointer
from codewatt.untrusted_files import convert_read_errors, display_path, require_file

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT = 32
_MAX_DIMENSIONS = 4
_STRING, _ARRAY = 8, 9
#: Number of a scalar type in the file -> its format for struct.
_SCALARS = dict(enumerate(("<B", "<b", "<H", "<h", "<I", "<i", "<f", "<?"))) | {
    10: "<Q",
    11: "<q",
    12: "<d",
}


@dataclass(frozen=True)
class GgufTensor:
    """A tensor of the table.

    Attributes:
        name: llama.cpp's name, such as blk.0.attn_q.weight.
        shape: in llama.cpp's order, so (inputs, outputs) of a matrix.
        packing: llama.cpp's type, such as F32 or Q4_1.
        bytes: size of its data.
    """

    name: str
    shape: tuple[int, ...]
    packing: str
    bytes: int

    @property
    def weights(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says of itself.

    Attributes:
        path: of the file.
        metadata: key -> number, text or bool; an array is left out (see `array_lengths`).
        array_lengths: key of an array -> its number of elements.
        tensors: of the table, in its order.
    """

    path: Path
    metadata: dict[str, Any]
    array_lengths: dict[str, int]
    tensors: tuple[GgufTensor, ...]

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the architecture.

        Raises:
            CodewattError: the file does not name it.
        """
        found = self.metadata.get("general.architecture")
        if not isinstance(found, str):
            raise CodewattError(
                f"{display_path(self.path)}: general.architecture is missing; allowed: GGUF files "
                "of a language model"
            )
        return found

    def of_architecture(self, key: str) -> Any:
        """A value of the architecture's, such as block_count; None if it is absent."""
        return self.metadata.get(f"{self.architecture}.{key}")

    @property
    def file_type(self) -> str | None:
        """What the file says that it is packed as, such as Q4_K_M; None if it does not say."""
        from gguf.constants import LlamaFileType

        found = self.metadata.get("general.file_type")
        names = {int(kind): kind.name for kind in LlamaFileType}
        name = names.get(found) if isinstance(found, int) else None
        return name and name.removeprefix("MOSTLY_").removeprefix("ALL_")

    @property
    def packings(self) -> dict[str, int]:
        """llama.cpp's type of packing -> number of tensors, by name."""
        return dict(sorted(Counter(tensor.packing for tensor in self.tensors).items()))


def packed_as(header: GgufHeader) -> str:
    """What most weights of a file are packed as, such as Q4_1.

    `file_type` is preferred where it begins with that type (Q4_K_M for weights in Q4_K), because it
    is the name under which files are published. Where it says something else, the tensors count.
    """
    weights: Counter[str] = Counter()
    for tensor in header.tensors:
        weights[tensor.packing] += tensor.weights
    most = weights.most_common(1)[0][0]
    named = header.file_type
    return named if named is not None and named.startswith(most) else most


def configuration_of(header: GgufHeader) -> dict[str, Any]:
    """The keys of config.json that determine sizes, for estimates and checks before any job.

    Values that the file lacks are absent. The configuration of the unpacked model is transformers'.
    """
    keys = {
        "hidden_size": "embedding_length",
        "intermediate_size": "feed_forward_length",
        "num_hidden_layers": "block_count",
        "num_attention_heads": "attention.head_count",
        "num_key_value_heads": "attention.head_count_kv",
        "head_dim": "attention.key_length",
        "max_position_embeddings": "context_length",
        "vocab_size": "vocab_size",
    }
    found = {name: header.of_architecture(key) for name, key in keys.items()}
    if found["vocab_size"] is None:
        found["vocab_size"] = header.array_lengths.get("tokenizer.ggml.tokens")
    return {
        "model_type": header.architecture,
        "tie_word_embeddings": all(tensor.name != "output.weight" for tensor in header.tensors),
        **{name: value for name, value in found.items() if value is not None},
    }


def read_gguf_header(path: str | Path) -> GgufHeader:
    """Read the header of a GGUF file and compare it with the file's size.

    Raises:
        CodewattError: the file is missing, not GGUF, of another version, truncated, a part of a
            model, or has a tensor type that the package gguf does not know.
    """
    require_file(path)
    found = os.stat(path)
    return _header(Path(path), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=16)
def _header(file: Path, size: int, modified_ns: int) -> GgufHeader:
    """See `read_gguf_header`; a file is read again when its size or time of change differs."""
    shown = display_path(file)
    refuse_lfs_pointer(file)
    with convert_read_errors(file), open(file, "rb") as stream:
        head = stream.read(len(MAGIC))
        if head != MAGIC:
            begins = f"it begins with {head!r}, not {MAGIC!r}" if head else "it is empty"
            raise CodewattError(f"{shown}: not a GGUF file: {begins}")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            reader = _Reader(content, shown)
            header = _read(reader, file)
    parts = header.metadata.get("split.count")
    if isinstance(parts, int) and parts > 1:
        raise CodewattError(
            f"{shown}: one of {parts} parts of a model; allowed: a single file, which "
            "`llama-gguf-split --merge` makes"
        )
    return header


class _Reader:
    """Reads values one after another; a value beyond the end of the file is an error."""

    def __init__(self, content: mmap.mmap, shown: str) -> None:
        self.content, self.shown, self.at = content, shown, len(MAGIC)

    def scalar(self, form: str) -> Any:
        """The next number or bool."""
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def text(self) -> str:
        """The next text."""
        return self._take(self.scalar("<Q")).decode("utf-8", errors="replace")

    def skip(self, count: int) -> None:
        """Move on by a number of bytes."""
        if count > len(self.content) - self.at:
            raise CodewattError(
                f"{self.shown}: the file ends within its header, after {len(self.content)} bytes; "
                "it is truncated or damaged, fetch it again"
            )
        self.at += count

    def _take(self, count: int) -> bytes:
        start = self.at
        self.skip(count)
        return self.content[start : self.at]

    def damaged(self, what: str) -> CodewattError:
        """The error for a header that makes no sense."""
        return CodewattError(f"{self.shown}: {what}; the file is damaged, fetch it again")


def _read(reader: _Reader, path: Path) -> GgufHeader:
    version = reader.scalar("<I")
    if version not in _VERSIONS:
        allowed = " and ".join(map(str, _VERSIONS))
        raise CodewattError(
            f"{reader.shown}: GGUF version {version}; allowed: little-endian files of versions "
            f"{allowed}"
        )
    tensor_count, key_count = reader.scalar("<Q"), reader.scalar("<Q")
    metadata: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for _ in range(key_count):
        key, kind = reader.text(), reader.scalar("<I")
        if kind == _ARRAY:
            lengths[key] = _skip_array(reader, key)
        else:
            metadata[key] = _value(reader, key, kind)
    sizes = _tensor_types(reader.shown)
    tensors, end = [], 0
    for _ in range(tensor_count):
        tensor, last = _tensor(reader, sizes)
        tensors.append(tensor)
        end = max(end, last)
    if not tensors:
        raise CodewattError(f"{reader.shown}: it has no tensors; allowed: GGUF files with weights")
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise reader.damaged(f"general.alignment is {alignment!r}")
    end += math.ceil(reader.at / alignment) * alignment
    if len(reader.content) < end:
        raise CodewattError(
            f"{reader.shown}: {len(reader.content)} bytes, but its header says {end}; the file is "
            "truncated, fetch it again"
        )
    return GgufHeader(path, metadata, lengths, tuple(tensors))


def _value(reader: _Reader, key: str, kind: int) -> Any:
    if kind == _STRING:
        return reader.text()
    if kind not in _SCALARS:
        raise reader.damaged(f"{key!r:.80} has type number {kind}")
    return reader.scalar(_SCALARS[kind])


def _skip_array(reader: _Reader, key: str) -> int:
    """Move past an array; returns its number of elements."""
    kind, count = reader.scalar("<I"), int(reader.scalar("<Q"))
    if kind == _STRING:
        for _ in range(count):
            reader.skip(reader.scalar("<Q"))
    elif kind in _SCALARS:
        reader.skip(count * struct.calcsize(_SCALARS[kind]))
    else:
        raise reader.damaged(f"{key!r:.80} is an array of type number {kind}")
    return count


def _tensor(
    reader: _Reader, sizes: dict[int, tuple[str, Callable[[int], int]]]
) -> tuple[GgufTensor, int]:
    """The next tensor of the table, and the end of its data (bytes from the start of all data)."""
    name, dimensions = reader.text(), reader.scalar("<I")
    if dimensions > _MAX_DIMENSIONS:
        raise reader.damaged(f"tensor {name!r:.80} has {dimensions} dimensions")
    shape = tuple(int(reader.scalar("<Q")) for _ in range(dimensions))
    number, offset = reader.scalar("<I"), int(reader.scalar("<Q"))
    if number not in sizes:
        raise CodewattError(
            f"{reader.shown}: tensor {name!r:.80} has type number {number}; allowed: "
            f"{', '.join(packing for packing, _ in sizes.values())}"
        )
    packing, bytes_of = sizes[number]
    size = bytes_of(math.prod(shape))
    return GgufTensor(name, shape, packing, size), offset + size


def _tensor_types(shown: str) -> dict[int, tuple[str, Callable[[int], int]]]:
    """Number of each tensor type -> its name, and a function from weights to bytes."""
    try:
        from gguf.constants import GGML_QUANT_SIZES
    except ImportError:
        raise CodewattError(
            f"{shown}: the Python package gguf is missing in this environment; `make setup` "
            "installs it"
        ) from None

    def bytes_of(block: int, size: int) -> Callable[[int], int]:
        return lambda weights: weights // block * size

    return {
        int(kind): (kind.name, bytes_of(block, size))
        for kind, (block, size) in GGML_QUANT_SIZES.items()
    }
