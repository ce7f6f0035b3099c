"""torchao changes the model as asked, says by how much, and its files load to the same model."""

import json
import shutil

import pytest

from codewatt.errors import CodewattError
from codewatt.models.loading import load_model
from codewatt.models.torchao_layouts import check_torchao_checkpoint, choose_layout
from codewatt.models.weight_headers import describe_weights
from codewatt.quantise.linear_selection import linear_layers
from codewatt.quantise.quantiser import open_quantiser
from codewatt.quantise.torchao import (
    check_layer,
    check_settings,
    count_quantised,
    expected_tensors,
    quantisation_config,
)
from tests.support.models import save_tiny_model

INT8 = {"quant_type": "int8", "compute_dtype": "float32", "group_size": 128}
FP8 = {"quant_type": "fp8", "compute_dtype": "bfloat16", "group_size": 128}
INT4 = {"quant_type": "int4", "compute_dtype": "float32", "group_size": 32}
SETTINGS = {
    "int8": INT8,
    "int8-bf16": {**INT8, "compute_dtype": "bfloat16"},
    "fp8": FP8,
    "int4": INT4,
    "int4-64-bf16": {**INT4, "compute_dtype": "bfloat16", "group_size": 64},
}
LEAST_COSINE = {"int8": 0.999, "int8-bf16": 0.999, "fp8": 0.99, "int4": 0.97, "int4-64-bf16": 0.97}
LINEAR_LAYERS = {"starcoder2": 6, "phi": 6, "qwen2": 7, "llama": 7, "gpt_neox": 4}


def _quantise(source, target, settings):
    return open_quantiser("torchao").quantise(source, target, settings, "cpu")


def _logits(loaded):
    import torch

    ids = loaded.tokenizer("def add(a, b):\n    return", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return loaded.model(ids).logits.flatten().float()


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("architecture", LINEAR_LAYERS)
def test_torchao_models_are_smaller_close_but_not_equal(tiny_model, tmp_path, architecture, kind):
    import torch

    source, settings = tiny_model(architecture), SETTINGS[kind]
    counts = _quantise(source, tmp_path / "q", settings)
    assert counts["quantised_modules"] == 4 * LINEAR_LAYERS[architecture]
    base = load_model(source, dtype=settings["compute_dtype"], device="cpu")
    quantised = load_model(tmp_path / "q", dtype=settings["compute_dtype"], device="cpu")
    layers = linear_layers(source).values()
    matrices = sum(p.numel() for p in base.model.parameters() if p.dim() > 1)
    assert counts["quantised_weights"] == sum(out * ins for out, ins in layers)
    assert counts["quantised_weights"] + counts["unquantised_weights"] == matrices
    wanted, got = _logits(base), _logits(quantised)
    assert not torch.equal(wanted, got), "quantising changed nothing"
    assert torch.cosine_similarity(wanted, got, dim=0) > LEAST_COSINE[kind]
    # On disk: what is packed instead of what was there, and nothing else.
    width = getattr(torch, settings["compute_dtype"]).itemsize
    cast = describe_weights(source)["parameters"] * width
    saved = cast - counts["quantised_weights"] * width + counts["packed_bytes"]
    assert describe_weights(tmp_path / "q")["size_bytes"] == saved < cast


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        *(("starcoder2", kind) for kind in SETTINGS),
        ("deepseek_v2", "int8"),
        ("deepseek_v2", "int4"),
    ],
)
def test_reloaded_models_answer_as_before_saving(
    tiny_model, tmp_path, monkeypatch, architecture, kind
):
    import torch

    import codewatt.quantise.torchao as method

    kept = []

    def load_and_keep(*arguments, **options):
        kept.append(load_model(*arguments, **options))
        return kept[-1]

    monkeypatch.setattr(method, "load_model", load_and_keep)
    _quantise(tiny_model(architecture), tmp_path / "q", SETTINGS[kind])
    (before,) = kept
    after = load_model(tmp_path / "q", dtype=SETTINGS[kind]["compute_dtype"], device="cpu")
    assert torch.equal(_logits(before), _logits(after))
    ids = after.tokenizer("def add(a, b):", return_tensors="pt")
    written = [
        loaded.model.generate(**ids, max_new_tokens=8, do_sample=False).tolist()
        for loaded in (before, after)
    ]
    assert written[0] == written[1]


@pytest.mark.parametrize("kind", ["int8", "fp8", "int4"])
def test_torchao_leaves_fused_experts_and_counts_them(tiny_model, tmp_path, kind):
    """The experts of a mixture are no linear layers; its attention's kv_b_proj is one."""
    import torch

    counts = _quantise(tiny_model("deepseek_v2"), tmp_path / "q", SETTINGS[kind])
    experts = 3 * 4 * 3 * 64 * 64  # layers x experts x matrices x size
    assert counts["unquantised_weights"] > experts
    dtype = SETTINGS[kind]["compute_dtype"]
    model = load_model(tmp_path / "q", dtype=dtype, device="cpu").model
    attention = model.model.layers[0].self_attn
    assert type(attention.kv_b_proj.weight).__name__ in (
        "Int8Tensor",
        "Float8Tensor",
        "Int4OpaqueTensor",
    )
    assert type(model.lm_head.weight) is torch.nn.Parameter


def test_a_model_without_linear_layers_is_refused(tmp_path):
    """GPT-2's matrices are Conv1D, which torchao passes by."""
    save_tiny_model("gpt2", tmp_path / "model")
    with pytest.raises(CodewattError, match="torchao: the model has no linear layer"):
        _quantise(tmp_path / "model", tmp_path / "q", SETTINGS["int8"])
    assert not (tmp_path / "q").exists()


@pytest.mark.parametrize("architecture", ["starcoder2", "llama"])
def test_heads_and_embeddings_stay_as_they_were(tiny_model, tmp_path, architecture):
    """Whether the head is the embedding itself (tied) or a matrix of its own."""
    import torch

    source = tiny_model(architecture)
    _quantise(source, tmp_path / "q", INT4)
    base = load_model(source, dtype="float32", device="cpu").model
    model = load_model(tmp_path / "q", dtype="float32", device="cpu").model
    for part in ("get_input_embeddings", "get_output_embeddings"):
        assert torch.equal(getattr(base, part)().weight, getattr(model, part)().weight)
    tied = base.get_input_embeddings().weight is base.get_output_embeddings().weight
    assert tied is (model.get_input_embeddings().weight is model.get_output_embeddings().weight)


def test_torch_multiplies_as_before(tiny_model, tmp_path):
    """torchao's recommended settings would change float32 products everywhere."""
    import torch

    before = torch.get_float32_matmul_precision()
    _quantise(tiny_model("starcoder2"), tmp_path / "q", INT8)
    load_model(tmp_path / "q", dtype="float32", device="cpu")
    assert torch.get_float32_matmul_precision() == before == "highest"


def test_a_group_that_does_not_divide_is_one_line(tiny_model, tmp_path):
    with pytest.raises(
        CodewattError, match=r"q_proj: 64 inputs are not a multiple of group_size 128; allowed"
    ):
        _quantise(tiny_model("starcoder2"), tmp_path / "q", {**INT4, "group_size": 128})
    assert not (tmp_path / "q").exists()


def test_shapes_that_only_a_gpu_takes_are_one_line():
    with pytest.raises(CodewattError, match=r"fc: 24 outputs are not a multiple of 16.*'cuda'"):
        check_layer("fc", (24, 64), INT4, "int4_cpu")
    check_layer("fc", (24, 64), INT4, "int4_tile_packed")
    check_layer("fc", (24, 50), INT8, "int8_plain")


def test_settings_without_a_kernel_are_one_line(tiny_model, tmp_path):
    with pytest.raises(CodewattError, match=r"group_size 256 needs device 'cuda'; on 'cpu' .*128$"):
        _quantise(tiny_model("starcoder2"), tmp_path / "q", {**INT4, "group_size": 256})
    with pytest.raises(CodewattError, match=r"on device 'cuda' computes in bfloat16, not float32"):
        check_settings(INT4, "int4_tile_packed")
    check_settings({**INT4, "group_size": 256, "compute_dtype": "bfloat16"}, "int4_tile_packed")


def test_an_unquantised_layer_is_not_counted_as_quantised(tiny_model):
    source = tiny_model("starcoder2")
    model = load_model(source, dtype="float32", device="cpu").model
    with pytest.raises(
        CodewattError, match=r"q_proj: torchao made a Parameter with nothing packed"
    ):
        count_quantised(model, linear_layers(source), INT8, "int8_plain")


def test_other_groups_than_asked_for_are_refused(tiny_model, tmp_path):
    source = tiny_model("starcoder2")
    _quantise(source, tmp_path / "q", INT4)
    model = load_model(tmp_path / "q", dtype="float32", device="cpu").model
    with pytest.raises(
        CodewattError, match=r"q_proj: torchao made a Int4OpaqueTensor with .*; expected"
    ):
        count_quantised(model, linear_layers(source), {**INT4, "group_size": 64}, "int4_cpu")


def test_weights_packed_for_another_processor_are_refused(tiny_model, tmp_path):
    """torch packs int4 otherwise with AVX-512 than with AVX2, and would not notice."""
    _quantise(tiny_model("starcoder2"), tmp_path / "q", INT4)
    saved = json.loads((tmp_path / "q" / "config.json").read_text())
    here = saved["quantization_config"]["cpu_capability"]
    with pytest.raises(CodewattError, match="packed for device 'cpu', not 'cuda'"):
        check_torchao_checkpoint(saved, "cuda")
    saved["quantization_config"]["cpu_capability"] = "VSX"
    shutil.copytree(tmp_path / "q", tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "config.json").write_text(json.dumps(saved))
    with pytest.raises(CodewattError, match=f"a CPU with VSX, and torch uses {here} on"):
        load_model(tmp_path / "elsewhere", dtype="float32", device="cpu")


def test_weights_packed_for_a_gpu_are_refused_on_a_cpu():
    tiles = {"quant_type": {"default": {"_type": "Int4WeightOnlyConfig"}}}
    saved = {"quantization_config": {"quant_method": "torchao", **tiles}}
    check_torchao_checkpoint(saved, "cuda")
    with pytest.raises(CodewattError, match="packed for device 'cuda', not 'cpu'"):
        check_torchao_checkpoint(saved, "cpu")


def test_another_method_of_torchao_is_refused():
    other = {"quant_type": {"default": {"_type": "IntxWeightOnlyConfig"}}}
    with pytest.raises(CodewattError, match="IntxWeightOnlyConfig are not supported; allowed: Fl"):
        check_torchao_checkpoint(
            {"quantization_config": {"quant_method": "torchao", **other}}, "cpu"
        )


@pytest.mark.parametrize(
    ("quant_type", "layout"),
    [
        ("int8", "int8_plain"),
        ("fp8", "fp8_plain"),
        ("int4", "int4_cpu"),
        ("int4", "int4_tile_packed"),
    ],
)
def test_what_a_checkpoint_says_of_itself_is_what_was_asked(quant_type, layout):
    """The GPU's too: its configuration goes to JSON and back without one."""
    from transformers import TorchAoConfig

    wanted = quantisation_config({**INT4, "quant_type": quant_type, "group_size": 64}, layout)
    written = json.loads(json.dumps(wanted.to_dict()))
    read = TorchAoConfig.from_dict(written)
    assert read.quant_type == wanted.quant_type
    assert read.quant_type.set_inductor_config is False
    if quant_type == "int4":
        assert read.quant_type.group_size == 64
    check_torchao_checkpoint(
        {"quantization_config": written}, "cuda" if "tile" in layout else "cpu"
    )


def test_fp8_of_inputs_is_refused_where_nothing_multiplies_it():
    with pytest.raises(CodewattError, match=r"needs a GPU of compute capability 8\.9.*: quant_t"):
        choose_layout("fp8_dynamic", "cpu")
    saved = json.loads(json.dumps(quantisation_config(FP8, "fp8_dynamic").to_dict()))
    with pytest.raises(CodewattError, match=r"fp8_dynamic needs a GPU of compute capability 8\.9"):
        check_torchao_checkpoint({"quantization_config": saved}, "cpu")


def test_tiles_are_padded_and_hold_four_bits():
    """What a GPU's layers must hold: StarCoder2-3B's key projection, and one that needs padding."""
    settings = {**INT4, "group_size": 128}
    held = expected_tensors((256, 3072), settings, "int4_tile_packed")
    assert held["qdata"] == ("int32", (32, 24, 32, 4))
    assert 32 * 24 * 32 * 4 * 32 == 256 * 3072 * 4  # bits
    assert held["scale_and_zero"] == ("bfloat16", (24, 256, 2))
    padded = expected_tensors((12, 64), {**INT4, "group_size": 32}, "int4_tile_packed")
    assert padded["qdata"] == ("int32", (2, 8, 32, 4))
    assert padded["scale_and_zero"] == ("bfloat16", (32, 16, 2))


@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="needs a GPU")
@pytest.mark.parametrize("quant_type", ["int8", "int4", "fp8", "fp8_dynamic"])
def test_torchao_on_a_gpu(tiny_model, tmp_path, quant_type):
    import torch

    settings = {"quant_type": quant_type, "compute_dtype": "bfloat16", "group_size": 32}
    source = tiny_model("starcoder2")
    counts = open_quantiser("torchao").quantise(source, tmp_path / "q", settings, "cuda")
    assert counts["quantised_modules"] == 4 * 6
    base = load_model(source, dtype="bfloat16", device="cuda")
    ids = base.tokenizer("def add(a, b):\n", return_tensors="pt")["input_ids"].cuda()
    got = []
    with torch.inference_mode():
        wanted = base.model(ids).logits.flatten().float()
        for _ in range(2):
            quantised = load_model(tmp_path / "q", dtype="bfloat16", device="cuda")
            got.append(quantised.model(ids).logits.flatten().float())
    assert torch.equal(*got)
    assert not torch.equal(wanted, got[0])
    assert torch.cosine_similarity(wanted, got[0], dim=0) > (0.99 if quant_type == "int8" else 0.95)
