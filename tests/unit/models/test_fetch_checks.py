"""What cannot be used of a model is said when it is fetched, before anything is loaded."""

import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from codewatt.errors import CodewattError
from codewatt.models.fetch import fetch_model
from codewatt.models.loading import load_model
from codewatt.models.model_files import list_model_files


@pytest.fixture
def model(tiny_model, tmp_path):
    return shutil.copytree(tiny_model("llama"), tmp_path / "model")


def fetch(directory):
    return fetch_model({"source": "path", "path": str(directory)}, directory / "unused")


def change(directory, name="config.json", **values):
    path = directory / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def refused(directory, said):
    with pytest.raises(CodewattError, match=said) as error:
        fetch(directory)
    assert "\n" not in str(error.value)


CODE = "open('ran', 'w').write('yes')\n"


@pytest.mark.parametrize(
    ("changed", "file"),
    [
        (
            {"model_type": "new", "auto_map": {"AutoConfig": "configuration_new.NewConfig"}},
            r"AutoConfig needs the model's own code \(configuration_new\.py\)",
        ),
        (
            {
                "model_type": "new",
                "auto_map": {"AutoConfig": "some/where--configuration_new.NewConfig"},
            },
            r"\(configuration_new\.py of some/where\)",
        ),
        (
            {
                "model_type": "clip",
                "auto_map": {"AutoModelForCausalLM": "modeling_new.NewForCausalLM"},
            },
            r"AutoModelForCausalLM needs the model's own code \(modeling_new\.py\)",
        ),
    ],
)
def test_a_models_own_code_is_never_run_and_never_asked_for(model, monkeypatch, changed, file):
    for name in ("configuration_new", "modeling_new"):
        (model / f"{name}.py").write_text(CODE)
    change(model, **changed)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks on stdin"))
    refused(model, file + ", which codewatt never runs")
    with pytest.raises(CodewattError):
        load_model(model, dtype="float32", device="cpu")
    assert not Path("ran").exists()


def test_a_tokenizers_own_code_is_never_run(model):
    (model / "tokenization_new.py").write_text(CODE)
    change(
        model,
        "tokenizer_config.json",
        tokenizer_class="NewTokenizer",
        auto_map={"AutoTokenizer": ["tokenization_new.NewTokenizer", None]},
    )
    os.rename(model / "tokenizer.json", model / "vocab.json")
    with pytest.raises(CodewattError, match="tokeni"):
        fetch(model)
    assert not Path("ran").exists()


@pytest.mark.parametrize("answer", ["", "y\n"], ids=["stdin closed", "an eager yes"])
def test_code_is_refused_whatever_stdin_says(model, monkeypatch, capfd, answer):
    change(model, model_type="new", auto_map={"AutoConfig": "configuration_new.NewConfig"})
    (model / "configuration_new.py").write_text("raise SystemExit('ran')\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    refused(model, r"\(configuration_new\.py\), which codewatt never runs")
    assert "Do you wish to run" not in "".join(capfd.readouterr())
    assert sys.stdin.read() == answer, "nothing has asked"


def test_code_that_transformers_has_classes_for_is_not_needed(model):
    """As DeepSeek's files name code of their own beside a type that transformers knows."""
    change(model, auto_map={"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"})
    (model / "modeling_llama.py").write_text("raise SystemExit('ran')\n")
    files = fetch(model)["weights"]["files"]
    assert "modeling_llama.py" not in files
    assert load_model(model, dtype="float32", device="cpu").model.config.model_type == "llama"


def test_a_type_without_a_causal_language_model_is_refused(model):
    change(model, model_type="clip")
    refused(model, "no causal language model of type 'clip'")


def test_a_model_without_tokenizer_is_refused(model):
    (model / "tokenizer.json").unlink()
    refused(model, r"no tokenizer; allowed: a directory with tokenizer\.json")
    (model / "tokenizer_config.json").unlink()
    refused(model, "no tokenizer")


def test_a_tokenizer_that_is_broken_is_refused(model):
    (model / "tokenizer.json").write_text("{}")
    refused(model, "the tokenizer cannot be loaded")


def test_a_tokenizer_of_another_model_is_refused(model):
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(model)
    config.vocab_size = 40
    AutoModelForCausalLM.from_config(config).save_pretrained(model)
    refused(model, r"the tokenizer makes token id \d+, but the model's vocab_size is 40")


@pytest.mark.parametrize(
    "name", ["flash_attention_2", "flash_attention_3", "someone/kernel", "no_such_attention"]
)
@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_attention_that_is_not_installed_is_replaced_and_recorded(model, name, key):
    """What a checkpoint was trained with is no reason not to measure it."""
    import torch

    from codewatt.generate.engine import open_engine
    from codewatt.quantise.linear_selection import linear_layers

    plain = load_model(model, dtype="float32", device="cpu")
    change(model, **{key: name})
    fetch(model)
    loaded = load_model(model, dtype="float32", device="cpu")
    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        assert torch.equal(loaded.model(ids).logits, plain.model(ids).logits)
    described = open_engine("transformers", loaded, lambda: None).describe()
    assert (described["attention"], described["attention_requested"]) == ("sdpa", name)
    assert linear_layers(model) == linear_layers(plain.model.config._name_or_path or model)


def test_attention_that_is_there_is_used_as_asked(model):
    change(model, attn_implementation="eager")
    loaded = load_model(model, dtype="float32", device="cpu")
    assert loaded.model.config._attn_implementation == "eager"


def test_the_hub_is_asked_for_a_models_own_files_only(tiny_model, tmp_path, monkeypatch):
    """A repository with copies of the weights in other formats, as many have."""
    import huggingface_hub
    from huggingface_hub.utils import filter_repo_objects
    from transformers import AutoModelForCausalLM

    repo, cache = tmp_path / "repo", tmp_path / "cache"
    shutil.copytree(tiny_model("llama"), repo)
    others = ["consolidated.safetensors", "original/params.json", "onnx/model.safetensors",
              "pytorch_model.bin", "modeling_x.py", "README.md", "adapter_model.safetensors",
              "original/tokenizer.model"]  # fmt: skip
    for name in others:
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_bytes(b"not a model's")

    def download(repo_id, *, revision, allow_patterns):
        names = [p.relative_to(repo).as_posix() for p in repo.rglob("*") if p.is_file()]
        for name in filter_repo_objects(names, allow_patterns=allow_patterns):
            (cache / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repo / name, cache / name)
        return str(cache)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    settings = {"source": "hub", "repo": "some/model", "revision": "0" * 40}
    for sharded in (False, True):
        if sharded:
            shutil.rmtree(cache)
            whole = AutoModelForCausalLM.from_pretrained(repo, use_safetensors=True)
            (repo / "model.safetensors").unlink()
            whole.save_pretrained(repo, max_shard_size="200KB")
        manifest = fetch_model(settings, tmp_path / "unused")
        there = {p.relative_to(cache).as_posix() for p in cache.rglob("*") if p.is_file()}
        assert set(manifest["weights"]["files"]) == there == set(list_model_files(repo))
        shards = [name for name in there if name.endswith(".safetensors")]
        assert len(shards) > 1 if sharded else shards == ["model.safetensors"]
        load_model(cache, dtype="float32", device="cpu", files=manifest["weights"]["files"])


def test_random_weights_end_where_their_tokenizer_ends(tiny_model, tmp_path):
    """A type's default end is another tokenizer's token: Llama's is 2."""
    settings = {
        "source": "architecture",
        "config": {"model_type": "llama", "hidden_size": 32, "intermediate_size": 32,
                   "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 400},
        "dtype": "float32",
        "tokenizer": {"source": "path", "path": str(tiny_model("llama"))},
        "seed": 1,
    }  # fmt: skip
    fetch_model(settings, tmp_path / "m")
    loaded = load_model(tmp_path / "m", dtype="float32", device="cpu")
    assert loaded.generation.stop_token_ids == (loaded.tokenizer.eos_token_id,) != (2,)
