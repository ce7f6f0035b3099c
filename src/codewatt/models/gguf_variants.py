"""The files of a variant of precision method gguf, and the sizes of its tensors.

Its directory has the GGUF file, and config.json and the tokenizer of the model that it was made of:
prompts are tokenised by them, so the file needs no vocabulary.
"""

from pathlib import Path

from codewatt.models.gguf_header import GgufHeader, GgufTensor, read_gguf_header
from codewatt.models.model_config import layer_count, read_configuration
from codewatt.models.model_files import list_config_files
from codewatt.models.model_record import WeightsSummary

GGUF_FILE = "model.gguf"
_EMBEDDING, _HEAD = "token_embd.weight", "output.weight"
#: Tensors that llama.cpp's converter computes from config.json.
_COMPUTED = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
_FLOATS = ("F32", "F16", "BF16")


def list_variant_files(directory: Path) -> list[str]:
    """Names of the variant's files, relative to its directory, sorted.

    Raises:
        CodewattError: one is a Git LFS pointer, or outside the directory.
    """
    return sorted([GGUF_FILE, *list_config_files(directory)])


def summarise_variant(directory: Path) -> WeightsSummary:
    """Describe the weights: as `weight_headers.describe_weights`, from the GGUF file.

    Raises:
        CodewattError: see `read_gguf_header`.
    """
    header = read_gguf_header(directory / GGUF_FILE)
    config = read_configuration(directory)
    tensors = weight_tensors(header)
    return {
        "model_type": config.get("model_type"),
        "layers": layer_count(config),
        "parameters": sum(tensor.weights for tensor in tensors),
        "size_bytes": loaded_tensor_bytes(header),
        "dtypes": sorted({tensor.packing for tensor in tensors}),
    }


def weight_tensors(header: GgufHeader) -> list[GgufTensor]:
    """The tensors that are the model's weights."""
    return [tensor for tensor in header.tensors if tensor.name not in _COMPUTED]


def packed_tensors(header: GgufHeader) -> list[GgufTensor]:
    """The quantised tensors."""
    return [tensor for tensor in header.tensors if tensor.packing not in _FLOATS]


def loaded_tensor_bytes(header: GgufHeader) -> int:
    """Bytes of all tensors, packed."""
    return sum(tensor.bytes for tensor in header.tensors)


def step_tensor_bytes(header: GgufHeader) -> int:
    """Bytes of the tensors that a decode step reads: all but an input embedding of its own."""
    names = {tensor.name for tensor in header.tensors}
    left = {_EMBEDDING} if _HEAD in names else set()
    return sum(tensor.bytes for tensor in header.tensors if tensor.name not in left)


def bits_per_weight(header: GgufHeader) -> float:
    """Bits that a weight takes in the file, of all tensors, with their scales."""
    tensors = weight_tensors(header)
    return 8 * sum(tensor.bytes for tensor in tensors) / sum(tensor.weights for tensor in tensors)


def cache_dtype(header: GgufHeader) -> str:
    """Type of the KV cache: 'f32' with F32 weights, else 'f16', llama.cpp's default."""
    return "f32" if header.file_type == "F32" else "f16"
