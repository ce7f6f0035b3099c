"""A variant beside its baseline, from manifests and a prepared corpus to the record."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codewatt.corpora.corpus import read_documents
from codewatt.corpora.prepare_corpus import prepare_corpus
from codewatt.errors import CodewattError
from codewatt.fidelity import measure_fidelity as measure_fidelity_module
from codewatt.fidelity.measure_fidelity import FidelityFiles, measure_fidelity
from codewatt.files import describe_files, write_json
from codewatt.models.loading import load_tokenizer
from codewatt.prune.remove_layers import remove_layers
from codewatt.quantise.quantiser import open_quantiser
from tests.support.packed import PACKINGS, save_packed
from tests.support.records import variant_record

HELD = {"source": "nano", "part": "held_out", "samples": 6, "tokens": 128, "seed": 0}
FOUR_BIT = {"quant_type": "nf4", "compute_dtype": "float32", "double_quantisation": False}
INT8 = {"quant_type": "int8", "compute_dtype": "float32", "outlier_threshold": 6.0}
TORCHAO = {"quant_type": "int8", "compute_dtype": "float32", "group_size": 128}
METHODS = {
    "int8": ("bitsandbytes", {**INT8, "double_quantisation": False}, 0.999),
    "nf4": ("bitsandbytes", FOUR_BIT, 0.9),
    "torchao": ("torchao", TORCHAO, 0.999),
}


class Bench:
    """Manifests of variants of one model below a folder, and a corpus."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self.source = folder, source
        self.documents = folder / "documents.jsonl.gz"
        prepare_corpus(HELD, self.documents)
        self.baseline = self.variant("fp32", source)

    def variant(
        self, name: str, weights: Path, dtype: str = "float32", method: str = "none", prune="none"
    ) -> Path:
        """A variant's manifest."""
        path = self.folder / name / "manifest.json"
        write_json(
            path,
            variant_record(
                weights={"directory": str(weights), "files": describe_files(weights)},
                dtype=dtype,
                settings={"prune": {"method": prune}, "precision": {"method": method}},
            ),
        )
        return path

    def files(self, variant: Path) -> FidelityFiles:
        """What the rule would give."""
        return FidelityFiles(variant, self.baseline, self.documents, [])

    def measure(self, variant: Path, files: FidelityFiles | None = None, **changed: Any):
        """The record of a variant; its id is its folder's name."""
        name = variant.parent.name
        settings = {
            "id": name,
            "variant": {"model": "m", "prune": "p", "precision": name},
            "baseline": "fp32",
            "corpus": {"id": "held", **HELD},
            "calibrations": [],
            "device": "cpu",
            **changed,
        }
        return measure_fidelity(settings, files or self.files(variant), threads=1)


@pytest.fixture
def bench(tmp_path, tiny_model):
    return Bench(tmp_path, tiny_model("starcoder2"))


def _altered(source: Path, target: Path, change) -> Path:
    """A copy of a model with some of its tensors changed."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, target)
    tensors = load_file(target / "model.safetensors")
    change(tensors)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def test_a_baseline_against_itself_is_exact(bench, monkeypatch):
    loads = []
    load_model = measure_fidelity_module.load_model
    monkeypatch.setattr(
        measure_fidelity_module,
        "load_model",
        lambda *a, **k: loads.append(a) or load_model(*a, **k),
    )
    found = bench.measure(bench.baseline)
    compared = found["comparison"]
    assert len(loads) == 1
    assert (found["status"], found["reason"]) == ("ok", None)
    assert compared["logits_cosine_mean"] == compared["logits_cosine_min"] == 1.0
    assert set(compared["logits_cosine_quantiles"].values()) == {1.0}
    assert compared["kl_nats_per_token"] == 0.0
    assert compared["top1_agreement_share"] == 1.0
    assert compared["identical"] is True
    assert found["model"] == found["baseline_model"]
    assert found["sequences"] == 6
    assert 6 * 5 < found["positions"] < 6 * 127
    assert found["corpus"]["id"] == "held"


@pytest.mark.parametrize("name", METHODS)
def test_a_quantised_variant_is_close_but_not_equal(bench, tmp_path, name):
    method, settings, least = METHODS[name]
    open_quantiser(method).quantise(bench.source, tmp_path / "q", settings, "cpu")
    found = bench.measure(bench.variant(name, tmp_path / "q", method=method))
    compared = found["comparison"]
    assert compared["identical"] is False
    quantiles = list(compared["logits_cosine_quantiles"].values())
    assert compared["logits_cosine_min"] <= quantiles[0] <= quantiles[-1] < 1
    assert compared["logits_cosine_min"] < compared["logits_cosine_mean"] < 1
    assert compared["logits_cosine_mean"] > least
    assert 0 < compared["kl_nats_per_token"] < 0.1
    assert 0.5 < compared["top1_agreement_share"] <= 1
    ours, theirs = found["model"], found["baseline_model"]
    assert ours["perplexity"] != theirs["perplexity"]
    assert ours["perplexity"] == pytest.approx(theirs["perplexity"], rel=0.1)


@pytest.mark.parametrize("kind", ["gptq4", "awq"])
def test_a_packed_variant_is_read_as_its_cells_read_it(bench, tmp_path, kind):
    """It keeps as much as the same model with the weights that the packed ones stand for."""
    pytest.importorskip("gptqmodel")
    meant = save_packed(bench.source, tmp_path / "q", PACKINGS[kind])
    packed = bench.measure(bench.variant(kind, tmp_path / "q", method=PACKINGS[kind].method))
    plain = bench.measure(bench.variant("plain", meant))
    assert packed["comparison"]["identical"] is False
    assert packed["model"]["perplexity"] == pytest.approx(plain["model"]["perplexity"], rel=1e-3)
    for figure in ("logits_cosine_mean", "kl_nats_per_token"):
        wanted = pytest.approx(plain["comparison"][figure], rel=0.02)
        assert packed["comparison"][figure] == wanted


def test_a_pruned_variant_is_further_away(bench, tmp_path):
    remove_layers(bench.source, tmp_path / "pruned", [0, 1])
    found = bench.measure(bench.variant("last2", tmp_path / "pruned", prune="last"))
    assert found["model"]["layers"] == 2
    assert found["baseline_model"]["layers"] == 4
    assert found["comparison"]["logits_cosine_mean"] < 0.999


def test_another_dtype_is_recorded_and_no_fault(bench):
    found = bench.measure(bench.variant("bf16", bench.source, dtype="bfloat16"))
    assert (found["model"]["dtype"], found["model"]["logits_dtype"]) == ("bfloat16", "bfloat16")
    assert found["baseline_model"]["logits_dtype"] == "float32"
    assert 0.999 < found["comparison"]["logits_cosine_mean"] < 1


@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="needs a GPU")
def test_fidelity_on_a_gpu(bench, tmp_path):
    """In bfloat16, as variants run there."""
    settings = {**FOUR_BIT, "compute_dtype": "bfloat16"}
    open_quantiser("bitsandbytes").quantise(bench.source, tmp_path / "q", settings, "cuda")
    baseline = bench.variant("bf16", bench.source, dtype="bfloat16")
    variant = bench.variant("nf4", tmp_path / "q", dtype="bfloat16", method="bitsandbytes")
    files = replace(bench.files(variant), baseline=baseline)
    found = bench.measure(variant, files, baseline="bf16", device="cuda")
    assert found["device"] == "cuda"
    assert found["baseline_model"]["logits_dtype"] == "bfloat16"
    assert 0.9 < found["comparison"]["logits_cosine_mean"] < 1
    own = bench.measure(baseline, replace(files, variant=baseline), baseline="bf16", device="cuda")
    assert own["comparison"]["logits_cosine_min"] > 0.999
    assert own["model"]["perplexity"] == pytest.approx(found["baseline_model"]["perplexity"])


def test_a_compression_that_changed_nothing_is_refused(bench):
    variant = bench.variant("int8", bench.source, method="bitsandbytes")
    with pytest.raises(CodewattError, match=r"'int8': all its logits .* exactly those of 'fp32'"):
        bench.measure(variant)
    assert bench.measure(bench.variant("same", bench.source))["comparison"]["identical"]


def test_without_a_baseline_there_is_perplexity_and_the_reason(bench):
    files = replace(bench.files(bench.baseline), baseline=None)
    found = bench.measure(bench.baseline, files, baseline=None)
    assert found["comparison"] is None
    assert found["reason"] == "the study has no baseline variant of this model"
    assert found["model"] == bench.measure(bench.baseline)["model"]


def test_weights_that_are_no_numbers_have_no_fidelity_and_the_reason(bench, tmp_path):
    broken = _altered(
        bench.source, tmp_path / "nan", lambda t: t["model.norm.weight"].fill_(float("nan"))
    )
    found = bench.measure(bench.variant("broken", broken))
    assert found["status"] == "infeasible"
    assert "nan: the logits of 8 of 8 positions are not finite" in found["reason"]
    assert "comparison" not in found


def test_one_broken_token_is_said_with_the_variants_name(bench, tmp_path):
    """The model that is loaded answers; the corpus holds the token on which it does not."""
    tokenizer = load_tokenizer(bench.source)
    asked = set(range(9))  # of which the loader sees that they are answered
    documents = read_documents(bench.documents)
    seen = {token for ids in tokenizer(documents).input_ids for token in ids[:128]}
    token = min(seen - asked)

    def change(tensors):
        tensors["model.embed_tokens.weight"][token] = float("inf")
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone().nan_to_num(0, 0, 0)

    broken = _altered(bench.source, tmp_path / "inf", change)
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    found = bench.measure(bench.variant("broken", broken))
    assert found["status"] == "infeasible"
    assert re.search(r"variant 'broken': the logits of \d+ of \d+ positions", found["reason"])


def test_a_text_that_a_variant_was_calibrated_on_is_refused(bench, tmp_path):
    apart, shared = tmp_path / "apart.jsonl", tmp_path / "shared.jsonl"
    prepare_corpus({**HELD, "part": "calibration"}, apart)
    held = read_documents(bench.documents)
    shared.write_text(apart.read_text() + json.dumps({"text": f"import os\n\n{held[2]}"}) + "\n")
    files = replace(bench.files(bench.baseline), calibration=[apart])
    assert bench.measure(bench.baseline, files, calibrations=["calib"])["status"] == "ok"
    files = replace(files, calibration=[apart, shared])
    with pytest.raises(CodewattError, match=r"'copied' contains 1 of 6 .* 'held', .* document 3"):
        bench.measure(bench.baseline, files, calibrations=["calib", "copied"])


def test_a_text_that_needs_too_much_memory_is_refused(bench, monkeypatch):
    monkeypatch.setattr(measure_fidelity_module, "LIMIT_BYTES", 1000)
    with pytest.raises(CodewattError, match=r"corpus 'held': \d+ positions x 384 logits take"):
        bench.measure(bench.baseline)


def test_other_tokens_than_the_baselines_are_refused(bench, tmp_path):
    other = shutil.copytree(bench.source, tmp_path / "other")
    file = other / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["merges"] = content["model"]["merges"][:-5]
    file.write_text(json.dumps(content))
    with pytest.raises(CodewattError, match=r"variant 'v': its tokenizer gives other tokens"):
        bench.measure(bench.variant("v", other))


def test_out_of_memory_is_a_record_that_names_the_model(bench, monkeypatch):
    import torch

    def full(*arguments, **options):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.\n Tried to allocate")

    monkeypatch.setattr(measure_fidelity_module, "load_model", full)
    found = bench.measure(bench.variant("int8", bench.source))
    assert found["status"] == "infeasible"
    assert found["reason"] == "fp32: CUDA out of memory. Tried to allocate"
    assert "comparison" not in found
