"""An unpacked model is pruned, quantised and loaded as any other; its record says its origin."""

import pytest

from codewatt.models.fetch import fetch_model
from codewatt.models.loading import load_model
from codewatt.models.model_record import MODEL
from codewatt.quantise.quantise_variant import quantise_variant
from codewatt.quantise.variant_record import VARIANT
from tests.support.gguf import tiny_llama, tokenizer_of_smollm, write_gguf
from tests.support.records import MADE

pytestmark = pytest.mark.usefixtures("without_codecarbon")
INT8 = {
    "method": "torchao", "quant_type": "int8", "compute_dtype": "float32", "group_size": 128,
}  # fmt: skip


@pytest.mark.parametrize("precision", [{"method": "none", "dtype": "float32"}, INT8])
@pytest.mark.parametrize("prune", [{"method": "none"}, {"method": "last", "layers": 1}])
def test_variants_of_an_unpacked_model(tmp_path, precision, prune):
    model = tiny_llama(tokenizer_of_smollm().get_vocab_size())
    file = write_gguf(tmp_path / "m.gguf", model, packing="Q4_1")
    source = {"source": "path", "path": str(file), "sha256": None}
    settings = {"source": "gguf", "file": source, "dtype": "float32"}
    MODEL.write(tmp_path / "model.json", {**fetch_model(settings, tmp_path / "model"), **MADE})
    settings = {
        "variant": {"model": "m", "prune": "p", "precision": "q"}, "prune": prune,
        "precision": precision, "corpora": [], "device": "cpu",
        "energy": {"idle_s": 0.1, "codecarbon_interval_s": 0.1},
    }  # fmt: skip
    made = quantise_variant(
        settings, tmp_path / "model.json", [], None, tmp_path / "w", tmp_path / "t.parquet"
    )
    VARIANT.write(tmp_path / "manifest.json", {**made, **MADE})
    record = VARIANT.read(tmp_path / "manifest.json")
    assert record["base"]["packed_as"] == "Q4_1"
    assert record["base"]["source"]["source"] == "gguf"
    assert record["layers"] == (2 if prune["method"] == "none" else 1)
    weights = record["weights"]["directory"]
    found = load_model(weights, dtype="float32", device="cpu")
    assert found.generation.stop_token_ids == (2,)
    assert found.tokenizer.chat_template
