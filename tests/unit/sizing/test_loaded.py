"""The bytes that a step must read, of models that were really loaded."""

import subprocess
import sys

import pytest

from codewatt.models.loading import load_model
from codewatt.quantise.quantiser import open_quantiser
from codewatt.sizing import loaded_memory
from codewatt.sizing.loaded_memory import (
    PeakMemory,
    memory_bytes,
    step_parameter_bytes,
    step_weight_bytes,
)
from codewatt.sizing.parameter_counts import architecture_of


def weights(path, dtype="float32", quantisation=None):
    loaded = load_model(path, dtype=dtype, device="cpu", quantisation=quantisation)
    return loaded.model, architecture_of(loaded.model.config.to_dict())


def buffers(model):
    return sum(b.numel() * b.element_size() for b in model.buffers())


@pytest.mark.parametrize("model_type", ["llama", "gpt_neox", "qwen2", "phi"])
@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 2)])
def test_an_untied_table_is_not_read(tiny_model, model_type, dtype, size):
    model, counted = weights(tiny_model(model_type), dtype)
    read = step_weight_bytes(model, counted)
    assert read == size * (counted.parameters - counted.input_embedding) + buffers(model)
    assert memory_bytes(model) == model.get_memory_footprint()


def test_a_tied_table_is_the_head_and_is_read_once(tiny_model):
    model, counted = weights(tiny_model("starcoder2"))
    assert counted.tied
    assert step_weight_bytes(model, counted) == 4 * counted.parameters + buffers(model)


def test_of_experts_those_of_one_token_are_read(tiny_model):
    model, counted = weights(tiny_model("deepseek_v2"))
    read = 4 * (counted.active_parameters - counted.input_embedding) + buffers(model)
    assert step_weight_bytes(model, counted) == read
    more = 4 * (counted.parameters - counted.active_parameters)
    assert step_weight_bytes(model) == read + more


@pytest.mark.parametrize("model_type", ["llama", "starcoder2", "deepseek_v2"])
def test_parameters_alone_are_the_same_less_the_buffers(tiny_model, model_type):
    model, counted = weights(tiny_model(model_type), "bfloat16")
    read = step_weight_bytes(model, counted) - buffers(model)
    assert step_parameter_bytes(model, counted, 2) == read


@pytest.mark.parametrize("double", [False, True])
def test_4_bit_weights_count_as_packed_with_their_scales(tiny_model, double):
    import torch
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=double,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model, counted = weights(tiny_model("llama"), quantisation=config)
    packed = counted.layer_weights // 2
    blocks = counted.layer_weights // 64  # bitsandbytes: a scale for each 64 weights
    rest = 4 * (counted.head + counted.biases + counted.norms) + buffers(model)
    read = step_weight_bytes(model, counted) - packed - rest
    layers = 4 * 7
    books = layers * 16 * 4
    if not double:
        assert read == 4 * blocks + books
        return
    # Scales in 8 bits, with a scale for each 256 of them, their own book and an offset a layer.
    assert read >= blocks + books + layers * (256 * 4 + 4)
    assert read < 4 * blocks + books + layers * (256 * 4 + 4)


@pytest.mark.parametrize(("kind", "group_size"), [("int8", 128), ("fp8", 128), ("int4", 32)])
def test_torchao_weights_count_as_packed_with_their_scales(tiny_model, tmp_path, kind, group_size):
    settings = {"quant_type": kind, "compute_dtype": "bfloat16", "group_size": group_size}
    counts = open_quantiser("torchao").quantise(tiny_model("llama"), tmp_path, settings, "cpu")
    model, counted = weights(tmp_path, "bfloat16")
    rest = 2 * (counted.head + counted.biases + counted.norms) + buffers(model)
    assert step_weight_bytes(model, counted) == counts["packed_bytes"] + rest
    assert memory_bytes(model) == counts["packed_bytes"] + rest + 2 * counted.input_embedding
    assert counts["packed_bytes"] < 1.3 * counted.layer_weights / (2 if kind == "int4" else 1)


def test_8_bit_weights_count_as_bytes_with_a_scale_a_row_before_and_after_use(tiny_model):
    import torch
    from transformers import BitsAndBytesConfig

    model, counted = weights(
        tiny_model("llama"), quantisation=BitsAndBytesConfig(load_in_8bit=True)
    )
    rows = sum(
        module.out_features
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name != "lm_head"
    )
    rest = 4 * (counted.head + counted.biases + counted.norms) + buffers(model)
    expected = counted.layer_weights + 4 * rows + rest
    assert step_weight_bytes(model, counted) == expected
    with torch.inference_mode():
        model(torch.tensor([[1, 2, 3]]))
    assert step_weight_bytes(model, counted) == expected


def test_the_peak_leaves_out_what_it_is_told_to():
    """In a process of its own, as this one's peak is that of all tests before."""
    code = """
from codewatt.sizing.loaded_memory import PeakMemory
peak = PeakMemory("cpu")
first = peak.read()["host_bytes"]
with peak.excluded():
    held = b"x" * 400_000_000
    del held
assert peak.read()["device_bytes"] is None
print(peak.read()["host_bytes"] - first)
held = b"x" * 300_000_000
print(peak.read()["host_bytes"] - first)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    left_out, counted = map(int, done.stdout.split())
    assert left_out < 100e6 < 280e6 < counted < 390e6


def test_a_peak_that_linux_does_not_forget_is_no_figure(monkeypatch, tmp_path):
    monkeypatch.setattr(loaded_memory, "_CLEAR_REFS", tmp_path / "absent" / "clear_refs")
    peak = PeakMemory("cpu")
    assert peak.read()["host_bytes"] > 0
    with peak.excluded():
        pass
    assert peak.read() == {"device_bytes": None, "host_bytes": None}
