"""Size of a model's tensors in a GGUF file, by llama.cpp's rules of which tensor gets which type.

The rules are those of `llama_tensor_get_type_impl` and `tensor_type_fallback` in
src/llama-quant.cpp of the llama.cpp in llama-cpp-python 0.3.36, for dense models. Tests compare the
sizes with files that llama.cpp made.
"""

from collections.abc import Iterator

from codewatt.sizing.layer_shapes import Matrix
from codewatt.sizing.parameter_counts import Architecture

#: Type -> (weights of a block, bytes of a block), as in ggml-common.h.
_BLOCKS = {
    "F32": (1, 4),
    "F16": (1, 2),
    "Q8_0": (32, 34),
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q2_K": (256, 84),
    "Q3_K": (256, 110),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
}
#: Types for rows that no block of 256 divides.
_FALLBACKS = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
_VALUES = ("v_proj", "query_key_value")
_OUTPUTS = ("o_proj", "dense")
_DOWNS = ("down_proj", "fc2", "dense_4h_to_h", "c_proj")
_VECTOR_BYTES = 4  # norms and biases are F32 in every type


def gguf_weight_bytes(
    architecture: Architecture, kind: str, *, importance: bool
) -> tuple[int, int, int]:
    """Sizes of the tensors of a GGUF file.

    Args:
        architecture: of the model, after pruning.
        kind: the file type, such as Q4_K_M.
        importance: whether it was made with an importance matrix.

    Returns:
        Bytes of all tensors; of those that a decode step reads (all but an input embedding of its
        own); of the quantised ones.
    """
    sizes = [
        (_type_of(matrix, layer, architecture, kind, importance), matrix.outs, matrix.ins)
        for matrix in architecture.matrices
        for layer in range(matrix.count)
    ]
    hidden, base = architecture.hidden_size, kind.removesuffix("_M")
    head = (_fitting(_head_type(base, hidden), hidden), architecture.vocabulary, hidden)
    table = (_fitting(base, hidden), architecture.vocabulary, hidden)
    read = [*sizes, head]
    held = read if architecture.tied else [*read, table]
    small = _VECTOR_BYTES * (architecture.biases + architecture.norms)
    packed = [one for one in held if one[0] not in ("F32", "F16")]
    return sum(_bytes(held)) + small, sum(_bytes(read)) + small, sum(_bytes(packed))


def _bytes(sizes: list[tuple[str, int, int]]) -> Iterator[int]:
    for kind, outs, ins in sizes:
        block, size = _BLOCKS[kind]
        yield outs * ins // block * size


def _head_type(base: str, hidden: int) -> str:
    """Type of the head, and of an input embedding that is tied to it, before the fallback."""
    if base in ("F32", "F16"):
        return base
    if base == "Q8_0" or hidden % _BLOCKS[base][0]:
        return "Q8_0"
    return "Q6_K"


def _fitting(kind: str, ins: int) -> str:
    """The type, or the one that replaces it where no block divides a row."""
    if ins % _BLOCKS[kind][0]:
        kind = _FALLBACKS.get(kind, kind)
    return "F16" if ins % _BLOCKS[kind][0] else kind


def _type_of(
    matrix: Matrix, layer: int, architecture: Architecture, kind: str, importance: bool
) -> str:
    """Type of one layer's matrix."""
    layers, base = architecture.layers, kind.removesuffix("_M")
    chosen = base
    if matrix.name in _VALUES:
        if kind == "Q2_K":
            chosen = "Q4_K" if _queries_per_key(architecture) >= 4 else "Q3_K"
        elif kind == "Q3_K_M":
            chosen = "Q5_K" if layer < 2 else "Q4_K"
        elif kind in ("Q4_K_M", "Q5_K_M") and _more_bits(layer, layers):
            chosen = "Q6_K"
    elif matrix.name in _DOWNS:
        if kind == "Q2_K":
            chosen = "Q3_K"
        elif kind == "Q3_K_M":
            chosen = "Q5_K" if layer < layers // 16 else "Q4_K"
        elif kind in ("Q4_K_M", "Q5_K_M") and _more_bits(layer, layers):
            chosen = "Q6_K"
        elif kind == "Q4_0" and importance and layer < layers // 8:
            chosen = "Q4_1"
    elif matrix.name in _OUTPUTS:
        chosen = {"Q2_K": "Q3_K", "Q3_K_M": "Q4_K"}.get(kind, base)
    return _fitting(chosen, matrix.ins)


def _more_bits(layer: int, layers: int) -> bool:
    """Whether a layer's most sensitive matrices get more bits: both ends, every third between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _queries_per_key(architecture: Architecture) -> int:
    outs = {matrix.name: matrix.outs for matrix in architecture.matrices}
    return outs["q_proj"] // outs["k_proj"] if "k_proj" in outs else 1
