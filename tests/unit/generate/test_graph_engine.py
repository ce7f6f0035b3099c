"""The graph engine says what transformers' generate() says, token by token, in fp32."""

import subprocess
import sys
from dataclasses import replace

import pytest

from codewatt.generate.engine import DecodingParams, InfeasibleError, open_engine
from codewatt.generate.engines.graph import GraphEngine
from codewatt.models.generation_config import GenerationDefaults
from codewatt.models.loading import load_model
from codewatt.quantise.quantiser import open_quantiser
from tests.support.cells import run_cell

ARCHITECTURES = ("starcoder2", "phi", "qwen2", "llama", "gpt_neox", "deepseek_v2")
PROMPTS = ["def add(a, b):", "x", "def f(x):\n    return x + 1\n\n\ndef g(y):", "a = [1, 2]"]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def loaded(request, tiny_model):
    return load_model(tiny_model(request.param), dtype="float32", device="cpu")


def both(loaded, prompts, **settings):
    """The completions of both engines, less their times."""
    decoding = DecodingParams(**{"token_limit": 20, "stop_strings": (), **settings})
    found = []
    for name in ("transformers", "graph"):
        engine = open_engine(name, loaded, lambda: None)
        engine.prepare([prompts], decoding)
        batch = engine.complete(prompts, decoding)
        assert batch.start_s <= batch.first_token_s <= batch.end_s
        for done in batch.completions:
            assert batch.start_s <= done.first_token_s <= done.end_s <= batch.end_s
        found.append(
            [
                (c.prompt_index, c.text, c.prompt_tokens, c.new_tokens, c.stop_reason)
                for c in batch.completions
            ]
        )
    return found


@pytest.mark.parametrize("batch", [PROMPTS[:1], ["x"], PROMPTS])
def test_greedy_output_is_that_of_generate(loaded, batch):
    theirs, ours = both(loaded, batch)
    assert ours == theirs
    assert len(ours) == len(batch)


def test_prompts_that_are_read_some_at_a_time_say_the_same(loaded, monkeypatch):
    monkeypatch.setattr("codewatt.generate.static.decode_loop.PREFILL_ROWS", 2)
    theirs, ours = both(loaded, [*PROMPTS, "y = "])
    assert ours == theirs


def test_stop_strings_end_each_sequence_where_generate_ends_it(loaded):
    free, _ = both(loaded, PROMPTS)
    stops = tuple({text[3:5] for _, text, *_ in free if len(text) > 6})
    assert stops
    theirs, ours = both(loaded, PROMPTS, stop_strings=stops)
    assert ours == theirs
    assert "stop_string" in {reason for *_, reason in ours}


def test_an_end_of_sequence_token_ends_one_sequence_and_not_the_others(loaded):
    engine = open_engine("graph", loaded, lambda: None)
    engine.complete(PROMPTS, DecodingParams(token_limit=20, stop_strings=()))
    [[made], _] = engine._decoder.results(1, 20)
    theirs, ours = both(
        replace(loaded, generation=GenerationDefaults((made[2],), "config.json")), PROMPTS
    )
    assert ours == theirs
    assert "eos" in {reason for *_, reason in ours}


@pytest.fixture
def starcoder(tiny_model):
    return load_model(tiny_model("starcoder2"), dtype="float32", device="cpu")


@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_layers_decode_alike(tiny_model, bits):
    import torch
    from transformers import BitsAndBytesConfig

    four = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32}
    config = BitsAndBytesConfig(
        load_in_4bit=bits == 4, load_in_8bit=bits == 8, **(four if bits == 4 else {})
    )
    loaded = load_model(
        tiny_model("starcoder2"), dtype="float32", device="cpu", quantisation=config
    )
    theirs, ours = both(loaded, PROMPTS, token_limit=8)
    assert ours == theirs


@pytest.mark.parametrize("kind", ["int8", "fp8", "int4"])
@pytest.mark.parametrize("architecture", ["starcoder2", "llama", "gpt_neox"])
def test_torchao_layers_decode_alike(tiny_model, tmp_path, architecture, kind):
    settings = {"quant_type": kind, "compute_dtype": "float32", "group_size": 32}
    open_quantiser("torchao").quantise(tiny_model(architecture), tmp_path, settings, "cpu")
    loaded = load_model(tmp_path, dtype="float32", device="cpu")
    theirs, ours = both(loaded, PROMPTS, token_limit=8)
    assert ours == theirs
    engine = open_engine("graph", loaded, lambda: None)
    engine.prepare([PROMPTS], DecodingParams(token_limit=8, stop_strings=()))
    assert engine.describe()["decode_step"] == "dense_kernels"


def test_without_a_gpu_nothing_asks_for_triton():
    """Only what launches kernels imports it, and only dense decoders on a GPU import that."""
    lines = (
        "import sys",
        "sys.modules['triton'] = None",
        "import codewatt.generate.engines.graph",
        "from codewatt.generate.static import cached_forward, decode_loop, dense_decoder",
        "from codewatt.generate.static import kv_cache, linear_layers, torch_ops",
        "assert 'codewatt.generate.static.triton_ops' not in sys.modules",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


def test_one_decoder_serves_all_batches_that_it_was_prepared_for(starcoder):
    engine = open_engine("graph", starcoder, lambda: None)
    decoding = DecodingParams(token_limit=6, stop_strings=())
    engine.prepare([PROMPTS[:2], PROMPTS[2:], PROMPTS[:1]], decoding)
    decoder = engine._decoder
    texts = {}
    for batch in (PROMPTS[:2], PROMPTS[2:], PROMPTS[:1]):
        done = engine.complete(batch, decoding).completions
        assert len(done) == len(batch)
        texts.update({batch[c.prompt_index]: c.text for c in done})
    assert engine._decoder is decoder
    reference = open_engine("transformers", starcoder, lambda: None)
    for prompt, text in texts.items():
        assert reference.complete([prompt], decoding).completions[0].text == text
    assert engine.describe()["cache_length"] % 64 == 0
    assert engine.describe()["captured"] is False


def test_a_sequence_that_has_ended_costs_no_further_steps_when_all_have(starcoder, monkeypatch):
    from codewatt.generate.static.decode_loop import BatchDecoder

    steps = []
    step = BatchDecoder.decode_one_token
    monkeypatch.setattr(
        BatchDecoder, "decode_one_token", lambda self: steps.append(1) or step(self)
    )
    engine = open_engine("graph", starcoder, lambda: None)
    text = (
        engine.complete(["x"], DecodingParams(token_limit=20, stop_strings=())).completions[0].text
    )
    assert len(steps) == 19
    steps.clear()
    engine.complete(["x"], DecodingParams(token_limit=20, stop_strings=(text[4:6],)))
    assert len(steps) < 12


def test_what_reaches_beyond_a_sliding_window_is_refused_with_the_reason(starcoder):
    """The tests' StarCoder2 has a window of 128 tokens; here all layers attend to everything."""
    engine = open_engine("graph", starcoder, lambda: None)
    with pytest.raises(InfeasibleError, match="exceed the model's sliding window of 128"):
        engine.prepare([["x"]], DecodingParams(token_limit=128, stop_strings=()))
    engine.prepare([["x"]], DecodingParams(token_limit=127, stop_strings=()))


def test_a_model_that_cannot_be_captured_is_a_record_with_the_reason(
    tiny_model, tmp_path, monkeypatch
):
    def refuse(self, batches, decoding):
        raise InfeasibleError(
            "engine graph: the decode step of X cannot be captured: it asks the host"
        )

    monkeypatch.setattr(GraphEngine, "prepare", refuse)
    manifest, _ = run_cell(
        tiny_model("starcoder2"),
        tmp_path,
        ["def f():"],
        repeats=1,
        engine="graph",
        batch_size=1,
        token_limit=4,
    )
    assert manifest["status"] == "infeasible"
    assert manifest["reason"].endswith("cannot be captured: it asks the host")


def test_the_first_of_equal_logits_is_taken_however_they_are_searched():
    import torch

    from codewatt.generate.static.decode_loop import greedy_tokens

    torch.manual_seed(0)
    for size in (1024, 1000):
        logits = torch.randint(0, 40, (7, size)).float()  # many are equal
        first = [row.index(max(row)) for row in logits.tolist()]
        assert greedy_tokens(logits)[1].tolist() == first
        assert greedy_tokens(logits.bfloat16())[1].tolist() == first


def test_an_engine_can_share_the_weights_of_another_on_the_same_model(starcoder):
    decoding = DecodingParams(token_limit=6, stop_strings=())
    one = open_engine("graph", starcoder, lambda: None)
    wanted = one.complete(PROMPTS, decoding).completions
    other = open_engine("graph", starcoder, lambda: None)
    other.share_weights(one)
    found = other.complete(PROMPTS[:2], decoding).completions
    assert [c.tokens for c in found] == [c.tokens for c in wanted[:2]]
    assert other._dense_decoder is one._dense_decoder


def test_the_reason_is_the_first_error_and_not_that_a_capture_had_failed(starcoder):
    from codewatt.generate.engines.graph import _infeasible_if_capture_fails

    def capture():
        try:
            raise RuntimeError("a layer asks the host")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    with (
        pytest.raises(
            InfeasibleError, match="cannot be captured as a CUDA graph: a layer asks the host"
        ),
        _infeasible_if_capture_fails(starcoder.model),
    ):
        capture()
