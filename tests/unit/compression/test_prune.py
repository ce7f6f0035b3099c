"""Pruned directories are models that were built that small."""

import json
import shutil

import pytest

from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json
from codewatt.models.decoder_layers import decoder_layers
from codewatt.models.fetch import model_manifest
from codewatt.models.loading import load_model
from codewatt.models.model_files import INDEX
from codewatt.models.weight_headers import read_tensor_headers
from codewatt.prune.pruner import open_pruner
from codewatt.prune.remove_layers import remove_layers
from codewatt.quantise.quantise_variant import quantise_variant
from tests.support.models import save_tiny_model
from tests.support.records import MADE

ARCHITECTURES = ["starcoder2", "phi", "qwen2", "llama", "gpt_neox", "deepseek_v2"]
_SETTINGS = {
    "variant": {"model": "m", "prune": "p", "precision": "fp32"},
    "prune": {"method": "last", "layers": 1},
    "precision": {"method": "none", "dtype": "float32"},
    "corpora": [],
    "device": "cpu",
    "energy": {"nvml_interval_s": 0.1, "codecarbon_interval_s": 1.0},
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pruned_equals_the_model_without_its_last_layers(tiny_model, tmp_path, architecture):
    """Logits and cached decoding equal those of a model built with two layers and given theirs."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    source = tiny_model(architecture)
    kept = open_pruner("last").kept_layers(4, {"layers": 2})
    remove_layers(source, tmp_path / "pruned", kept)
    pruned = load_model(tmp_path / "pruned", dtype="float32", device="cpu")

    config = AutoConfig.from_pretrained(tmp_path / "pruned")
    small = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    full = load_model(source, dtype="float32", device="cpu").model.state_dict()
    small.load_state_dict({name: full[name] for name in small.state_dict()})

    ids = pruned.tokenizer("def add(a, b):\n", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        assert torch.equal(pruned.model(ids).logits, small(ids).logits)
        cached, fresh = (
            pruned.model.generate(
                ids, max_new_tokens=8, do_sample=False, use_cache=use, pad_token_id=0
            )
            for use in (True, False)
        )
    assert torch.equal(cached, fresh), "the KV cache has the right layers"
    assert pruned.model.config.num_hidden_layers == 2


def test_layers_kept_in_the_middle_are_renumbered(tiny_model, tmp_path):
    """Keeping layers 0 and 3 gives the computation of those two."""
    import torch

    source = tiny_model("qwen2")
    remove_layers(source, tmp_path / "pruned", [0, 3])
    pruned = load_model(tmp_path / "pruned", dtype="float32", device="cpu").model
    full = load_model(source, dtype="float32", device="cpu").model
    weights, original = pruned.state_dict(), full.state_dict()
    for name in ("mlp.up_proj.weight", "self_attn.k_proj.bias"):
        assert torch.equal(weights[f"model.layers.1.{name}"], original[f"model.layers.3.{name}"])


def test_shards_keep_an_index_that_matches(tiny_model, tmp_path):
    source = shutil.copytree(tiny_model("llama"), tmp_path / "sharded")
    model = load_model(source, dtype="float32", device="cpu").model
    (source / "model.safetensors").unlink()
    model.save_pretrained(source, max_shard_size="200KB")
    assert len(list(source.glob("*.safetensors"))) > 2
    remove_layers(source, tmp_path / "pruned", [0, 1])
    index = json.loads((tmp_path / "pruned" / "model.safetensors.index.json").read_text())
    assert not any(".layers.2." in name for name in index["weight_map"])
    assert load_model(tmp_path / "pruned", dtype="float32", device="cpu").model is not None


def test_a_lone_shard_keeps_its_index(tiny_model, tmp_path):
    """Under its name with a number transformers finds it by nothing else."""
    source = shutil.copytree(tiny_model("llama"), tmp_path / "lone")
    shard = "model-00001-of-00001.safetensors"
    (source / "model.safetensors").rename(source / shard)
    weight_map = dict.fromkeys(read_tensor_headers(source / shard), shard)
    write_json(source / INDEX, {"metadata": {}, "weight_map": weight_map})
    remove_layers(source, tmp_path / "pruned", [0, 2])
    pruned = load_model(tmp_path / "pruned", dtype="float32", device="cpu")
    assert pruned.model.config.num_hidden_layers == 2


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_bigcode", "codegen"])
def test_the_number_of_layers_under_its_other_name(tmp_path, architecture):
    """GPT-2 and its kin call it n_layer."""
    source, manifest = tmp_path / "model", tmp_path / "model.json"
    save_tiny_model(architecture, source, rotary_dim=8)
    config = read_json(source / "config.json")
    assert config["n_layer"] == 4
    assert "num_hidden_layers" not in config
    model = model_manifest({"source": "path"}, source, meaningful_accuracy=True)
    write_json(manifest, {**model, **MADE})
    assert read_json(manifest)["layers"] == 4
    made = quantise_variant(_SETTINGS, manifest, [], None, tmp_path / "w", tmp_path / "t.parquet")
    assert made["kept_layers"] == [0, 1, 2]
    assert made["layers"] == 3
    loaded = load_model(tmp_path / "w", dtype="float32", device="cpu").model
    assert loaded.config.num_hidden_layers == len(decoder_layers(loaded)) == 3


def test_without_the_number_of_layers_none_is_removed(tiny_model, tmp_path):
    source, manifest = shutil.copytree(tiny_model("llama"), tmp_path / "model"), tmp_path / "m.json"
    config = read_json(source / "config.json")
    del config["num_hidden_layers"]
    write_json(source / "config.json", config)
    model = model_manifest({"source": "path"}, source, meaningful_accuracy=True)
    write_json(manifest, {**model, **MADE})
    with pytest.raises(
        CodewattError, match=r"config\.json: .* allowed: .*num_hidden_layers or n_l"
    ):
        quantise_variant(_SETTINGS, manifest, [], None, tmp_path / "w", tmp_path / "t.parquet")


def test_kinds_that_no_configuration_can_say(tmp_path):
    """Jamba's are computed from a layer's number alone."""
    sizes = {"num_key_value_heads": 2, "attn_layer_period": 2, "attn_layer_offset": 1}
    save_tiny_model("jamba", tmp_path / "model", **sizes, num_experts=1)
    with pytest.raises(
        CodewattError, match=r"prune: the remaining layers have types .* cannot express"
    ):
        remove_layers(tmp_path / "model", tmp_path / "pruned", [1, 2, 3])
    remove_layers(tmp_path / "model", tmp_path / "last", [0, 1, 2])


@pytest.mark.parametrize(("layers", "kept"), [(1, [0, 1, 3]), (2, [0, 3]), (3, [3])])
def test_the_last_layer_is_kept(layers, kept):
    assert (
        open_pruner("keep_last").kept_layers(4, {"method": "keep_last", "layers": layers}) == kept
    )


def test_first_layers_of_another_kind_are_counted_anew(tiny_model, tmp_path):
    """In DeepSeek-V2 the first layer has no experts: without it, none is so."""
    remove_layers(tiny_model("deepseek_v2"), tmp_path / "pruned", [1, 3])
    config = load_model(tmp_path / "pruned", dtype="float32", device="cpu").model.config
    assert config.first_k_dense_replace == 0


@pytest.mark.parametrize("method", ["last", "keep_last"])
def test_more_layers_than_there_are(method):
    message = f"{method}: cannot remove 4 layers, the model has 4; allowed: layers from 1 to 3"
    with pytest.raises(CodewattError, match=message):
        open_pruner(method).kept_layers(4, {"method": method, "layers": 4})
    with pytest.raises(CodewattError, match="the model has 1; allowed: none"):
        open_pruner(method).kept_layers(1, {"method": method, "layers": 1})


def test_more_layers_than_were_scored():
    scores = {"removed": {"1": [2], "2": [2, 1]}}
    settings = {"method": "sleb", "layers": 2}
    assert open_pruner("sleb").kept_layers(4, settings, scores) == [0, 3]
    with pytest.raises(
        CodewattError,
        match="sleb: cannot remove 3 layers, the model has 4; allowed: layers from 1 to 2",
    ):
        open_pruner("sleb").kept_layers(4, {**settings, "layers": 3}, scores)
    with pytest.raises(CodewattError, match="prune method sleb: layer scores are missing"):
        open_pruner("sleb").kept_layers(4, settings)


def test_weights_that_do_not_match_their_configuration(tiny_model, tmp_path):
    source = shutil.copytree(tiny_model("llama"), tmp_path / "wrong")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 9}))
    with pytest.raises(CodewattError, match=r"layers \[0, 1, 2, 3\], but config.json says 9"):
        remove_layers(source, tmp_path / "pruned", [0])
