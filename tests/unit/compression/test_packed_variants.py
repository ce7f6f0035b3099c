"""Variants of checkpoints that are packed already: used as they are, pruned, or refused."""

import json
from importlib.util import find_spec

import pytest

from codewatt.corpora.prepare_corpus import prepare_corpus
from codewatt.errors import CodewattError
from codewatt.files import write_json
from codewatt.models.fetch import fetch_model
from codewatt.models.loading import load_model
from codewatt.models.packed_checkpoints import count_packed_weights
from codewatt.quantise.quantise_variant import quantise_variant
from tests.support.packed import PACKINGS, save_packed
from tests.support.records import MADE, layer_scores_record

GPTQ = {"method": "gptq", "bits": 4, "group_size": 32, "act_order": False, "calibration": None}
GPTQ |= {"compute_dtype": "float32", "backend": "gptqmodel"}
KEPT = {"method": "none"}
TEXT = {"source": "nano", "part": "calibration", "samples": 4, "tokens": 64, "seed": 0}


@pytest.fixture(scope="module")
def published(tiny_model, tmp_path_factory):
    """The manifest of a model that was published as GPTQ."""
    folder = tmp_path_factory.mktemp("published")
    save_packed(tiny_model("llama"), folder / "model", PACKINGS["gptq4"])
    manifest = fetch_model({"source": "path", "path": str(folder / "model")}, folder / "unused")
    write_json(folder / "manifest.json", {**manifest, **MADE})
    return folder / "manifest.json"


def _variant(published, folder, precision, prune=KEPT, **corpora):
    """corpora: id of a corpus -> its documents."""
    settings = {
        "variant": "v", "precision": precision, "prune": prune, "device": "cpu",
        "corpora": [{**TEXT, "id": name} for name in corpora],
        "energy": {"idle_s": 0.1, "codecarbon_interval_s": 0.1},
    }  # fmt: skip
    read, scores = list(corpora.values()), folder / "scores.json"
    files = (published, read, scores if scores.is_file() else None)
    return quantise_variant(settings, *files, folder / "weights", folder / "t.parquet")


def test_a_published_checkpoint_is_a_variant_as_it_is(published, tiny_model, tmp_path):
    made, model = _variant(published, tmp_path, GPTQ), json.loads(published.read_text())
    assert made["weights"] == model["weights"]
    assert made["quantised"] == count_packed_weights(made["weights"]["directory"])
    assert made["quantised"]["quantised_modules"] == 4 * 7
    assert made["windows"] == []
    assert not (tmp_path / "weights").exists()
    base = load_model(tiny_model("llama"), dtype="float32", device="cpu").model
    weights = sum(p.numel() for p in base.parameters())
    assert made["parameters"] == model["parameters"] == weights
    assert made["size_bytes"] == model["size_bytes"] < weights * 4


def test_texts_that_were_not_used_are_not_named(published, tmp_path):
    """A packed checkpoint is not calibrated again; layers are chosen on a corpus all the same."""
    documents = tmp_path / "documents.jsonl.gz"
    prepare_corpus(TEXT, documents)
    precision = {**GPTQ, "calibration": "code"}
    made = _variant(published, tmp_path, precision, code=documents)
    assert made["corpora"] == []
    assert made["packing"] == {"format": "gptq", "symmetric": True, "made_here": False}
    write_json(tmp_path / "scores.json", layer_scores_record(layers=4, removed={"1": [2]}))
    prune = {"method": "sleb", "layers": 1, "calibration": "scored"}
    read = {"scored": documents, "code": documents}
    pruned = _variant(published, tmp_path, precision, prune, **read)
    assert [corpus["id"] for corpus in pruned["corpora"]] == ["scored"]
    assert pruned["packing"] == made["packing"]


@pytest.mark.skipif(find_spec("gptqmodel") is None, reason="needs gptqmodel")
def test_texts_that_were_used_are_named(tiny_model, tmp_path):
    fetched = fetch_model({"source": "path", "path": str(tiny_model("llama"))}, tmp_path / "unused")
    write_json(tmp_path / "manifest.json", {**fetched, **MADE})
    documents = tmp_path / "documents.jsonl.gz"
    prepare_corpus(TEXT, documents)
    precision = {**GPTQ, "calibration": "code"}
    made = _variant(tmp_path / "manifest.json", tmp_path, precision, code=documents)
    assert [corpus["id"] for corpus in made["corpora"]] == ["code"]
    assert made["packing"] == {"format": "gptq", "symmetric": True, "made_here": True}


@pytest.mark.skipif(find_spec("gptqmodel") is None, reason="needs gptqmodel")
def test_a_published_checkpoint_is_pruned(published, tmp_path):
    source = json.loads(published.read_text())["weights"]["directory"]
    made = _variant(published, tmp_path, GPTQ, {"method": "last", "layers": 1})
    assert made["layers"] == 3
    assert made["quantised"]["quantised_modules"] == 3 * 7
    assert made["weights"]["directory"] == str(tmp_path / "weights")
    assert made["windows"]
    loaded = load_model(tmp_path / "weights", dtype="float32", device="cpu")
    assert len(loaded.model.model.layers) == 3
    assert count_packed_weights(source)["quantised_modules"] == 4 * 7, (
        "the source stays where it is"
    )


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        (
            {**GPTQ, "group_size": 128},
            r"group_size 32, but the precision has group_size: 128; allowed: .* 32$",
        ),
        ({"method": "none", "dtype": "float32"}, r"already quantised by gptq, .* 'none' needs"),
        (
            {"method": "torchao", "quant_type": "int8", "compute_dtype": "float32"},
            r"already quantised by gptq, but precision method 'torchao' needs an unquantised",
        ),
    ],
)
def test_a_published_checkpoint_is_not_taken_for_another(published, tmp_path, precision, said):
    with pytest.raises(CodewattError, match=said):
        _variant(published, tmp_path, precision)
    assert not (tmp_path / "weights").exists()
