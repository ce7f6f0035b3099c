"""Bytes of weights in each precision are those of the loaded model, to the last one."""

import math

import pytest

from codewatt.errors import CodewattError
from codewatt.models import loading
from codewatt.models.loading import load_model
from codewatt.quantise.quantiser import open_quantiser
from codewatt.quantise.torchao import expected_tensors
from codewatt.sizing.loaded_memory import memory_bytes, step_weight_bytes
from codewatt.sizing.parameter_counts import architecture_of
from codewatt.sizing.weight_bytes import weight_bytes

BNB = {"method": "bitsandbytes", "compute_dtype": "float32", "outlier_threshold": 6.0}
TORCHAO = {"method": "torchao", "compute_dtype": "bfloat16", "group_size": 32}
PRECISIONS = {
    "fp32": {"method": "none", "dtype": "float32"},
    "bf16": {"method": "none", "dtype": "bfloat16"},
    "int8": {**BNB, "quant_type": "int8", "double_quantisation": False},
    "nf4": {**BNB, "quant_type": "nf4", "double_quantisation": False},
    "fp4 twice": {**BNB, "quant_type": "fp4", "double_quantisation": True},
    "int8-wo": {**TORCHAO, "quant_type": "int8"},
    "int4-wo": {**TORCHAO, "quant_type": "int4"},
    "fp8-wo": {**TORCHAO, "quant_type": "fp8"},
}
ITEM_BYTES = {"int8": 1, "uint8": 1, "int32": 4, "float8_e4m3fn": 1, "float32": 4, "bfloat16": 2}
TYPES = ("starcoder2", "phi", "qwen2", "llama", "gpt_neox", "deepseek_v2")


def buffers(model):
    return sum(b.numel() * b.element_size() for b in model.buffers())


@pytest.mark.parametrize("model_type", TYPES)
@pytest.mark.parametrize("name", PRECISIONS)
def test_they_are_those_of_the_loaded_model(tiny_model, tmp_path, monkeypatch, model_type, name):
    # A CPU with AVX-512 packs bitsandbytes' 4-bit weights anew in its first pass; here as loaded.
    monkeypatch.setattr(loading, "check_model_logits", lambda model, name: None)
    precision, path = PRECISIONS[name], tiny_model(model_type)
    quantiser = open_quantiser(precision["method"])
    if quantiser.quantise(path, tmp_path, precision, "cpu"):
        path = tmp_path
    model = load_model(path, dtype=quantiser.load_dtype(precision), device="cpu").model
    counted = architecture_of(model.config.to_dict())
    sized = weight_bytes(counted, precision, "cpu")
    assert memory_bytes(model) == sized.total + buffers(model)
    assert step_weight_bytes(model, counted) == sized.step + buffers(model)


def one_layer(**changes):
    """A Llama of one layer, hidden 128, MLP 256, 2 heads of 64, 1 kv head, 10 tokens."""
    return architecture_of(
        {
            "model_type": "llama", "num_hidden_layers": 1, "hidden_size": 128,
            "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 256,
            "vocab_size": 10, **changes,
        }
    )  # fmt: skip


@pytest.mark.parametrize(("bits", "group_size"), [(4, 128), (8, 32), (4, -1)])
def test_gptq_is_codes_scales_zeros_and_the_group_of_each_input(bits, group_size):
    """By AutoGPTQ's tensors: qweight, qzeros and g_idx in int32, scales in float16."""
    precision = {
        "method": "gptq", "bits": bits, "group_size": group_size, "compute_dtype": "float16",
    }  # fmt: skip
    layers = [(128, 128), (64, 128), (64, 128), (128, 128), (256, 128), (256, 128), (128, 256)]
    expected = 0
    for outs, ins in layers:
        groups = 1 if group_size == -1 else ins // group_size
        words = ins * bits // 32 * outs + groups * (outs * bits // 32) + ins
        expected += 4 * words + 2 * groups * outs
    sized = weight_bytes(one_layer(), precision)
    assert sized.packed == expected
    assert sized.total == expected + 2 * (2 * 1280 + 3 * 128)
    assert sized.step == sized.total - 2 * 1280


def test_awq_is_the_same_without_the_order_of_inputs():
    gptq = {"method": "gptq", "bits": 4, "group_size": 64, "compute_dtype": "float16"}
    packed = weight_bytes(one_layer(), gptq).packed
    inputs = 5 * 128 + 128 + 256
    assert weight_bytes(one_layer(), {**gptq, "method": "awq"}).packed == packed - 4 * inputs


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        ("int8", "int8_plain"),
        ("int4", "int4_tile_packed"),
        ("fp8", "fp8_plain"),
        ("fp8_dynamic", "fp8_dynamic"),
    ],
)
def test_torchao_on_a_gpu_holds_what_the_quantiser_asks_for(kind, layout):
    """Int4's tiles are padded, fp8 with dynamic inputs has one scale a matrix."""
    precision = {**PRECISIONS["int4-wo"], "quant_type": kind, "group_size": 128}
    expected = 0
    for shape in [(128, 128), (64, 128), (64, 128), (128, 128), (256, 128), (256, 128), (128, 256)]:
        held = expected_tensors(shape, precision, layout).values()
        expected += sum(ITEM_BYTES[dtype] * math.prod(size) for dtype, size in held)
    assert weight_bytes(one_layer(), precision, "cuda").packed == expected


def test_an_unknown_method_is_said():
    with pytest.raises(CodewattError, match="precision method 'qat': its size is unknown; allowed"):
        weight_bytes(one_layer(), {"method": "qat", "compute_dtype": "float16"})


def test_settings_without_the_dtype_of_the_rest_are_said():
    with pytest.raises(CodewattError) as error:
        weight_bytes(one_layer(), {"method": "qat"})
    assert str(error.value) == (
        "precision method 'qat': its settings have no compute_dtype, the dtype of unquantised "
        "weights; add it to the method's class in config/compression_settings.py"
    )
