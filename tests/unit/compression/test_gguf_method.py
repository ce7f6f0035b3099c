"""Precision method gguf: sizes, pruned models, importance matrix, and what is refused."""

import json
import re

import numpy as np
import pytest

from codewatt.config.gguf_types import WITHOUT_IMPORTANCE, GgufType
from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.errors import CodewattError
from codewatt.generate.engine import DecodingParams, open_engine
from codewatt.generate.engines.llama_cpp import LlamaCppEngine
from codewatt.models.gguf_header import read_gguf_header
from codewatt.models.gguf_variants import GGUF_FILE, step_tensor_bytes
from codewatt.models.loading import load_model
from codewatt.prune.remove_layers import remove_layers
from codewatt.quantise.importance_matrix import measure_importance
from codewatt.quantise.quantiser import open_quantiser
from codewatt.sizing.parameter_counts import architecture_of
from codewatt.sizing.weight_bytes import weight_bytes
from tests.support.llama_cpp import PROMPTS, gguf, needs_llama_cpp, request_of
from tests.support.models import save_tiny_model
from tests.support.variants import make_variant

pytestmark = pytest.mark.usefixtures("without_codecarbon", "one_converter")
TYPES = GgufType.__args__
#: Rows that blocks of 256 divide, and enough layers for llama.cpp's rules by layer.
WIDE = {"hidden_size": 256, "intermediate_size": 512, "num_key_value_heads": 1}


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide") / "model"
    save_tiny_model("llama", folder, 8, **WIDE)
    return folder


@needs_llama_cpp
@pytest.mark.parametrize("kind", TYPES)
def test_estimated_sizes_are_those_of_the_file(wide_model, tmp_path, kind):
    counts = open_quantiser("gguf").quantise(wide_model, tmp_path, gguf(kind), "cpu")
    header = read_gguf_header(tmp_path / GGUF_FILE)
    config = json.loads((wide_model / "config.json").read_text())
    sized = weight_bytes(architecture_of(config), gguf(kind), "cpu")
    held = sum(tensor.bytes for tensor in header.tensors)
    assert (sized.total, sized.packed) == (held, counts["packed_bytes"])
    assert sized.step == step_tensor_bytes(header)
    assert counts["gguf"]["bits_per_weight"] == pytest.approx(
        8 * held / sum(tensor.weights for tensor in header.tensors)
    )


@needs_llama_cpp
@pytest.mark.parametrize("architecture", ["qwen2", "starcoder2", "gpt_neox"])
@pytest.mark.parametrize("kind", ["Q4_K_M", "Q2_K"])
def test_sizes_where_no_block_divides_the_rows(tiny_model, tmp_path, architecture, kind):
    source = tiny_model(architecture)
    open_quantiser("gguf").quantise(source, tmp_path, gguf(kind), "cpu")
    header = read_gguf_header(tmp_path / GGUF_FILE)
    config = load_model(source, dtype="float32", device="cpu").model.config.to_dict()
    sized = weight_bytes(architecture_of(config), gguf(kind), "cpu")
    assert sized.total == sum(tensor.bytes for tensor in header.tensors)


@needs_llama_cpp
def test_the_quantise_stage_records_the_file(tiny_model, tmp_path):
    variant = make_variant(tiny_model("llama"), gguf("Q8_0"), tmp_path)
    made = variant["quantised"]["gguf"]
    size = (tmp_path / "weights" / GGUF_FILE).stat().st_size
    assert (made["file_type"], made["importance_matrix"]) == ("Q8_0", None)
    assert made["file_bytes"] == size == variant["weights"]["files"][GGUF_FILE]["bytes"]
    assert variant["parameters"] == variant["base"]["parameters"]
    assert variant["size_bytes"] < size
    assert variant["layers"] == 4


@needs_llama_cpp
def test_a_pruned_model_answers_as_transformers_does(tiny_model, tmp_path):
    remove_layers(tiny_model("qwen2"), tmp_path / "pruned", [0, 3])
    open_quantiser("gguf").quantise(tmp_path / "pruned", tmp_path / "v", gguf("F32"), "cpu")
    decoding = DecodingParams(token_limit=8, stop_strings=())
    loaded = LlamaCppEngine.load(request_of(tmp_path / "v"))
    assert loaded.model.layers == 2
    theirs = load_model(tmp_path / "pruned", dtype="float32", device="cpu")
    tokens = [
        [c.tokens for c in open_engine(n, m, lambda: None).complete(PROMPTS, decoding).completions]
        for n, m in (("llama_cpp", loaded), ("transformers", theirs))
    ]
    assert tokens[0] == tokens[1]


class _Corpus(PreparedCorpus):
    """Two sequences of token ids."""

    def sequences(self, tokenizer):
        return [[1, 2, 3, 4, 5], [6, 7, 8]]


CORPUS = _Corpus([], {"id": "c", "source": "stdlib", "samples": 2, "tokens": 5, "seed": 0}, "")


def test_importance_is_the_mean_square_of_the_inputs(tiny_model):
    """The first layer's queries read the normed embeddings, which are computed here by hand."""
    source = tiny_model("llama")
    name = "model.layers.0.self_attn.q_proj"
    found = measure_importance(source, CORPUS, "cpu", {name: "blk.0.attn_q.weight"})
    model = load_model(source, dtype="float32", device="cpu").model
    table = model.model.embed_tokens.weight.detach().double().numpy()[1:9]
    norm = model.model.layers[0].input_layernorm
    scale = np.sqrt((table**2).mean(axis=1, keepdims=True) + norm.variance_epsilon)
    inputs = table / scale * norm.weight.detach().double().numpy()
    assert found.tokens == 8
    np.testing.assert_allclose(
        found.values["blk.0.attn_q.weight"], (inputs**2).mean(axis=0), rtol=1e-5
    )


@needs_llama_cpp
def test_the_importance_matrix_lowers_the_weighted_error(wide_model, tmp_path):
    """llama.cpp gets the values: the error of a matrix, weighted by them, becomes smaller."""
    import gguf as reader

    settings = gguf("Q4_K_M", calibration="c")
    counts = open_quantiser("gguf").quantise(wide_model, tmp_path / "with", settings, "cpu", CORPUS)
    assert counts["gguf"]["importance_matrix"] == {"tensors": 7 * 8, "tokens": 8}
    for folder, kind in (("without", "Q4_K_M"), ("exact", "F32")):
        open_quantiser("gguf").quantise(wide_model, tmp_path / folder, gguf(kind), "cpu")
    name = "blk.3.ffn_down.weight"
    weights = {}
    for folder in ("with", "without", "exact"):
        tensors = reader.GGUFReader(tmp_path / folder / GGUF_FILE).tensors
        [tensor] = [tensor for tensor in tensors if tensor.name == name]
        weights[folder] = reader.dequantize(tensor.data, tensor.tensor_type)
    names = {"model.layers.3.mlp.down_proj": name}
    importance = measure_importance(wide_model, CORPUS, "cpu", names).values[name]
    errors = {
        folder: float((importance * (weights[folder] - weights["exact"]) ** 2).sum())
        for folder in ("with", "without")
    }
    assert 0 < errors["with"] < errors["without"]


def test_an_unsupported_architecture_is_one_line(tiny_model, tmp_path):
    with pytest.raises(CodewattError) as error:
        open_quantiser("gguf").quantise(tiny_model("deepseek_v2"), tmp_path, gguf("F16"), "cpu")
    assert re.fullmatch(
        r".*: method gguf: models of type deepseek_v2 are not converted; allowed: models of type "
        r"gpt_neox, llama, phi, qwen2, starcoder2",
        str(error.value),
    )


@needs_llama_cpp
def test_a_rope_base_that_the_file_would_lose_is_refused(tmp_path):
    rope = {"rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": 0.25}
    save_tiny_model("gpt_neox", tmp_path / "model", rope_parameters=rope)
    with pytest.raises(CodewattError, match="leaves out the RoPE base 5000"):
        open_quantiser("gguf").quantise(tmp_path / "model", tmp_path / "v", gguf("F16"), "cpu")


def test_types_without_importance_are_types():
    assert set(WITHOUT_IMPORTANCE) < set(TYPES)
