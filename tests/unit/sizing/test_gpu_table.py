"""GpuByHardware are looked up by the names that people and clusters give them."""

import pytest

from codewatt.errors import CodewattError
from codewatt.sizing.gpu_datasheets import get_gpu, gpus


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("l40s", "l40s"),
        ("L40S", "l40s"),
        ("NVIDIA L40S", "l40s"),
        ("a100", "a100-40"),
        ("A100_80", "a100-80"),
        ("H100", "h100"),
    ],
)
def test_a_name_finds_its_card(name, card):
    assert get_gpu(name).id == card


def test_an_unknown_card_is_said_with_those_that_are_known():
    with pytest.raises(
        CodewattError, match=r"GPU 'b999' is not in the table of GPUs; allowed: t4, .*h200"
    ):
        get_gpu("b999")


def test_every_card_has_what_estimates_need_and_a_source():
    for card in gpus().values():
        assert 15e9 < card.memory_bytes < 200e9
        assert 1e11 < card.bandwidth_bytes_per_s < 1e13
        assert card.flops_per_s["float32"] < card.flops_per_s["float16"]
        assert 50 < card.tdp_w < 1100
        assert card.idle_w is None or card.idle_w < card.tdp_w / 2
        assert card.source.startswith(card.name.split(" ")[0])
    # Matrix units for bfloat16 came with Ampere.
    assert {c.id for c in gpus().values() if "bfloat16" not in c.flops_per_s} == {
        "t4", "v100-16", "v100-32",
    }  # fmt: skip
