"""GPTQ and AWQ checkpoints, of whoever made them, load to what they stand for or are refused."""

import json
from functools import lru_cache
from importlib.util import find_spec

import pytest

from codewatt.errors import CodewattError
from codewatt.generate.engine import DecodingParams, open_engine
from codewatt.models.loading import load_model
from codewatt.models.packed_checkpoints import count_packed_weights
from codewatt.models.packed_format import parse_packed_format
from codewatt.models.packed_kernels import count_linear_kernels
from codewatt.models.packed_weights import unpack_layer
from codewatt.models.weight_headers import describe_weights
from codewatt.quantise.quantiser import open_quantiser
from codewatt.sizing.loaded_memory import memory_bytes, step_weight_bytes
from codewatt.sizing.parameter_counts import architecture_of
from tests.support.packed import PACKINGS, Packing, save_packed

pytestmark = pytest.mark.skipif(find_spec("gptqmodel") is None, reason="needs gptqmodel")
ARCHITECTURES = ("starcoder2", "phi", "qwen2", "llama", "gpt_neox", "deepseek_v2")
KERNELS = {"gptq": "TorchLinear", "awq": "AwqTorchLinear"}
#: torch's AWQ layers compute in half precision, whatever the model does.
GREATEST_ERROR = {"gptq": 2e-5, "awq": 2e-2}


@pytest.fixture(scope="module")
def packed(tiny_model, tmp_path_factory):
    """packed(architecture, kind): a checkpoint, and what it stands for as one of plain weights."""
    made = {}

    def make(architecture, kind):
        if (architecture, kind) not in made:
            target = tmp_path_factory.mktemp("packed") / f"{architecture}-{kind}"
            source = tiny_model(architecture, layers=2)
            made[architecture, kind] = (target, save_packed(source, target, PACKINGS[kind]))
        return made[architecture, kind]

    return make


@lru_cache(maxsize=8)
def _load(directory, dtype="float32"):
    return load_model(directory, dtype=dtype, device="cpu")


def _logits(loaded):
    import torch

    ids = loaded.tokenizer("def add(a, b):\n    return", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return loaded.model(ids).logits.flatten().float()


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        *((architecture, kind) for architecture in ARCHITECTURES for kind in ("gptq4", "awq")),
        *(("phi", kind) for kind in PACKINGS if kind not in ("gptq4", "awq")),
        ("deepseek_v2", "gptq8-row"),
        ("qwen2", "gptq4-order"),
    ],
)
def test_a_checkpoint_answers_as_the_weights_that_it_stands_for(packed, architecture, kind):
    """DeepSeek-V2's experts among them, and StarCoder2's and GPT-NeoX's AWQ without act.scales."""
    directory, reference = packed(architecture, kind)
    loaded, method = _load(directory), PACKINGS[kind].method
    wanted, got = _logits(_load(reference)), _logits(loaded)
    assert (wanted - got).abs().max() < GREATEST_ERROR[method] * wanted.abs().max()
    kernels = count_linear_kernels(loaded.model)
    assert kernels[KERNELS[method]] == count_packed_weights(directory)["quantised_modules"]
    assert set(kernels) <= {KERNELS[method], "Linear"}


@pytest.mark.parametrize("kind", PACKINGS)
def test_content_is_what_the_layer_multiplies_by(packed, kind):
    import torch

    directory, reference = packed("phi", kind)
    layer = _load(directory).model.model.layers[1].mlp.fc1
    plain = unpack_layer(layer)
    assert (plain is not None) is (kind not in ("gptq4-order", "gptq8"))
    meant = _load(reference).model.model.layers[1].mlp.fc1.weight
    if plain is not None:
        assert torch.equal(plain.dequantise(), meant)
    unit = torch.eye(layer.in_features)  # products with it are the layer's own weight
    own = layer(unit) - (0 if layer.bias is None else layer.bias.float())
    exact = PACKINGS[kind].method == "gptq"
    assert torch.equal(own.T, meant) if exact else torch.allclose(own.T, meant, atol=2e-3)


def test_half_precision_weights_are_the_layers_own(packed):
    import torch

    directory, _ = packed("phi", "gptq4-zeros")
    layer = _load(directory, "float16").model.model.layers[0].mlp.fc1
    assert layer.scales.dtype == torch.float16
    assert torch.equal(unpack_layer(layer).dequantise().half(), layer.dequantize_weight().T)


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        *(("starcoder2", kind) for kind in ("gptq4-order", "gptq4-zeros", "gptq8-row", "awq")),
        ("llama", "gptq4"),
    ],
)
def test_engines_write_the_same_tokens(packed, architecture, kind):
    loaded = _load(packed(architecture, kind)[0])
    prompts = ["def add(a, b):", "x", "a = [1, 2]"]
    decoding = DecodingParams(token_limit=8, stop_strings=())
    written = []
    for name in ("transformers", "graph"):
        engine = open_engine(name, loaded, lambda: None)
        engine.prepare([prompts], decoding)
        written.append([done.tokens for done in engine.complete(prompts, decoding).completions])
    assert written[0] == written[1]
    assert engine.describe()["decode_step"] == "dense_kernels"
    assert engine.describe_model()["kernels"][KERNELS[PACKINGS[kind].method]] == 2 * (
        6 if architecture == "starcoder2" else 7
    )


def test_scaled_activations_are_scaled_and_the_graph_engine_keeps_them(tiny_model, tmp_path):
    """AutoAWQ's StarCoder2: the MLP's activations are divided by scales of the checkpoint."""
    import torch
    from safetensors.torch import load_file, save_file

    source = tiny_model("starcoder2", layers=2)
    scaled = {f"model.layers.{n}.mlp.act": torch.linspace(0.2, 5, 128) for n in range(2)}
    reference = save_packed(source, tmp_path / "q", PACKINGS["awq"], scaled)
    tensors = load_file(reference / "model.safetensors")
    for name, scales in scaled.items():
        tensors[name.replace("act", "c_proj.weight")] /= scales
    save_file(tensors, reference / "model.safetensors", metadata={"format": "pt"})
    loaded = _load(tmp_path / "q")
    wanted, got = _logits(_load(reference)), _logits(loaded)
    assert (wanted - got).abs().max() < GREATEST_ERROR["awq"] * wanted.abs().max()
    engine = open_engine("graph", loaded, lambda: None)
    engine.prepare([["x"]], DecodingParams(token_limit=8, stop_strings=()))
    assert "scaled per channel" in engine.describe()["decode_step_reason"]


@pytest.mark.parametrize("kind", ["gptq4", "gptq8-row", "awq"])
def test_packed_weights_count_as_packed_with_their_scales(packed, kind):
    directory, reference = packed("llama", kind)
    counts, method = count_packed_weights(directory), PACKINGS[kind].method
    loaded = _load(directory, "float32" if method == "gptq" else "float16")
    model, counted = loaded.model, architecture_of(loaded.model.config.to_dict())
    width = 4 if method == "gptq" else 2
    rotation = sum(b.nbytes for name, b in model.named_buffers() if "rotary" in name)
    shifts = sum(b.nbytes for name, b in model.named_buffers() if "wf_unsqueeze" in name)
    wider = sum(b.nbytes // 2 for name, b in model.named_buffers() if name.endswith("scales")) * (
        width == 4
    )
    rest = width * (counted.head + counted.biases + counted.norms) + rotation + shifts + wider
    assert step_weight_bytes(model, counted) == counts["packed_bytes"] + rest
    assert memory_bytes(model) == counts["packed_bytes"] + rest + width * counted.input_embedding
    assert counts["quantised_weights"] == counted.layer_weights
    assert counts["packed_bytes"] < 1.5 * counted.layer_weights * PACKINGS[kind].bits / 8
    assert describe_weights(directory)["parameters"] == describe_weights(reference)["parameters"]


def _without(directory, target, *, drop=None, change=None):
    """A copy of a checkpoint less some tensors, or with some changed."""
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(directory, target)
    tensors = load_file(target / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not (drop and drop in name)}
    assert len(kept) < len(tensors) or not drop
    if change:
        change(kept)
    save_file(kept, target / "model.safetensors", metadata={"format": "pt"})
    return target


def test_an_expert_that_is_missing_is_refused(packed, tmp_path):
    """transformers would give it random weights and go on."""
    directory, _ = packed("deepseek_v2", "gptq4")
    cut = _without(directory, tmp_path / "q", drop="layers.1.mlp.experts.2.up_proj.")
    with pytest.raises(CodewattError, match=r"missing keys.*layers\.1\.mlp\.experts\.2\.up_proj"):
        _load(cut)


def test_half_a_layer_is_refused(packed, tmp_path):
    cut = _without(packed("phi", "gptq4")[0], tmp_path / "q", drop="layers.1.mlp.fc1.scales")
    with pytest.raises(
        CodewattError, match=r"layers\.1\.mlp\.fc1: packed, but tensors are missing: scales"
    ):
        _load(cut)


def test_layers_that_the_model_does_not_have_are_refused(packed, tmp_path):
    def rename(tensors):
        for part in ("qweight", "qzeros", "scales", "g_idx", "bias"):
            name = f"model.layers.1.mlp.fc1.{part}"
            tensors[name.replace("fc1", "fc3")] = tensors[name].clone()

    added = _without(packed("phi", "gptq4")[0], tmp_path / "q", change=rename)
    with pytest.raises(
        CodewattError, match=r"fc3: the checkpoint has a packed layer of 128 x 64.*no such layer"
    ):
        _load(added)


def test_logits_that_are_not_finite_are_refused(packed, tmp_path):
    def spoil(tensors):
        tensors["model.layers.0.mlp.act.scales"] = (
            tensors["model.layers.0.mlp.c_fc.bias"].clone().fill_(0)
        )

    spoilt = _without(packed("starcoder2", "awq")[0], tmp_path / "q", change=spoil)
    with pytest.raises(CodewattError, match="positions are not finite"):
        _load(spoilt)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"bits": 3}, r"bits: gptq checkpoints with 3 .*allowed: 4, 8$"),
        ({"bits": 8}, r"fc1\.qzeros: shape .*8 bits in groups of 32 need"),
        ({"group_size": 64}, r"fc\d\.\w+: shape .*4 bits in groups of 64 need"),
        ({"group_size": "many"}, r"group_size: gptq checkpoints with .many. .*an integer"),
        ({"group_size": None}, r"group_size: gptq checkpoints with null .*an integer"),
        ({"group_size": 0}, r"group_size: .*with 0 .*allowed: -1, multiples of 16$"),
        ({"group_size": -32}, r"group_size: .*with -32 .*allowed: -1, multiples of 16$"),
        ({"sym": False}, r"sym: .*false in format 'gptq'.*allowed: true, or format 'gptq_v2'"),
        ({"checkpoint_format": "marlin"}, r"format: .*with marlin .*allowed: gptq, gptq_v2$"),
        ({"is_marlin_format": True}, r"format: .*with marlin"),
        ({"lm_head": True}, r"lm_head: .*with True.*allowed: False"),
        ({"quant_method": "awq"}, r"format: awq checkpoints with gptq .*allowed: gemm"),
    ],
)
def test_formats_that_are_not_read_are_one_line(packed, tmp_path, changed, said):
    directory = _without(packed("phi", "gptq4")[0], tmp_path / "q")
    configuration = json.loads((directory / "config.json").read_text())
    configuration["quantization_config"] |= changed
    (directory / "config.json").write_text(json.dumps(configuration))
    with pytest.raises(CodewattError, match=said):
        _load(directory)


def test_a_format_is_found_under_every_librarys_key():
    said = Packing(act_order=True).says()
    assert parse_packed_format({"quantization_config": said}).stores_zero_points_minus_one
    assert parse_packed_format(
        {"quantization_config": {**said, "checkpoint_format": None}}
    ).act_order
    assert not parse_packed_format({"quantization_config": PACKINGS["awq"].says()}).symmetric
    assert parse_packed_format({"quantization_config": {"quant_method": "torchao"}}) is None
    assert parse_packed_format({}) is None


def test_a_published_checkpoint_is_used_as_it_is_or_refused(packed):
    directory, _ = packed("llama", "gptq4-order")
    gptq, settings = (
        open_quantiser("gptq"),
        {"method": "gptq", "bits": 4, "group_size": 32, "act_order": True},
    )
    assert gptq.existing_counts(directory, settings) == count_packed_weights(directory)
    with pytest.raises(
        CodewattError, match=r"act_order True, but the precision has act_order: False; allowed"
    ):
        gptq.existing_counts(directory, {**settings, "act_order": False})
    for method in ("awq", "none", "torchao"):
        with pytest.raises(CodewattError, match=f"already quantised by gptq, .*'{method}' needs"):
            open_quantiser(method).existing_counts(directory, {"method": method})
