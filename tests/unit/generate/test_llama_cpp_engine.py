"""Engine llama_cpp writes the tokens of transformers, and refuses files that are not its own."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from codewatt.config.gguf_types import MODEL_TYPES
from codewatt.errors import CodewattError
from codewatt.fidelity.fidelity_metrics import LogitsComparison
from codewatt.fidelity.logits_store import ScoredSequence, predict
from codewatt.generate.engine import DecodingParams, InfeasibleError, open_engine
from codewatt.generate.engines.llama_cpp import LlamaCppEngine
from codewatt.generate.sampling import SampleSeeds
from codewatt.models.generation_config import GenerationDefaults
from codewatt.models.gguf_logits import load_gguf_logits
from codewatt.models.gguf_variants import GGUF_FILE
from codewatt.models.llama_cpp_model import LlamaCppModel
from codewatt.models.loading import load_model
from codewatt.quantise.quantiser import open_quantiser
from tests.support.llama_cpp import PROMPTS, gguf, needs_llama_cpp, request_of
from tests.support.models import save_tiny_model

pytestmark = [needs_llama_cpp, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def variants(tmp_path_factory, one_converter):
    """Directory of a model and of its F32 file, by model type; made once."""
    made = {}

    def make(model_type):
        if model_type not in made:
            folder = tmp_path_factory.mktemp(model_type)
            # llama.cpp's converter takes Phi's intermediate size to be four times the hidden size.
            sizes = {"intermediate_size": 256} if model_type == "phi" else {}
            save_tiny_model(model_type, folder / "model", **sizes)
            open_quantiser("gguf").quantise(folder / "model", folder / "f32", gguf("F32"), "cpu")
            made[model_type] = folder
        return made[model_type]

    return make


def both(folder, decoding, stop_token_ids=None, seeds=None):
    """The completions of llama_cpp and of transformers, of three prompts."""
    ours = LlamaCppEngine.load(request_of(folder / "f32"))
    theirs = load_model(folder / "model", dtype="float32", device="cpu")
    found = []
    for name, loaded in (("llama_cpp", ours), ("transformers", theirs)):
        if stop_token_ids is not None:
            known = GenerationDefaults(stop_token_ids, "config.json")
            loaded = replace(loaded, generation=known)
        engine = open_engine(name, loaded, lambda: None)
        batch = engine.complete(PROMPTS, decoding, seeds or SampleSeeds())
        assert batch.start_s <= batch.first_token_s <= batch.end_s
        found.append(
            [(c.tokens, c.text, c.stop_reason, c.prompt_tokens) for c in batch.completions]
        )
    return found


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_greedy_tokens_of_f32_are_those_of_transformers(variants, model_type):
    ours, theirs = both(variants(model_type), DecodingParams(token_limit=16, stop_strings=()))
    assert ours == theirs


@pytest.mark.parametrize(
    ("model_type", "tolerance"),
    [
        ("llama", 2e-6),
        ("qwen2", 2e-6),
        ("gpt_neox", 1e-3),  # llama.cpp's GELU is a table of float16
    ],
)
def test_logits_of_f32_are_those_of_transformers(variants, model_type, tolerance):
    import torch

    folder = variants(model_type)
    ids = list(range(1, 41))
    model = LlamaCppModel(folder / "f32" / GGUF_FILE, 1)
    model.allocate(1, len(ids), "f32")
    theirs = load_model(folder / "model", dtype="float32", device="cpu").model
    with torch.inference_mode():
        wanted = theirs(torch.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(model.all_logits(ids), wanted, rtol=0, atol=tolerance)


def test_fidelity_reads_gguf_variants(variants, tmp_path):
    """Hardly any divergence in F32, some in Q2_K."""
    folder = variants("llama")
    open_quantiser("gguf").quantise(folder / "model", tmp_path, gguf("Q2_K"), "cpu")
    sequences = [ScoredSequence(list(range(1, 41)), 1), ScoredSequence(list(range(300)), 5)]
    baseline = load_model(folder / "model", dtype="float32", device="cpu")
    theirs = [logits for logits, _ in predict(baseline, sequences, "m")]
    found = []
    for directory in (folder / "f32", tmp_path):
        loaded = load_gguf_logits(str(directory), request_of(directory).files, "float32")
        comparison = LogitsComparison("v")
        for wanted, (logits, _) in zip(theirs, predict(loaded, sequences, "v"), strict=True):
            comparison.add(wanted, logits)
        found.append(comparison.result()["kl_nats_per_token"])
    assert abs(found[0]) < 1e-9 < 1e-6 < found[1]


def test_stop_strings_and_stop_tokens_end_the_same_completions(variants):
    folder = variants("qwen2")
    free, _ = both(folder, DecodingParams(token_limit=24, stop_strings=()))
    stop = re.search(r"[!-~]{2}", free[2][1]).group()
    ended = free[0][0][4]
    decoding = DecodingParams(token_limit=24, stop_strings=(stop,))
    ours, theirs = both(folder, decoding, stop_token_ids=(ended,))
    assert ours == theirs
    assert {"stop_string", "eos"} <= {reason for _, _, reason, _ in ours}


@pytest.mark.parametrize("top_p", [None, 0.9])
def test_samples_of_f32_are_those_of_transformers(variants, top_p):
    decoding = DecodingParams(16, (), samples=2, temperature=0.8, top_p=top_p)
    ours, theirs = both(variants("qwen2"), decoding, seeds=SampleSeeds(3, 5))
    assert ours == theirs
    assert len({tuple(tokens) for tokens, *_ in ours}) == 6


def test_a_larger_batch_enlarges_the_cache_and_changes_no_completion(variants):
    folder, decoding = variants("llama"), DecodingParams(token_limit=8, stop_strings=())
    engine = open_engine("llama_cpp", LlamaCppEngine.load(request_of(folder / "f32")), lambda: None)
    alone = [engine.complete([prompt], decoding).completions[0].tokens for prompt in PROMPTS]
    together = engine.complete([*PROMPTS, "y" * 300], decoding).completions
    assert [done.tokens for done in together[:3]] == alone
    assert engine.describe()["sequences"] == 4
    assert engine.describe()["cells_per_sequence"] == 512


def test_a_truncated_file_and_a_file_of_another_digest_are_one_line(variants, tmp_path):
    shutil.copytree(variants("llama") / "f32", tmp_path / "v")
    request = request_of(tmp_path / "v")
    file = tmp_path / "v" / GGUF_FILE
    content = file.read_bytes()
    file.write_bytes(content[:-100] + bytes(100))
    with pytest.raises(CodewattError) as error:
        LlamaCppEngine.load(request)
    assert re.fullmatch(rf".*{GGUF_FILE}.*(sha256|digest|changed).*", str(error.value))
    file.write_bytes(content[:-100])
    with pytest.raises(CodewattError) as error:
        LlamaCppModel(file, 1)
    assert re.fullmatch(
        r".*bytes, but its header says \d+; the file is truncated.*", str(error.value)
    )


def test_what_llama_cpp_cannot_load_is_one_line_with_its_reason(variants, tmp_path):
    content = (variants("llama") / "f32" / GGUF_FILE).read_bytes()
    file = tmp_path / GGUF_FILE
    file.write_bytes(content.replace(b"llama", b"lloma"))
    with pytest.raises(CodewattError) as error:
        LlamaCppModel(file, 1)
    assert re.fullmatch(r".*model.gguf: llama.cpp cannot load it: .*'lloma'.*", str(error.value))


def test_another_device_and_a_longer_sequence_than_the_window_are_infeasible(variants):
    request = request_of(variants("starcoder2") / "f32")
    with pytest.raises(InfeasibleError, match="set device: cpu"):
        LlamaCppEngine.load(replace(request, device="cuda"))
    engine = open_engine("llama_cpp", LlamaCppEngine.load(request), lambda: None)
    with pytest.raises(InfeasibleError, match="sliding window of 128 tokens"):
        engine.prepare([PROMPTS], DecodingParams(token_limit=130, stop_strings=()))
