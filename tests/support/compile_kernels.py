"""Compile every kernel for a GPU that need not be there: what the interpreter does not check.

python tests/support/compile_kernels.py CAPABILITY   # 80 or 90
"""

import inspect
import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from codewatt.generate.static.kernels import attention, gemm, gemv

_HALF, _SINGLE = "*bf16", "*fp32"


def main(capability: int) -> None:
    """Compile, print a line for each."""
    pdl = {"PDL": capability >= 90}
    row = {
        "features": 3584, "inputs": 3072, "eps": 1e-5, "has_bias": True, "has_residual": True,
        "ROWS": 2, "BLOCKS": 528, "TURNS": 4, **pdl,
    }  # fmt: skip
    eight_bit = [(1, "*i8"), *([(1, "*fp8e4nv")] if capability >= 89 else [])]
    for kind, weights in ((0, _HALF), *eight_bit):
        for norm, gated, activation in ((0, False, ""), (1, False, "gelu_tanh"), (2, True, "silu")):
            constants = {
                **row, "kind": kind, "norm": norm, "gated": gated, "activation": activation,
                "COLUMNS": 1024,
            }  # fmt: skip
            compiled(gemv.gemv, capability, constants, w=weights, scale=_SINGLE)
    for norm, gated in ((1, False), (2, True)):
        constants = {
            **row, "group": 128, "norm": norm, "gated": gated, "activation": "gelu",
            "has_zero": True, "COLUMNS": 512, "ASM": True,
        }  # fmt: skip
        compiled(gemv.gemv_int4, capability, constants, qweight="*i32")
    for kind, weights in ((0, _HALF), *eight_bit, (2, "*i16")):
        constants = {
            "features": 3584, "inputs": 3072, "batch": 3, "kind": kind, "group": 128,
            "activation": "relu", "has_bias": True, "has_residual": True, "has_zero": kind == 2,
            "ROWS": 32, "COLUMNS": 128, "BATCH": 8, "SPLITS": 4, "STAGES": 4, "LINES": 8,
            "GROUPS": 8, "ASM": True, **pdl,
        }  # fmt: skip
        scale = _SINGLE if kind == 1 else _HALF
        compiled(gemm.gemm, capability, constants, w=weights, scale=scale)
    constants = {"inputs": 3072, "eps": 1e-5, "norm": 1, "has_beta": True, "COLUMNS": 4096, **pdl}
    compiled(gemm.norm_rows, capability, constants)
    constants = {
        "q_first": 0, "q_stride": 128, "k_first": 3072, "k_stride": 128, "v_first": 3328,
        "v_stride": 128, "kv_heads": 2, "group": 12, "size": 128, "rotary": 128, "scaling": 0.1,
        "splits": 5, "steps": 2, "GROUP": 16, "SIZE": 128, "POSITIONS": 64, **pdl,
    }  # fmt: skip
    sizes = dict.fromkeys(("qkv_stride", "cache_row", "cache_head"), "i32")
    positions = dict.fromkeys(("input_pos_ptr", "start_pos_ptr"), "*i64")
    compiled(attention.attention, capability, constants, **sizes, **positions)


def compiled(kernel, capability, constants, **types):
    """Compile one kernel; pointers are of 16-bit floats unless told otherwise, and aligned."""
    types |= {"partial": _SINGLE, "stats": _SINGLE, "arrived": "*i32", "sums": _SINGLE}
    names = list(inspect.signature(kernel.fn).parameters)
    signature = {
        name: "constexpr" if name in constants else types.get(name, _HALF) for name in names
    }
    source = ASTSource(
        kernel,
        signature,
        {(names.index(name),): value for name, value in constants.items()},
        {
            (index,): [["tt.divisibility", 16]]
            for index, name in enumerate(names)
            if signature[name].startswith("*")
        },
    )
    target = GPUTarget("cuda", capability, 32)
    made = triton.compile(source, target=target, options={"launch_pdl": capability >= 90})
    assert made.asm["cubin"]
    print(kernel.__name__, capability)


if __name__ == "__main__":
    main(int(sys.argv[1]))
