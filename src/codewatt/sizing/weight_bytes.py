"""Bytes of a model's weights in each precision, from its architecture: nothing is loaded.

Each is what the library really keeps, scales and zero points with the codes (tests compare them
with loaded models); which matrices a library packs is told in `_packs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codewatt.errors import CodewattError
from codewatt.sizing.layer_shapes import Matrix
from codewatt.sizing.parameter_counts import Architecture

Precision = Mapping[str, Any]

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
METHODS = ("none", "bitsandbytes", "torchao", "gptq", "awq")
#: DeepSeek's kv_b_proj is read as a raw matrix, so bitsandbytes leaves it (quantise.bitsandbytes).
_LEFT = {("bitsandbytes", "deepseek_v2"): ("kv_b_proj",)}
_BLOCK, _NESTED_BLOCK, _BOOK = 64, 256, 16  # bitsandbytes' 4 bits: weights, scales; book's entries
_TILE_IN, _TILE_OUT = 1024, 8  # torchao's int4 on a GPU packs whole tiles


@dataclass(frozen=True)
class WeightBytes:
    """Bytes of a variant's weights.

    Attributes:
        total: all that is loaded.
        step: what one pass must read: without a table that is looked up only, of routed experts
            those of one token.
        packed: of the codes, scales and zero points of quantised matrices.
    """

    total: int
    step: int
    packed: int


def weight_bytes(
    architecture: Architecture, precision: Precision, device: str = "cuda"
) -> WeightBytes:
    """Size of a model in a precision.

    Args:
        architecture: pruned already, if it is to be.
        precision: a study's precision: its method and that method's settings.
        device: 'cuda' or 'cpu'; torchao packs int4 differently for them.

    Raises:
        CodewattError: the method's format is not known here.
    """
    element = DTYPE_BYTES[rest_dtype(precision)]
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


def rest_dtype(precision: Precision) -> str:
    """The dtype of all that is not quantised, and of the key/value cache.

    Raises:
        CodewattError: the method's settings do not have it.
    """
    method = precision["method"]
    key = "dtype" if method == "none" else "compute_dtype"
    if key not in precision:
        raise CodewattError(
            f"precision method {method!r}: its settings have no {key}, the dtype of what is not "
            "quantised; add it to the method's class in config/compression_settings.py"
        )
    return str(precision[key])


def _packs(matrix: Matrix, precision: Precision, model_type: str) -> bool:
    """Whether the method quantises a matrix: each linear layer but the head.

    transformers fuses experts into parameters, which bitsandbytes and torchao leave as they are;
    checkpoints of GPTQ and AWQ hold each expert's matrices packed.
    """
    method = precision["method"]
    if method == "none" or matrix.name in _LEFT.get((method, model_type), ()):
        return False
    return matrix.kind == "linear" or (matrix.kind == "expert" and method in ("gptq", "awq"))


def _packed(matrix: Matrix, precision: Precision, device: str) -> int:
    """Bytes of one packed matrix."""
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
    """LLM.int8(): a byte a weight and a float32 scale a row. 4 bits: a float32 scale a block."""
    weights = matrix.outs * matrix.ins
    if precision["quant_type"] == "int8":
        return weights + 4 * matrix.outs
    blocks, book = -(-weights // _BLOCK), 4 * _BOOK
    if not precision.get("double_quantisation"):
        return -(-weights // 2) + 4 * blocks + book
    nested = blocks + 4 * -(-blocks // _NESTED_BLOCK) + 4 * 256 + 4  # with their book and offset
    return -(-weights // 2) + nested + book


def _torchao(matrix: Matrix, precision: Precision, device: str) -> int:
    """int8: a float32 scale and an int8 zero a row; int4: two scales a group of inputs.

    fp8: a scale a row, with dynamic inputs one in all.
    """
    outs, ins = matrix.outs, matrix.ins
    if precision["quant_type"] == "int8":
        return outs * ins + 5 * outs
    if precision["quant_type"] != "int4":
        return outs * ins + (4 if precision["quant_type"] == "fp8_dynamic" else 4 * outs)
    scale = DTYPE_BYTES[rest_dtype(precision)]
    if device == "cuda":
        outs, ins, scale = outs + -outs % _TILE_OUT, ins + -ins % _TILE_IN, 2
    return outs * ins // 2 + 2 * scale * outs * (ins // int(precision["group_size"]))


def _grouped(matrix: Matrix, precision: Precision) -> int:
    """GPTQ and AWQ: codes, a 16-bit scale and a zero of as many bits as a code a group.

    GPTQ's files name the group of each input as well (g_idx, int32).
    """
    bits, group_size = int(precision["bits"]), int(precision["group_size"])
    groups = 1 if group_size == -1 else -(-matrix.ins // group_size)
    order = 4 * matrix.ins if precision["method"] == "gptq" else 0
    codes = matrix.outs * matrix.ins * bits // 8
    return codes + groups * matrix.outs * (2 * 8 + bits) // 8 + order
