"""bitsandbytes changes the model, says by how much, and its files load to the same model."""

import pytest

from codewatt.errors import CodewattError
from codewatt.models.loading import load_model
from codewatt.quantise.bitsandbytes import count_quantised
from codewatt.quantise.linear_selection import linear_layers
from codewatt.quantise.quantiser import open_quantiser

INT8 = {"quant_type": "int8", "compute_dtype": "float32", "outlier_threshold": 6.0}
FOUR_BIT = {"compute_dtype": "float32", "double_quantisation": False}
SETTINGS = {
    "int8": {**INT8, "double_quantisation": False},
    "int8-no-outliers": {**INT8, "double_quantisation": False, "outlier_threshold": 0.0},
    "fp4": {**FOUR_BIT, "quant_type": "fp4"},
    "nf4": {**FOUR_BIT, "quant_type": "nf4"},
    "nf4-double": {**FOUR_BIT, "quant_type": "nf4", "double_quantisation": True},
}
LEAST_COSINE = {"int8": 0.999, "int8-no-outliers": 0.999, "fp4": 0.9, "nf4": 0.9, "nf4-double": 0.9}


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("architecture", ["starcoder2", "qwen2"])
def test_quantised_models_are_close_but_not_equal(tiny_model, tmp_path, architecture, kind):
    import torch

    source = tiny_model(architecture)
    settings = SETTINGS[kind]
    counts = open_quantiser("bitsandbytes").quantise(source, tmp_path / "q", settings, "cpu")
    assert counts["quantised_modules"] == 4 * (6 if architecture == "starcoder2" else 7)
    base = load_model(source, dtype="float32", device="cpu")
    quantised = load_model(tmp_path / "q", dtype="float32", device="cpu")
    ids = base.tokenizer("def add(a, b):\n", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        wanted, got = base.model(ids).logits.flatten(), quantised.model(ids).logits.flatten()
    assert not torch.equal(wanted, got), "quantising changed nothing"
    assert torch.cosine_similarity(wanted, got, dim=0) > LEAST_COSINE[kind]


def test_experts_that_stay_unquantised_are_counted(tiny_model, tmp_path):
    """In a mixture of experts bitsandbytes leaves the fused experts: the counts say so."""
    counts = open_quantiser("bitsandbytes").quantise(
        tiny_model("deepseek_v2"), tmp_path / "q", SETTINGS["int8"], "cpu"
    )
    experts = 3 * 4 * 3 * 64 * 64  # layers x experts x matrices x size
    assert counts["unquantised_weights"] > experts


def test_what_is_not_as_it_was_asked_for_is_refused(tiny_model, tmp_path):
    source = tiny_model("qwen2")
    open_quantiser("bitsandbytes").quantise(source, tmp_path / "q", SETTINGS["fp4"], "cpu")
    layers = linear_layers(source)
    base = load_model(source, dtype="float32", device="cpu").model
    four_bit = load_model(tmp_path / "q", dtype="float32", device="cpu").model
    assert count_quantised(four_bit, layers, SETTINGS["fp4"])["quantised_modules"] == len(layers)
    for model, kind, made in [
        (base, "nf4", "'kind': 'unquantised'"),
        (base, "int8", "'kind': 'unquantised'"),
        (four_bit, "nf4", "'kind': 'fp4'"),
        (four_bit, "nf4-double", "'double': False"),
        (four_bit, "int8", "'bits': 4"),
    ]:
        with pytest.raises(CodewattError, match=rf"q_proj: bitsandbytes made .*{made}.*; expected"):
            count_quantised(model, layers, SETTINGS[kind])


def test_no_quantisation_writes_nothing(tmp_path):
    quantiser = open_quantiser("none")
    assert quantiser.quantise(tmp_path, tmp_path / "q", {"dtype": "float32"}, "cpu") is None
    assert not (tmp_path / "q").exists()
