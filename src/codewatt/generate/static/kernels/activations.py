"""What the GEMV and GEMM kernels share: kinds of norms, kinds of weights, activations."""

import triton
import triton.language as tl

NO_NORM, LAYER_NORM, RMS_NORM = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
DENSE, EIGHT_BIT, FOUR_BIT = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


@triton.jit
def _tanh(x):
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def apply_activation(x, activation: tl.constexpr):
    """The activation of each element of x; x itself if there is none."""
    if activation == "gelu_tanh":
        return 0.5 * x * (1 + _tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))
    if activation == "gelu":
        return 0.5 * x * (1 + tl.erf(x * 0.7071067811865476))
    if activation == "silu":
        return x * tl.sigmoid(x)
    if activation == "relu":
        return tl.maximum(x, 0.0)
    return x
