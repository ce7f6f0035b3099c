"""Size of a model's weights in each precision, computed from its architecture.

The size includes scales and zero points, in the format of each quantisation library; tests compare
it with loaded models. `_packs` defines which matrices a library quantises.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codewatt.errors import CodewattError
from codewatt.sizing.gguf_weight_bytes import gguf_weight_bytes
from codewatt.sizing.layer_shapes import Matrix
from codewatt.sizing.parameter_counts import Architecture

Precision = Mapping[str, Any]

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
METHODS = ("none", "bitsandbytes", "torchao", "gptq", "awq", "gguf")
#: Layers that a method does not quantise: transformers reads DeepSeek's kv_b_proj as a raw matrix.
_LEFT = {("bitsandbytes", "deepseek_v2"): ("kv_b_proj",)}
#: bitsandbytes, 4 bits: weights per scale, scales per nested scale, entries of the code book.
_BLOCK, _NESTED_BLOCK, _BOOK = 64, 256, 16
_TILE_IN, _TILE_OUT = 1024, 8  # torchao's int4 on a GPU: sizes are padded to whole tiles


@dataclass(frozen=True)
class WeightBytes:
    """Size of a variant's weights (bytes).

    Attributes:
        total: all weights that are loaded.
        step: weights that one forward pass must read: without an untied input embedding, and with
            only the routed experts of one token.
        packed: quantised weights with their scales and zero points.
    """

    total: int
    step: int
    packed: int


def weight_bytes(
    architecture: Architecture, precision: Precision, device: str = "cuda"
) -> WeightBytes:
    """Size of a model's weights in a precision.

    Args:
        architecture: architecture of the model, after pruning.
        precision: a precision of the study file: method and settings.
        device: 'cuda' or 'cpu'; torchao packs int4 differently for them.

    Raises:
        CodewattError: the precision's method is unknown.
    """
    if precision["method"] == "gguf":
        return WeightBytes(
            *gguf_weight_bytes(
                architecture,
                precision["quant_type"],
                importance=precision.get("calibration") is not None,
            )
        )
    element = DTYPE_BYTES[unquantised_dtype(precision)]
    share = 1.0
    if architecture.experts and architecture.active_experts:
        share = architecture.active_experts / architecture.experts
    total = step = packed = 0
    for matrix in architecture.matrices:
        if _packs(matrix, precision, architecture.model_type):
            held = matrix.count * _packed(matrix, precision, device)
            packed += held
        else:
            held = matrix.weights * element
        total += held
        step += round(held * share) if matrix.kind == "expert" else held
    small = element * (architecture.biases + architecture.norms)
    table, head = element * architecture.input_embedding, element * architecture.head
    if architecture.tied:
        return WeightBytes(total + small + table, step + small + table, packed)
    return WeightBytes(total + small + table + head, step + small + head, packed)


def unquantised_dtype(precision: Precision) -> str:
    """The dtype of unquantised weights and of the KV cache.

    Raises:
        CodewattError: the method's settings do not have it.
    """
    method = precision["method"]
    key = "dtype" if method == "none" else "compute_dtype"
    if key not in precision:
        raise CodewattError(
            f"precision method {method!r}: its settings have no {key}, the dtype of unquantised "
            "weights; add it to the method's class in config/compression_settings.py"
        )
    return str(precision[key])


def _packs(matrix: Matrix, precision: Precision, model_type: str) -> bool:
    """Whether the method quantises a matrix: every linear layer except the head.

    transformers fuses experts into parameters, which bitsandbytes and torchao do not quantise.
    Checkpoints of GPTQ and AWQ contain the quantised matrices of each expert.
    """
    method = precision["method"]
    if method == "none" or matrix.name in _LEFT.get((method, model_type), ()):
        return False
    return matrix.kind == "linear" or (matrix.kind == "expert" and method in ("gptq", "awq"))


def _packed(matrix: Matrix, precision: Precision, device: str) -> int:
    """Size of one quantised matrix (bytes)."""
    method = precision["method"]
    if method == "bitsandbytes":
        return _bitsandbytes(matrix, precision)
    if method == "torchao":
        return _torchao(matrix, precision, device)
    if method in ("gptq", "awq"):
        return _grouped(matrix, precision)
    raise CodewattError(
        f"precision method {method!r}: its size is unknown; allowed: {', '.join(METHODS)}; "
        "sizing/weight_bytes.py computes the size of each method"
    )


def _bitsandbytes(matrix: Matrix, precision: Precision) -> int:
    """LLM.int8(): 1 byte per weight, a float32 scale per row. 4 bits: a float32 scale per block."""
    weights = matrix.outs * matrix.ins
    if precision["quant_type"] == "int8":
        return weights + 4 * matrix.outs
    blocks, book = -(-weights // _BLOCK), 4 * _BOOK
    if not precision.get("double_quantisation"):
        return -(-weights // 2) + 4 * blocks + book
    nested = (
        blocks + 4 * -(-blocks // _NESTED_BLOCK) + 4 * 256 + 4
    )  # with their own code book and offset
    return -(-weights // 2) + nested + book


def _torchao(matrix: Matrix, precision: Precision, device: str) -> int:
    """int8: a float32 scale and an int8 zero point per row. int4: scale and zero point per group.

    fp8: a float32 scale per row. fp8_dynamic: one float32 scale per matrix.
    """
    outs, ins = matrix.outs, matrix.ins
    if precision["quant_type"] == "int8":
        return outs * ins + 5 * outs
    if precision["quant_type"] != "int4":
        return outs * ins + (4 if precision["quant_type"] == "fp8_dynamic" else 4 * outs)
    scale = DTYPE_BYTES[unquantised_dtype(precision)]
    if device == "cuda":
        outs, ins, scale = outs + -outs % _TILE_OUT, ins + -ins % _TILE_IN, 2
    return outs * ins // 2 + 2 * scale * outs * (ins // int(precision["group_size"]))


def _grouped(matrix: Matrix, precision: Precision) -> int:
    """GPTQ and AWQ: quantised weights; per group a 16-bit scale and a zero point of `bits` bits.

    GPTQ also stores the group index of each input (g_idx, int32).
    """
    bits, group_size = int(precision["bits"]), int(precision["group_size"])
    groups = 1 if group_size == -1 else -(-matrix.ins // group_size)
    group_indices = 4 * matrix.ins if precision["method"] == "gptq" else 0
    quantised = matrix.outs * matrix.ins * bits // 8
    return quantised + groups * matrix.outs * (2 * 8 + bits) // 8 + group_indices
