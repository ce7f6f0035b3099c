"""A variant that never shared a board with its baseline is told from one that did."""

import itertools

import pytest

from codewatt.analysis.confounding import (
    CellSession,
    Place,
    always_apart,
    confounding_checks,
    place_of,
    same_board_as_baseline,
    same_places,
)

BASE, VARIANT, ALONE = "m--full--fp16", "m--full--int8", "n--full--int8"
BASELINES = {BASE: BASE, VARIANT: BASE, ALONE: None}
A, B, C = (Place("gpu01", (f"GPU-{name}",)) for name in "abc")
ELSEWHERE = Place("gpu02", A.boards)


def places(base, variant):
    """Where the two ran, a place for each session."""
    found = {CellSession(BASE, at): place for at, place in enumerate(base, start=1)}
    return found | {CellSession(VARIANT, at): place for at, place in enumerate(variant, start=1)}


def outcome(base, variant):
    """(passed, severity) of the variant in each session."""
    results = confounding_checks(places(base, variant), BASELINES)
    assert {key.cell_id for key in results} == {VARIANT}, "a baseline is not compared with itself"
    return [(results[key]["passed"], results[key]["severity"]) for key in sorted(results)]


@pytest.mark.parametrize(
    ("base", "variant", "wanted"),
    [
        ([A, A], [A, A], [(True, "warning")] * 2),
        ([A, B], [A, B], [(True, "warning")] * 2),
        ([A, A], [A, B], [(True, "warning"), (False, "warning")]),
        # Each on both boards, never at one time: some of the difference between boards is averaged.
        ([A, B], [B, A], [(False, "warning")] * 2),
        ([A, A], [B, B], [(False, "error")] * 2),
        ([A, B, A], [C, C, C], [(False, "error")] * 3),
        ([A, A], [ELSEWHERE, ELSEWHERE], [(False, "error")] * 2),
        ([A], [B], [(False, "warning")]),
        ([A], [A], [(True, "warning")]),
    ],
)
def test_it_fails_where_boards_differ_and_is_an_error_where_they_always_do(base, variant, wanted):
    assert outcome(base, variant) == wanted


def test_every_assignment_of_two_boards_in_three_sessions():
    """Written a second time: an error if and only if no board saw both."""
    for boards in itertools.product((A, B), repeat=6):
        base, variant = boards[:3], boards[3:]
        shared = set(base) & set(variant)
        for (passed, severity), one, other in zip(
            outcome(base, variant), base, variant, strict=True
        ):
            assert passed == (one == other)
            assert (severity == "error") == (not shared)


def test_a_session_without_the_baseline_is_not_decided():
    placed = places([A], [A, B])
    assert same_board_as_baseline(placed, BASELINES)[CellSession(VARIANT, 2)] is None
    assert CellSession(VARIANT, 2) not in confounding_checks(placed, BASELINES)


def test_cells_without_a_baseline_are_not_decided():
    placed = {CellSession(ALONE, 1): A}
    assert same_board_as_baseline(placed, BASELINES) == {CellSession(ALONE, 1): None}
    assert confounding_checks(placed, BASELINES) == {}


def test_the_detail_says_what_was_compared():
    result = confounding_checks(places([A, A], [B, B]), BASELINES)[CellSession(VARIANT, 2)]
    assert (result["observed"], result["limit"]) == ("gpu01, GPU-b", "gpu01, GPU-a")
    assert result["detail"] == (
        "session 2: host and GPUs of the cell against those of its baseline; the cell never ran on "
        "a board of its baseline"
    )


def test_a_place_is_the_slurm_node_and_the_gpus_that_computed():
    gpus = [{"index": 1, "uuid": "GPU-z", "name": "x"}, {"index": 0, "uuid": "GPU-y", "name": "x"}]
    slurm = {
        "job_id": "7", "node": "gpu03", "partition": "gpu", "gres": "gpu:x:2", "gpu_indices": "0,1",
        "exclusive": False,
    }  # fmt: skip
    placement = {"hardware": None, "slurm": slurm, "gpus": gpus}
    assert place_of("host", placement, "cuda") == Place("gpu03", ("GPU-y", "GPU-z"))
    without = {**placement, "slurm": None, "gpus": []}
    assert place_of("host", without, "cpu") == Place("host", ())
    assert not place_of("host", without, "cuda").known
    assert not place_of(None, without, "cpu").known


def test_unknown_places_are_never_known_to_be_the_same():
    for unknown in (Place("host", None), Place(None, ())):
        assert not same_places({1: unknown}, {1: unknown})
        assert not always_apart({1: unknown, 2: A}, {1: B, 2: B})
        found = places([unknown, A], [unknown, A])
        assert same_board_as_baseline(found, BASELINES)[CellSession(VARIANT, 1)] is False
        result = confounding_checks(found, BASELINES)[CellSession(VARIANT, 1)]
        assert (result["passed"], result["severity"]) == (False, "warning")
    assert not same_places({}, {})


def test_places_are_compared_within_each_session():
    assert same_places({1: A, 2: B}, {1: A, 2: B})
    assert same_places({1: A, 2: B}, {1: A})
    assert not same_places({1: A, 2: B}, {1: A, 2: A})
    assert same_places({1: A, 2: A}, {3: A})
    assert not same_places({1: A}, {2: B})
