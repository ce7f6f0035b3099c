"""Equations 3.1 to 3.3, 3.6, 3.8, 3.11 and 3.35 to 3.37 of Buis 2024: definitions it repeats.

They are as printed, on numpy arrays. Rows are tokens.
"""

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def gate_probabilities(gate: Array) -> Array:
    """Equation 3.1: softmax of the gating function's outputs for N experts, shape (N,)."""
    powers = np.exp(gate)
    return np.asarray(powers / powers.sum())


def mixture_output(probabilities: Array, outputs: Array, selected: Sequence[int]) -> Array:
    """Equation 3.2: sum over the selected experts of probability times output.

    Args:
        probabilities: of all experts, shape (N,).
        outputs: of all experts, shape (N, m).
        selected: indices of the selected experts.
    """
    return np.asarray(sum(probabilities[i] * outputs[i] for i in selected))


def embedded_input(tokens: Array, embedding: Array, positions: Array) -> Array:
    """Equation 3.3: U W_e + W_p, with shapes (c, v), (v, m) and (c, m)."""
    return tokens @ embedding + positions


def multi_head(heads: Sequence[Array], output: Array) -> Array:
    """Equation 3.6: Concat(head_1, ..., head_h) W^O, with heads of shape (c, d)."""
    return np.concatenate(heads, axis=1) @ output


def feed_forward(x: Array, w_1: Array, b_1: Array, w_2: Array, b_2: Array) -> Array:
    """Equation 3.8: max(0, x W_1 + b_1) W_2 + b_2."""
    return np.maximum(0, x @ w_1 + b_1) @ w_2 + b_2


def layer_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    """Equation 3.11: (x - E[x]) / sqrt(Var[x] + eps) * gamma + beta, for each row."""
    centred = x - x.mean(axis=1, keepdims=True)
    scale = np.sqrt(x.var(axis=1, keepdims=True) + epsilon)
    return np.asarray(centred / scale * gamma + beta)


def all_wrong_probability(samples: int, correct: int, drawn: int) -> float:
    """Equation 3.35: C(n - c, k) / C(n, k), the probability that no drawn sample is correct."""
    return comb(samples - correct, drawn) / comb(samples, drawn)


def pass_at_k(samples: int, correct: Sequence[int], drawn: int) -> float:
    """Equation 3.36: mean over problems of 1 - C(n - c, k) / C(n, k).

    Args:
        samples: n, samples of each problem.
        correct: c of each problem.
        drawn: k.
    """
    return float(np.mean([1 - all_wrong_probability(samples, c, drawn) for c in correct]))


def pass_per_kwh(pass_rate: float, energy_kwh: float) -> float:
    """Equation 3.37 (1/kWh): pass@k / energy."""
    return pass_rate / energy_kwh
