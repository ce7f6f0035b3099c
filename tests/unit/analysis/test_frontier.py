"""The efficient frontier: ties, absent figures, dominated points, and what is never mixed."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from codewatt.analysis.efficient_frontier import efficient_mask, frontier_cells

figure = st.one_of(st.none(), st.integers(0, 6).map(float))


def test_a_point_that_costs_more_and_scores_no_better_is_dominated() -> None:
    assert efficient_mask([(1, 0.5), (2, 0.5), (3, 0.9), (4, 0.8)]) == [True, False, True, False]


def test_equal_points_share_their_fate() -> None:
    assert efficient_mask([(1, 0.5), (1, 0.5), (2, 0.4), (2, 0.4)]) == [True, True, False, False]


def test_of_equal_cost_the_better_score_wins() -> None:
    assert efficient_mask([(1, 0.5), (1, 0.6)]) == [False, True]


def test_absent_figures_are_never_efficient_and_dominate_nothing() -> None:
    assert efficient_mask([(None, 0.9), (1, None), (2, 0.5)]) == [False, False, True]
    assert efficient_mask([]) == []


@given(st.lists(st.tuples(figure, figure), max_size=12))
def test_the_frontier_is_what_its_definition_says(points: list[tuple[Any, Any]]) -> None:
    def dominated(point: tuple[Any, Any]) -> bool:
        return any(
            None not in other and other[0] <= point[0] and other[1] >= point[1] and other != point
            for other in points
        )

    want = [None not in point and not dominated(point) for point in points]
    assert efficient_mask(points) == want


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1)), max_size=12))
def test_along_the_frontier_more_energy_buys_more_accuracy(points: list[Any]) -> None:
    kept = {p for p, member in zip(points, efficient_mask(points), strict=True) if member}
    assert all(a[1] < b[1] for a, b in pairwise(sorted(kept)))


def row(cell_id: str, energy: float | None, score: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "cell_id": cell_id,
        "benchmark": "b",
        "prompt": "stripped",
        "token_limit": 64,
        "batch_size": 1,
        "engine": "e",
        "hardware": None,
        "valid": True,
        "energy_j_geomean": energy,
        "pass_at_1_plus": score,
        "gpu_energy_status": "measured",
        "cpu_energy_status": "modelled",
        "dram_energy_status": "modelled",
        **changes,
    }


def test_cells_that_failed_a_check_are_left_out_of_the_frontier() -> None:
    rows = [row("a", 1, 0.9, valid=False), row("b", 2, 0.5), row("c", 1, 0.9, valid=None)]
    assert frontier_cells(rows, "pass_at_1_plus") == {"b"}


def test_cells_of_other_settings_do_not_compete() -> None:
    rows = [row("a", 1, 0.9), row("b", 2, 0.5, token_limit=128)]
    assert frontier_cells(rows, "pass_at_1_plus") == {"a", "b"}


def test_totals_of_different_components_do_not_compete() -> None:
    rows = [row("a", 1, 0.9, gpu_energy_status="unavailable"), row("b", 2, 0.5)]
    assert frontier_cells(rows, "pass_at_1_plus") == {"a", "b"}
