"""The engine vllm against a double of vLLM: no argument that vLLM lacks, transformers' completions.

The double is built from the record of vLLM's source (tests/support/vllm.py); the real library was
not run.
"""

import json
import shutil
import sys

import pytest

from codewatt.errors import CodewattError
from codewatt.files import describe_files, read_json, write_json
from codewatt.generate.engine import (
    DecodingParams,
    InfeasibleError,
    LoadRequest,
    engine_class,
    open_engine,
    stop_string_spans_prompt,
)
from codewatt.generate.engines import vllm as module
from codewatt.generate.sampling import SampleSeeds
from codewatt.models.loading import load_model
from codewatt.sizing.parameter_counts import architecture_of
from tests.support import vllm as double
from tests.support.cells import run_cell

PROMPTS = ["def add(a, b):", "x", "def f(x):\n    return x + 1\n\n\ndef g(y):", "a = [1, 2]"]


@pytest.fixture(autouse=True)
def one_thread():
    """So small a model is slower on many threads, and far slower beside other jobs."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def fake(monkeypatch):
    return double.install(monkeypatch)


DECODING = DecodingParams(token_limit=12, stop_strings=())


def work(directory, prompts=PROMPTS, seed=0, **settings):
    return LoadRequest(
        directory=str(directory),
        files=describe_files(directory),
        dtype="float32",
        device="cpu",
        batches=[list(prompts)],
        batch_size=len(prompts),
        decoding=DecodingParams(**{"token_limit": 12, "stop_strings": (), **settings}),
        seed=seed,
    )


def opened(asked):
    return open_engine("vllm", engine_class("vllm").load(asked), lambda: None)


def said(batch):
    return [
        (c.prompt_index, c.sample, c.text, c.prompt_tokens, c.new_tokens, c.stop_reason)
        for c in batch.completions
    ]


def both(directory, **settings):
    """The completions of both engines, less their times."""
    asked = work(directory, **settings)
    theirs = open_engine(
        "transformers", load_model(directory, dtype="float32", device="cpu"), lambda: None
    )
    ours = opened(asked)
    return [said(engine.complete(PROMPTS, asked.decoding)) for engine in (theirs, ours)]


@pytest.mark.parametrize("architecture", ["starcoder2", "qwen2", "llama", "gpt_neox"])
def test_greedy_completions_are_those_of_generate(fake, tiny_model, architecture):
    theirs, ours = both(tiny_model(architecture))
    assert ours == theirs
    assert {new for *_, new, _ in ours} == {12}


def test_stop_strings_end_each_sequence_where_generate_ends_it(fake, tiny_model):
    free, _ = both(tiny_model("starcoder2"))
    texts = [(PROMPTS[index], text) for index, _, text, *_ in free]
    found = {text[at : at + 2] for _, text in texts for at in (2, 3, 5) if len(text) > 7}
    stops = tuple(
        stop
        for stop in found
        if not any(stop_string_spans_prompt(*pair, (stop,)) for pair in texts)
    )
    assert stops
    theirs, ours = both(tiny_model("starcoder2"), stop_strings=stops)
    assert ours == theirs
    assert "stop_string" in {reason for *_, reason in ours}


def with_ends(directory, copy, ends):
    """A copy of a model whose generation_config.json names these ends."""
    shutil.copytree(directory, copy)
    said = read_json(copy / "generation_config.json")
    write_json(copy / "generation_config.json", {**said, "eos_token_id": ends})
    return copy


def made_tokens(directory):
    """What the double writes for the first prompt without any end."""
    engine = opened(work(directory))
    prompt = {"prompt_token_ids": engine.loaded.tokenizer(PROMPTS[0])["input_ids"]}
    parameters = double.SamplingParams(temperature=0.0, ignore_eos=True)
    [request] = engine.loaded.model.generate([prompt], parameters)
    return request.outputs[0].token_ids


def test_each_of_a_checkpoints_ends_ends_one_and_not_the_others(fake, tiny_model, tmp_path):
    made = made_tokens(tiny_model("starcoder2"))
    unused = max(made) + 1
    directory = with_ends(tiny_model("starcoder2"), tmp_path / "model", [unused, made[3]])
    theirs, ours = both(directory)
    assert ours == theirs
    assert ours[0][-1] == "eos"
    assert ours[0][-2] == made.index(made[3]) + 1


def test_the_tokenizers_end_is_none_where_the_checkpoint_names_another(fake, tiny_model, tmp_path):
    """vLLM adds the tokenizer's own to a request's, unless it is told not to."""
    made = made_tokens(tiny_model("starcoder2"))
    directory = with_ends(tiny_model("starcoder2"), tmp_path / "model", [max(made) + 1])
    engine = opened(work(directory))
    engine.loaded.tokenizer.eos_token = engine.loaded.tokenizer.convert_ids_to_tokens(made[0])
    engine.loaded.model._tokenizer.eos_token = engine.loaded.tokenizer.eos_token
    assert said(engine.complete(PROMPTS, work(directory).decoding))[0][-1] == "length"


@pytest.mark.parametrize("broken", ["nan", "inf", "equal"])
def test_logits_that_are_no_answer_are_seen_in_the_log_probabilities(fake, tiny_model, broken):
    import torch

    engine = opened(work(tiny_model("starcoder2")))
    assert [c.invalid_logits_token for c in engine.complete(PROMPTS, DECODING).completions] == [
        None
    ] * len(PROMPTS)
    model = engine.loaded.model._model
    values = {"nan": float("nan"), "inf": float("inf")}

    def spoil(module, arguments, output):
        if arguments[0].shape[1] >= longest + 2:  # of the longest prompt: at its third token
            if broken == "equal":
                output.zero_()
            else:
                output[..., 5] = values[broken]
        return output

    longest = max(len(ids) for ids in engine.loaded.tokenizer(PROMPTS)["input_ids"])
    at = [len(ids) for ids in engine.loaded.tokenizer(PROMPTS)["input_ids"]].index(longest)
    with torch.inference_mode():
        handle = model.lm_head.register_forward_hook(spoil)
        found = engine.complete(PROMPTS, DECODING).completions
        handle.remove()
    assert found[at].invalid_logits_token == 2
    assert all(
        c.invalid_logits_token is None or c.invalid_logits_token > 2
        for c in found
        if c is not found[at]
    )


def test_a_stop_string_that_begins_in_the_prompt_is_none_for_vllm(fake, tiny_model):
    """As docs/explanation/engines.md says: vLLM looks at the new text only."""
    directory = tiny_model("starcoder2")
    (_, _, text, *_), *_ = both(directory)[0]
    stop = PROMPTS[0] + text[0]  # no text of this model's holds its whole prompt
    theirs, ours = both(directory, stop_strings=(stop,))
    assert theirs[0][4] < ours[0][4] == 12
    assert (theirs[0][2], theirs[0][-1]) == (text[: len(theirs[0][2])], "stop_string")
    assert (ours[0][2], ours[0][-1]) == (text, "length")


def test_samples_follow_the_repeats_seed(fake, tiny_model):
    asked = work(tiny_model("starcoder2"), samples=3, temperature=1.0, top_p=0.95)
    engine = opened(asked)

    def draw(seed):
        return said(engine.complete(PROMPTS, asked.decoding, SampleSeeds(seed)))

    first = draw(0)
    assert first == draw(0) != draw(1)
    places = [(index, sample) for index, sample, *_ in first]
    assert places == [(index, sample) for index in range(len(PROMPTS)) for sample in range(3)]
    assert len({text for _, _, text, *_ in first}) > 4
    assert fake.made[0].options["max_num_seqs"] == 12


def test_decode_begins_with_the_first_token_of_the_last_sequence(fake, tiny_model):
    asked = work(tiny_model("starcoder2"))
    engine = opened(asked)
    scheduler = engine.loaded.model.llm_engine.vllm_config.scheduler_config
    scheduler.max_num_seqs = 2  # the third prompt waits for the first to end
    batch = engine.complete(PROMPTS, asked.decoding)
    firsts = [done.first_token_s for done in batch.completions]
    ends = [done.end_s for done in batch.completions]
    assert firsts[0] < ends[0] < firsts[2]
    assert batch.first_token_s == max(firsts)
    assert batch.start_s < min(firsts)
    assert max(ends) <= batch.end_s
    assert all(done.start_s == batch.start_s for done in batch.completions)


def test_what_vllm_is_told(fake, tiny_model):
    asked = work(tiny_model("starcoder2"), seed=5)
    opened(asked)
    [made] = fake.made
    longest = max(len(ids) for ids in made._tokenizer(PROMPTS)["input_ids"])
    assert made.in_process
    assert made.options == {
        "model": asked.directory,
        "dtype": "float32",
        "seed": 5,
        "max_model_len": longest + 12,
        "max_num_seqs": 4,
        "enable_prefix_caching": False,
        "disable_log_stats": False,
        "generation_config": "vllm",
        "trust_remote_code": False,
    }


def test_the_record_has_the_clock_and_the_environment_that_the_engine_relies_on():
    assert double.RECORD["clock"] == {
        "EngineCoreOutputs.timestamp": ["time.monotonic()"],
        "RequestStateStats.first_token_ts": ["engine_core_timestamp"],
        "RequestStateStats.last_token_ts": ["engine_core_timestamp"],
    }
    assert set(module._ENVIRONMENT) <= set(double.RECORD["environment"])
    assert set(module._FINISH_REASONS) <= set(double.RECORD["finish_reasons"])


def test_the_record_is_of_the_pinned_version(repository):
    pins = (repository / "requirements" / "vllm.lock.txt").read_text().split()
    assert f"vllm=={double.RECORD['version']}" in pins


@pytest.mark.parametrize(
    ("call", "refused"),
    [
        (lambda llm, path: llm(model=path, dtype="float32", colour=1), "EngineArgs has no colour"),
        (lambda llm, path: llm(model=path, dtype="float32").generate([], [], best_of=2), "best_of"),
        (lambda llm, path: llm(model=path, dtype="float32").cost, "LLM has no cost"),
        (lambda llm, path: double.SamplingParams(best_of=2), "SamplingParams has no best_of"),
        (lambda llm, path: double.Recorded("RequestOutput").cost, "RequestOutput has no cost"),
    ],
)
def test_the_double_refuses_what_vllm_does_not_have(fake, tiny_model, call, refused):
    with pytest.raises(double.NotInVllm, match=refused):
        call(fake, str(tiny_model("starcoder2")))


SPOILT = {
    "aborted": (
        lambda r: vars(r.outputs[0]).update(finish_reason="abort"),
        "finish_reason 'abort'",
    ),
    "no times": (lambda r: vars(r).update(metrics=None), "has no token times"),
    "cached": (lambda r: vars(r).update(num_cached_tokens=3), "reused a cached prefix"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_request_that_is_not_sound_fails_the_cell(fake, tiny_model, monkeypatch, case):
    spoil, reason = SPOILT[case]
    asked = work(tiny_model("starcoder2"))
    engine = opened(asked)
    generate = fake.generate

    def spoilt(self, *arguments, **options):
        requests = generate(self, *arguments, **options)
        spoil(requests[-1])
        return requests

    monkeypatch.setattr(fake, "generate", spoilt)
    with pytest.raises(CodewattError, match=reason):
        engine.complete(PROMPTS, asked.decoding)


def test_prompts_beyond_the_models_positions_are_infeasible(fake, tiny_model):
    with pytest.raises(InfeasibleError, match=r"max_model_len \(\d+\) is greater than"):
        opened(work(tiny_model("starcoder2"), token_limit=256))


def test_a_vllm_for_another_device_is_infeasible(monkeypatch, tiny_model):
    double.install(monkeypatch, "cuda")
    with pytest.raises(
        InfeasibleError, match="the installed vLLM runs on cuda, the study's device is cpu"
    ):
        opened(work(tiny_model("starcoder2")))


def test_files_that_differ_from_their_manifest_are_not_loaded(fake, tiny_model, tmp_path):
    directory = shutil.copytree(tiny_model("starcoder2"), tmp_path / "model")
    asked = work(directory)
    (directory / "config.json").write_text("{}")
    with pytest.raises(CodewattError, match=r"config\.json"):
        opened(asked)
    assert fake.made == []


def test_weights_that_torchao_packed_for_another_device_are_not_loaded(fake, tiny_model, tmp_path):
    directory = shutil.copytree(tiny_model("starcoder2"), tmp_path / "model")
    config = read_json(directory / "config.json")
    kind = {"default": {"_type": "Int4WeightOnlyConfig"}}
    config["quantization_config"] = {"quant_method": "torchao", "quant_type": kind}
    write_json(directory / "config.json", config)
    with pytest.raises(CodewattError, match="packed for device 'cuda', not 'cpu'"):
        opened(work(directory))
    assert fake.made == []


def run_vllm_cell(weights, folder):
    """One cell by the engine vllm, through the whole stage."""
    manifest, _ = run_cell(
        weights,
        folder,
        PROMPTS,
        stop_strings=["\ndef "],
        parameters=11,
        engine="vllm",
        batch_size=2,
        token_limit=8,
    )
    return manifest


def test_a_cells_manifest_says_what_vllm_loaded_and_how(fake, tiny_model, tmp_path):
    manifest = run_vllm_cell(tiny_model("starcoder2"), tmp_path)
    assert manifest["status"] == "ok"
    [made] = fake.made
    tensors = [*made._model.parameters(), *made._model.buffers()]
    assert manifest["model"] == {
        "class": "Starcoder2ForCausalLM",
        "model_type": "starcoder2",
        "dtype": "float32",
        "device": "cpu",
        "layers": 4,
        "memory_bytes": sum(tensor.nbytes for tensor in tensors),
        "parameters": 11,
        "meaningful_accuracy": False,
    }
    engine = manifest["engine"]
    assert engine["name"] == "vllm"
    assert engine["version"] == double.RECORD["version"]
    assert engine["prefix_caching"] is False
    assert engine["max_num_seqs"] == 2
    assert engine["preemptions"] == 0
    names = [window["phase"] for window in manifest["windows"]]
    assert names[:5] == ["idle_unloaded", "load", "idle_loaded", "probe", "warmup"]
    assert names.count("prefill") == names.count("decode") == 4
    demand = manifest["roofline"]["demand"]
    counted = architecture_of(made._model.config.to_dict())
    assert demand["step_weight_bytes"] == 4 * counted.parameters  # tied: all is read
    assert demand["kv_bytes_per_token"] == counted.kv_bytes_per_token(4)


def test_a_variant_that_vllm_cannot_read_is_a_record_with_its_reason(fake, tiny_model, tmp_path):
    weights = shutil.copytree(tiny_model("starcoder2"), tmp_path / "model")
    config = json.loads((weights / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    (weights / "config.json").write_text(json.dumps(config))
    manifest = run_vllm_cell(weights, tmp_path)
    assert manifest["status"] == "infeasible"
    assert "Unknown quantization method: bitsandbytes. Must be one of" in manifest["reason"]


def test_without_vllm_one_line_names_the_environment_before_anything_is_loaded(
    monkeypatch, tiny_model, tmp_path
):
    monkeypatch.setitem(sys.modules, "vllm", None)
    loads = []
    monkeypatch.setattr(module.VllmEngine, "load", lambda work: loads.append(work))
    with pytest.raises(CodewattError, match=r"not installed here.*envs/vllm\.yaml") as raised:
        run_vllm_cell(tiny_model("starcoder2"), tmp_path)
    assert "\n" not in str(raised.value)
    assert loads == []
