"""The formulas of Buis 2024 as printed: against values by hand, and against torch."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from codewatt.evaluate.pass_at_k import pass_at_k
from codewatt.published.buis_2024.model import printed_costs as costs
from codewatt.published.buis_2024.model import printed_definitions as definitions
from codewatt.published.buis_2024.model import printed_parameters as printed
from codewatt.published.buis_2024.model.printed_parameters import ModelVariables

#: l=2 m=4 h=3 d=5 v=7 c=11 d_ff=6 k=5; experts: inner 8, 9 routed, 1 shared, in one layer.
X = ModelVariables(2, 4, 3, 5, 7, 11, 6, 5, 8, 9, 1, 1)
ARRAYS = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("equation", "function", "by_hand"),
    [
        ("3.4", printed.embedding_parameters, 28),
        ("3.5", printed.positional_parameters, 44),
        ("3.7", printed.attention_parameters, 480),
        ("3.9", printed.feed_forward_parameters_per_layer, 586),
        ("3.10", printed.feed_forward_parameters, 1172),
        ("3.10 meant", printed.feed_forward_parameters_meant, 116),
        ("3.12", printed.norm_parameters, 40),
        ("3.13", printed.output_parameters, 35),
        ("3.14", printed.scaled_inner_size, 12.0),
        ("3.15", printed.parameters_per_expert, 48 + 48 + 12 + 4),
        ("3.16", printed.total_experts, 10),
        ("3.17", printed.expert_parameters, 1120),
        ("3.18", printed.gating_parameters, 36),
        ("3.20", printed.moe_parameters_per_layer, 1156),
        ("3.21", printed.moe_parameters, 1156),
        # 28 + 44 + 480 + 40 + 35 = 627 outside feed-forward networks.
        ("3.19", printed.total_dense_parameters, 627 + 1172),
        ("3.19 expanded", printed.total_dense_parameters_expanded, 627 + 2 * 24**2 + 5 * 4 * 2),
        ("3.19 meant", printed.total_dense_parameters_meant, 627 + 116),
        ("3.22", printed.total_moe_parameters, 627 + 1156),
    ],
)
def test_parameters_are_as_printed(equation: str, function: Any, by_hand: float) -> None:
    assert function(X) == by_hand, equation


def test_the_two_lines_of_3_19_agree_only_for_an_inner_layer_of_four_times_the_model() -> None:
    wide = ModelVariables(2, 4, 3, 5, 7, 11, 16, 5)
    assert printed.total_dense_parameters(wide) == printed.total_dense_parameters_expanded(wide)
    assert printed.total_dense_parameters(X) != printed.total_dense_parameters_expanded(X)


@pytest.mark.parametrize(
    ("equation", "value", "by_hand"),
    [
        ("3.23", costs.kv_bytes_per_token(100, 3, 4, 2), 2 * 100 * 12 * 2),
        ("3.24", costs.kv_bytes(5, 6, 100, 3, 4, 2), 5 * 6 * 4800),
        ("3.25", costs.kv_bytes_grouped(5, 6, 100, 3, 3, 4, 2), 5 * 6 * 1600),
        ("3.26", costs.vram_bytes(100, 2, 30, 4), 200 + 120),
        ("3.27", costs.prefill_compute(100, 5, 6), 6000),
        ("3.28", costs.prefill_memory(100), 200),
        ("3.29", costs.decode_compute(100, 5), 1000),
        ("3.30", costs.decode_memory(100), 200),
        ("3.31", costs.time_to_first_token_s(6000, 1000, 200, 50), 10),
        ("3.32", costs.time_per_output_token_s(1000, 1000, 200, 50), 5),
        ("3.33", costs.total_generation_time_s(10, 5, 7), 45),
        ("3.34", costs.energy_j(350, 45), 15750),
        ("3.37", definitions.pass_per_kwh(0.47, 1.68), 0.47 / 1.68),
    ],
)
def test_costs_are_as_printed(equation: str, value: float, by_hand: float) -> None:
    assert value == pytest.approx(by_hand, rel=1e-15), equation


def test_gate_and_mixture() -> None:
    gate, outputs = ARRAYS.normal(size=6), ARRAYS.normal(size=(6, 4))
    probabilities = definitions.gate_probabilities(gate)
    assert probabilities == pytest.approx(torch.softmax(torch.tensor(gate), 0).numpy())
    both = definitions.mixture_output(probabilities, outputs, [1, 4])
    assert both == pytest.approx(probabilities[[1, 4]] @ outputs[[1, 4]])
    # Not a convex combination: the selected probabilities do not sum to 1.
    assert probabilities[[1, 4]].sum() < 1


def test_input_attention_feed_forward_and_norm_agree_with_torch() -> None:
    x = ARRAYS.normal(size=(5, 6))
    chosen = np.array([3, 0, 2])
    table, positions = ARRAYS.normal(size=(4, 6)), ARRAYS.normal(size=(3, 6))
    embedded = torch.nn.functional.embedding(torch.tensor(chosen), torch.tensor(table)).numpy()
    found = definitions.embedded_input(np.eye(4)[chosen], table, positions)
    assert found == pytest.approx(embedded + positions)

    attention = torch.nn.MultiheadAttention(6, 2, bias=False, dtype=torch.float64)
    t = torch.tensor(x)
    q, k, v = (t @ w.T for w in attention.in_proj_weight.chunk(3))
    heads = [
        torch.nn.functional.scaled_dot_product_attention(q[:, s], k[:, s], v[:, s]).detach().numpy()
        for s in (slice(0, 3), slice(3, 6))
    ]
    output = attention.out_proj.weight.detach().numpy().T
    expected = attention(t, t, t)[0].detach().numpy()
    assert definitions.multi_head(heads, output) == pytest.approx(expected)

    w_1, b_1, w_2, b_2 = (ARRAYS.normal(size=s) for s in ((6, 8), (8,), (8, 6), (6,)))
    relu = torch.relu(t @ torch.tensor(w_1) + torch.tensor(b_1)) @ torch.tensor(w_2)
    found = definitions.feed_forward(x, w_1, b_1, w_2, b_2)
    assert found == pytest.approx(relu.numpy() + b_2)

    gamma, beta = ARRAYS.normal(size=6), ARRAYS.normal(size=6)
    norm = torch.nn.functional.layer_norm(t, (6,), torch.tensor(gamma), torch.tensor(beta), 1e-5)
    assert definitions.layer_norm(x, gamma, beta, 1e-5) == pytest.approx(norm.numpy())


def test_pass_at_k_counts_draws_without_a_correct_sample() -> None:
    samples = [True, True, False, False, False]
    draws = list(itertools.combinations(samples, 3))
    wrong = sum(not any(draw) for draw in draws) / len(draws)
    assert definitions.all_wrong_probability(5, 2, 3) == pytest.approx(wrong)
    own = np.mean([pass_at_k(5, correct, 3) for correct in (0, 2, 5)])
    assert definitions.pass_at_k(5, [0, 2, 5], 3) == pytest.approx(own)
