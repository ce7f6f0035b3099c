"""Every architecture of the studies loads through the one loader, and nothing wrong passes."""

import json

import pytest

from codewatt.errors import CodewattError
from codewatt.files import describe_files
from codewatt.models.fetch import fetch_model
from codewatt.models.loading import load_model
from codewatt.models.weight_headers import describe_weights
from tests.support.models import save_tiny_model

ARCHITECTURES = ["starcoder2", "phi", "qwen2", "llama", "gpt_neox", "deepseek_v2"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architectures_load_and_answer(tiny_model, architecture):
    import torch

    loaded = load_model(tiny_model(architecture), dtype="float32", device="cpu")
    ids = loaded.tokenizer("def add(a, b):", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logits = loaded.model(ids).logits
    assert logits.shape[:2] == ids.shape
    assert torch.isfinite(logits).all()
    assert loaded.model.dtype == torch.float32
    assert loaded.tokenizer.padding_side == "left"
    assert loaded.tokenizer.pad_token_id is not None


def test_dtype_is_the_one_asked_for(tiny_model):
    import torch

    loaded = load_model(tiny_model("llama"), dtype="bfloat16", device="cpu")
    assert {p.dtype for p in loaded.model.parameters()} == {torch.bfloat16}


def test_parameters_are_counted_without_loading(tiny_model):
    directory = tiny_model("starcoder2")
    model = load_model(directory, dtype="float32", device="cpu").model
    described = describe_weights(directory)
    assert described["parameters"] == sum(p.numel() for p in model.parameters())
    assert described["layers"] == 4
    assert described["dtypes"] == ["F32"]


@pytest.mark.parametrize("architecture", ["gpt_neox", "gpt2"])
def test_constants_of_old_checkpoints_are_no_weights(tmp_path, architecture):
    """Masks and rotary frequencies, as published Pythia and GPT-2 have them, by their names."""
    import torch
    from safetensors.torch import load_file, save_file

    directory = tmp_path / "model"
    save_tiny_model(architecture, directory)
    model = load_model(directory, dtype="float32", device="cpu").model
    described = describe_weights(directory)
    file = directory / "model.safetensors"
    tensors = load_file(file)
    layer = {"gpt_neox": "gpt_neox.layers.{}.attention.", "gpt2": "transformer.h.{}.attn."}
    for index in range(4):
        prefix = layer[architecture].format(index)
        tensors[prefix + "bias"] = torch.ones(1, 1, 256, 256, dtype=torch.bool)
        if architecture == "gpt_neox":
            tensors[prefix + "masked_bias"] = torch.tensor(-1e9, dtype=torch.float16)
            tensors[prefix + "rotary_emb.inv_freq"] = torch.ones(8)
    save_file(tensors, file, metadata={"format": "pt"})
    load_model(directory, dtype="float32", device="cpu")
    assert describe_weights(directory) == described
    assert described["parameters"] == sum(p.numel() for p in model.parameters())


def test_a_missing_weight_is_refused(tiny_model, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = _copy(tiny_model("llama"), tmp_path)
    tensors = load_file(copy / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CodewattError, match=r"1 missing keys.*layers\.1\.mlp\.up_proj"):
        load_model(copy, dtype="float32", device="cpu")


def test_a_weight_of_another_shape_is_refused(tiny_model, tmp_path):
    copy = _copy(tiny_model("llama"), tmp_path)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "intermediate_size": 96}))
    with pytest.raises(
        CodewattError,
        match=r"copy: 12 mismatched keys on loading, e\.g\. .*layers\.0\.mlp\.down_proj\.weight: "
        r"shape \(64, 128\), config.json says \(64, 96\)$",
    ):
        load_model(copy, dtype="float32", device="cpu")


def test_a_configuration_that_contradicts_itself_is_refused(tiny_model, tmp_path):
    copy = _copy(tiny_model("llama"), tmp_path)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "num_attention_heads": 5}))
    with pytest.raises(
        CodewattError, match=r"copy: transformers cannot read config.json: .*attention heads"
    ):
        load_model(copy, dtype="float32", device="cpu")


def test_a_left_over_weight_is_refused(tiny_model, tmp_path):
    copy = _copy(tiny_model("llama"), tmp_path)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(CodewattError, match=r"unexpected keys.*layers\.3"):
        load_model(copy, dtype="float32", device="cpu")


def test_a_model_that_does_not_answer_is_refused(tiny_model, tmp_path):
    """E.g. packed weights of which a scale was not loaded: transformers says nothing."""
    from safetensors.torch import load_file, save_file

    copy = _copy(tiny_model("llama"), tmp_path)
    tensors = load_file(copy / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 5] = float("nan")
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        CodewattError, match=r"copy: the logits of \d+ of 8 positions are not finite"
    ):
        load_model(copy, dtype="float32", device="cpu")


def test_files_are_checked_against_their_manifest(tiny_model, tmp_path):
    copy = _copy(tiny_model("llama"), tmp_path)
    files = describe_files(copy)
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CodewattError, match=r"model\.safetensors: sha256 differs"):
        load_model(copy, dtype="float32", device="cpu", files=files)


def test_a_cut_weight_file_is_named(tiny_model, tmp_path):
    copy = _copy(tiny_model("llama"), tmp_path)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(CodewattError, match=r"model\.safetensors: \d+ bytes, but its header says"):
        describe_weights(copy)


def test_a_path_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(CodewattError, match=r"config\.json is missing"):
        fetch_model({"source": "path", "path": str(tmp_path)}, tmp_path / "unused")


def test_random_weights_of_an_architecture_are_seeded(tmp_path):
    settings = {
        "source": "architecture",
        "config": {
            "model_type": "starcoder2",
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 400,
        },
        "dtype": "bfloat16",
        "tokenizer": {"source": "stdlib", "vocab_size": 400},
        "seed": 3,
    }
    first = fetch_model(settings, tmp_path / "a")
    second = fetch_model(settings, tmp_path / "b")
    same_tokenizer = {"source": "path", "path": str(tmp_path / "a")}
    other = fetch_model({**settings, "tokenizer": same_tokenizer, "seed": 4}, tmp_path / "c")
    name = "model.safetensors"
    digests = [manifest["weights"]["files"][name]["sha256"] for manifest in (first, second, other)]
    assert digests[0] == digests[1] != digests[2]
    assert first["dtypes"] == ["BF16"]
    assert first["meaningful_accuracy"] is False
    loaded = load_model(tmp_path / "a", dtype="bfloat16", device="cpu")
    text = "    def __init__(self, name):\n        self.name = name\n        return None\n"
    ids = loaded.tokenizer(text)["input_ids"]
    assert loaded.tokenizer.decode(ids) == text
    assert len(ids) < len(text) / 2, "code is compressed as a real tokenizer would"


def _copy(directory, tmp_path):
    import shutil

    return shutil.copytree(directory, tmp_path / "copy")
