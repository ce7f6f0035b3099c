"""A model's own files are those that transformers reads, whatever else lies beside them."""

import json
import os
import shutil
import subprocess

import pytest

from codewatt.errors import CodewattError
from codewatt.estimate.unfetched_models import _from_path
from codewatt.files import check_files
from codewatt.models.fetch import model_manifest
from codewatt.models.loading import load_model
from codewatt.models.model_files import (
    TOKENIZER_FILES,
    list_model_files,
    only_model_files,
    weight_files,
)
from codewatt.models.weight_headers import (
    describe_weights,
    read_tensor_headers,
    read_weight_headers,
)
from codewatt.prune.remove_layers import remove_layers

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    f"oid sha256:{'4d7a' * 16}\nsize 12345678\n"
)  # fmt: skip


@pytest.fixture
def model(tiny_model, tmp_path):
    return shutil.copytree(tiny_model("llama"), tmp_path / "model")


@pytest.fixture
def sharded(model):
    """The same model in three shards with an index, as transformers writes it."""
    from transformers import AutoModelForCausalLM

    whole = AutoModelForCausalLM.from_pretrained(model)
    (model / "model.safetensors").unlink()
    whole.save_pretrained(model, max_shard_size="200KB")
    assert len(list(model.glob("model-*.safetensors"))) > 2
    return model


def loaded_by_transformers(directory):
    """(parameters, bytes) of what transformers loads from safetensors, tied ones once."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory, use_safetensors=True)
    parameters = list(model.parameters())
    return sum(p.numel() for p in parameters), sum(p.nbytes for p in parameters)


def beside(directory, kind):
    """Put a file beside a model that transformers does not read."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = {"some.weight": torch.zeros(50, 50)}
    match kind:
        case "consolidated":
            save_file(tensors, directory / "consolidated.safetensors")
        case "adapter":
            save_file(tensors, directory / "adapter_model.safetensors")
            (directory / "adapter_config.json").write_text('{"base_model_name_or_path": "x/y"}')
        case "half":
            half = {n: t.half() for n, t in load_file(weight_files(directory)[0]).items()}
            save_file(half, directory / "model.fp16.safetensors")
        case "folders":
            for folder in ("original", "onnx", ".cache"):
                (directory / folder).mkdir()
                save_file(tensors, directory / folder / "model.safetensors")
                (directory / folder / "config.json").write_text("{}")
        case "pickled":
            torch.save(tensors, directory / "pytorch_model.bin")
        case "code":
            (directory / "modeling_x.py").write_text("raise SystemExit(9)\n")
        case "texts":
            (directory / "README.md").write_text("a model")
            (directory / "requirements.txt").write_text("torch")
            (directory / "trainer_state.json").write_text("{}")


KINDS = ["consolidated", "adapter", "half", "folders", "pickled", "code", "texts"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_beside_a_model_is_no_part_of_it(model, kind):
    before, names = describe_weights(model), list_model_files(model)
    beside(model, kind)
    assert describe_weights(model) == before
    assert list_model_files(model) == names
    assert (before["parameters"], before["size_bytes"]) == loaded_by_transformers(model)
    with only_model_files(model) as clean:
        seen = {path.relative_to(clean).as_posix() for path in clean.rglob("*") if path.is_file()}
        assert seen == set(names) or kind in ("folders", "texts")
        assert not any(name.endswith((".bin", ".py")) for name in seen)
    assert load_model(model, dtype="float32", device="cpu").model is not None


@pytest.mark.parametrize("kind", KINDS[:3])
def test_shards_are_counted_as_transformers_loads_them(sharded, kind):
    beside(sharded, kind)
    described = describe_weights(sharded)
    assert (described["parameters"], described["size_bytes"]) == loaded_by_transformers(sharded)
    facts = _from_path("m", {"path": str(sharded)})
    assert facts.stored_bytes == sum(path.stat().st_size for path in sharded.glob("model-*.*s"))


def test_one_file_goes_before_an_index(model):
    index = {"metadata": {}, "weight_map": {"x": "model-00001-of-00002.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    assert [path.name for path in weight_files(model)] == ["model.safetensors"]
    assert "model.safetensors.index.json" not in list_model_files(model)
    described = describe_weights(model)
    assert (described["parameters"], described["size_bytes"]) == loaded_by_transformers(model)
    load_model(model, dtype="float32", device="cpu")


def test_the_file_that_config_json_names_goes_before_both(model):
    beside(model, "half")
    os.rename(model / "model.safetensors", model / "other.safetensors")
    os.rename(model / "model.fp16.safetensors", model / "model.safetensors")
    said = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(
        json.dumps({**said, "transformers_weights": "other.safetensors"})
    )
    assert [path.name for path in weight_files(model)] == ["other.safetensors"]
    described = describe_weights(model)
    assert (described["parameters"], described["size_bytes"]) == loaded_by_transformers(model)


def test_pickled_weights_beside_a_decoy_are_not_loaded(model):
    """transformers left to itself would load the pickle."""
    beside(model, "pickled")
    os.rename(model / "model.safetensors", model / "consolidated.safetensors")
    said = r"no model\.safetensors.* but consolidated\.safetensors, pytorch_model\.bin; "
    for refuse in (describe_weights, lambda d: load_model(d, dtype="float32", device="cpu")):
        with pytest.raises(CodewattError, match=said):
            refuse(model)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("{", "not readable as JSON"),
        ("[]", "'metadata' is missing"),
        ('{"metadata": {}}', "'weight_map' is missing"),
        ('{"weight_map": {"a": "b.safetensors"}}', "'metadata' is missing"),
        ('{"metadata": {}, "weight_map": {}}', "weight_map: allowed: tensor name"),
        ('{"metadata": {}, "weight_map": ["a"]}', "'weight_map' is missing"),
        ('{"metadata": {}, "weight_map": {"a": 3}}', "weight_map: allowed: tensor name"),
        (POINTER, "a Git LFS pointer"),
    ],
)
def test_an_index_that_is_none_is_one_line(sharded, index, said):
    (sharded / "model.safetensors.index.json").write_text(index)
    with pytest.raises(CodewattError, match=said) as error:
        describe_weights(sharded)
    assert "model.safetensors.index.json" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("where", ["parent", "absolute", "link", "circle"])
def test_nothing_outside_of_the_directory_is_read(sharded, tmp_path, where):
    index = sharded / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    name = sorted(set(content["weight_map"].values()))[0]
    outside = tmp_path / "outside.safetensors"
    os.rename(sharded / name, outside)
    if where == "link":
        (sharded / name).symlink_to(outside)
    elif where == "circle":
        (sharded / name).symlink_to(name)
    else:
        other = "../outside.safetensors" if where == "parent" else str(outside)
        changed = {t: other if n == name else n for t, n in content["weight_map"].items()}
        index.write_text(json.dumps({**content, "weight_map": changed}))
    with pytest.raises(CodewattError, match="is outside the model's directory"):
        describe_weights(sharded)


def test_a_tokenizer_outside_of_the_directory_is_none_of_it(model, tmp_path):
    os.rename(model / "tokenizer.json", tmp_path / "tokenizer.json")
    (model / "tokenizer.json").symlink_to(tmp_path / "tokenizer.json")
    with pytest.raises(CodewattError, match=r"'tokenizer\.json' is outside"):
        list_model_files(model)


def test_the_hubs_cache_is_links_into_its_blobs(model, tmp_path):
    home = tmp_path / "hub" / "models--some--model"
    snapshot = home / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    for path in model.iterdir():
        blob = home / "blobs" / path.name.replace(".", "")
        shutil.copyfile(path, blob)
        (snapshot / path.name).symlink_to(os.path.relpath(blob, snapshot))
    assert list_model_files(snapshot) == list_model_files(model)
    assert describe_weights(snapshot) == describe_weights(model)
    load_model(snapshot, dtype="float32", device="cpu")
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to(model / "config.json")
    with pytest.raises(CodewattError, match="is outside"):
        list_model_files(snapshot)


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "config.json", "tokenizer.json", "generation_config.json"],
)
def test_a_git_lfs_pointer_is_named_as_such(model, name):
    (model / name).write_text(POINTER)
    said = rf"{name}: a Git LFS pointer, not the file itself; `git lfs pull`"
    with pytest.raises(CodewattError, match=said):
        model_manifest({}, model, meaningful_accuracy=True)
    with pytest.raises(CodewattError, match=said):
        load_model(model, dtype="float32", device="cpu")


def test_a_shard_that_is_cut_short_missing_or_a_pointer_is_named(sharded):
    last = weight_files(sharded)[-1]
    whole = last.read_bytes()
    for content, said in (
        (whole[:-1], "bytes, but its header says"),
        (whole[:20], "not a safetensors file"),
        (b"", "not a safetensors file"),
        (POINTER.encode(), "a Git LFS pointer"),
    ):
        last.write_bytes(content)
        with pytest.raises(CodewattError, match=rf"{last.name}: .*{said}"):
            read_weight_headers(sharded)
    last.unlink()
    with pytest.raises(CodewattError, match=rf"{last.name}: file is missing, but"):
        read_weight_headers(sharded)


@pytest.mark.parametrize(
    "header", [[], {"a": 3}, {"a": {"dtype": "F32"}}, {"a": {"data_offsets": [0, "x"]}}]
)
def test_a_header_that_describes_no_tensors_is_one_line(tmp_path, header):
    content = json.dumps(header).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(len(content).to_bytes(8, "little") + content)
    with pytest.raises(CodewattError, match=r"model\.safetensors: not a safetensors file"):
        read_tensor_headers(file)


def test_a_repository_may_change_under_a_model(model):
    """.git is no part of it: git packs its objects anew whenever it likes."""
    git = ["git", "-C", str(model), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "weights"]):
        subprocess.run([*git, *command], check=True)
    files = model_manifest({}, model, meaningful_accuracy=True)["weights"]["files"]
    subprocess.run([*git, "gc", "-q", "--prune=now"], check=True)
    check_files(model, files)
    assert sorted(files) == list_model_files(model)
    assert not any(name.startswith(".") for name in files)


def test_pruning_copies_a_models_own_files_only(sharded, tmp_path):
    for kind in KINDS:
        beside(sharded, kind) if kind != "half" else None
    remove_layers(sharded, tmp_path / "pruned", [0, 2])
    there = {
        p.relative_to(tmp_path / "pruned").as_posix() for p in (tmp_path / "pruned").rglob("*")
    }
    assert there == set(list_model_files(tmp_path / "pruned"))
    loaded = load_model(tmp_path / "pruned", dtype="float32", device="cpu")
    assert loaded.model.config.num_hidden_layers == 2


def test_every_file_that_a_tokenizer_of_transformers_names_is_one_of_a_model():
    import transformers
    from transformers.models.auto import modeling_auto, tokenization_auto

    named = set()
    for model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        kind = tokenization_auto.TOKENIZER_MAPPING_NAMES.get(model_type)
        try:
            found = getattr(transformers, kind).vocab_files_names if kind else {}
        except ImportError:  # needs a library that is not here
            continue
        for names in found.values():
            named |= {names} if isinstance(names, str) else set(names)
    assert len(named) > 10
    assert named <= set(TOKENIZER_FILES)
