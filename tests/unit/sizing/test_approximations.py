"""Printed formulas hold for the decoder that they were made for, and are off as documented."""

from pathlib import Path

import pytest

from codewatt.sizing.known_configs import known_models
from tests.support.architectures import COMMON
from tests.support.printed_formulas import compare

PAGE = Path(__file__).resolve().parents[3] / "docs/explanation/estimate.md"


def test_they_are_right_for_a_plain_decoder_but_for_its_head_and_half_of_attention():
    """GPT-NeoX is built as in 2017; with a small vocabulary and no context nothing is missing."""
    config = {
        "model_type": "gpt_neox", **COMMON, "hidden_size": 1024, "intermediate_size": 4096,
        "vocab_size": 8,
    }  # fmt: skip
    plain = compare(config, context=1)
    assert plain.layer_weights == 1
    assert plain.cache == 1
    assert plain.flops == pytest.approx(1, abs=0.001)
    long = compare(config, context=100_000)
    assert long.flops == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("repo", "grouped"),
    [
        ("bigcode/starcoder2-3b", 24 / 2),
        ("bigcode/starcoder2-7b", 36 / 4),
        ("meta-llama/Llama-3.1-8B", 32 / 8),
        ("Qwen/Qwen2.5-Coder-7B", 28 / 4),
        ("microsoft/phi-2", 1),
    ],
)
def test_the_cache_is_off_by_the_heads_that_share_keys(repo, grouped):
    assert compare(known_models()[repo].config).cache == grouped


def test_the_documented_table_is_what_the_formulas_give():
    page = PAGE.read_text()
    first: dict[int, str] = {}
    for repo, model in known_models().items():
        first.setdefault(id(model.config), repo)
    assert len(first) == 13
    for repo in first.values():
        found = compare(known_models()[repo].config)
        name = repo.split("/")[1]
        cells = (found.layer_weights, found.flops, found.cache)
        assert f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |" in page
