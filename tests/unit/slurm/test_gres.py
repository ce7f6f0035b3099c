"""GRES strings as sbatch takes them and as scontrol shows them."""

import pytest

from codewatt.slurm.gres import (
    Gres,
    gpu_counts,
    gpu_request,
    is_gpu_request,
    is_requestable_type,
    parse_gres,
    parse_indices,
)


@pytest.mark.parametrize(
    ("text", "gres"),
    [
        ("gpu:l40s:2", (Gres("gpu", "l40s", 2),)),
        ("gpu:2", (Gres("gpu", None, 2),)),
        ("gpu", (Gres("gpu", None, 1),)),
        ("gpu:l40s", (Gres("gpu", "l40s", 1),)),
        ("gpu:l40s:1(IDX:0,2)", (Gres("gpu", "l40s", 1),)),
        ("gpu:a100:4(S:0-1),lscratch:9", (Gres("gpu", "a100", 4), Gres("lscratch", None, 9))),
        ("(null)", ()),
        ("", ()),
    ],
)
def test_gres(text: str, gres: tuple[Gres, ...]) -> None:
    assert parse_gres(text) == gres


def test_gpus_are_counted_by_type() -> None:
    assert gpu_counts("gpu:a100:4(S:0),gpu:l40s:2(S:1),gpu:a100:1,lscratch:9") == {
        "a100": 5,
        "l40s": 2,
    }
    assert gpu_counts("gpu:3") == {"": 3}
    assert gpu_counts("gpumem:80") == {}


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("gpu:1", True), ("gpu:l40s:4", True), ("gpu:a100_sxm4.80:1", True),
        ("gpu:a100-sxm4:1", False), ("gpu:0", False), ("gpu", False), ("gpu:1,gpu:2", False),
        ("lscratch:1", False), ("gpu:l40s:", False),
    ],
)  # fmt: skip
def test_requests_that_the_executor_accepts(text: str, accepted: bool) -> None:
    assert is_gpu_request(text) is accepted


def test_the_parts_of_a_request() -> None:
    assert gpu_request("gpu:l40s:2") == Gres("gpu", "l40s", 2)
    assert is_requestable_type("a100_80")
    assert not is_requestable_type("a100-80")


@pytest.mark.parametrize(
    ("text", "indices"),
    [("0-2,5", {0, 1, 2, 5}), ("3", {3}), ("", set()), ("N/A", set()), ("1-x", set())],
)
def test_indices(text: str, indices: set[int]) -> None:
    assert parse_indices(text) == indices
