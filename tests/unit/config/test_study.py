"""A bad study is one line: the file, the key, what is allowed."""

import pytest

from codewatt.config.load_study import load_config, load_study, validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError
from codewatt.grid import Grid
from tests.support.good_study import GGUF, GOOD, GPTQ, TORCHAO, changed

BAD = {
    "unknown key": (("token_limt",), 1, "token_limt: unknown key; did you mean 'token_limits'?"),
    "renamed key": (
        ("texts",),
        [],
        "texts: unknown key; renamed to 'corpora'; allowed: baseline,",
    ),
    "renamed key inside": (
        ("fidelity",),
        {"text": "t", "corpus": "t"},
        "fidelity.text: unknown key; renamed to 'corpus'; allowed: corpus",
    ),
    "unknown key inside": (
        ("models", 0, "heds"),
        4,
        "models[0].heds: unknown key; did you mean 'heads'? allowed: architecture,",
    ),
    "wrong type": (("token_limits",), ["48"], "token_limits[0]: '48': input should be a valid int"),
    "wrong type of a list": (("token_limits",), 48, "token_limits: 48: input should be a valid l"),
    "unknown source": (
        ("models", 0, "source"),
        "hubb",
        "models[0].source: 'hubb' is not allowed; allowed: hub, path, gguf, nano, architecture",
    ),
    "no source": (("models", 0, "source"), ..., "models[0].source: required, but absent; allowed"),
    "unknown architecture": (
        ("models", 0, "architecture"),
        "gpt2",
        "models[0].architecture: 'gpt2' is not allowed; allowed: 'starcoder2' or 'qwen2'",
    ),
    "id that is no file name": (("models", 0, "id"), "a/b", "models[0].id: 'a/b' does not match"),
    "id with a double separator": (("models", 0, "id"), "a--b", "models[0].id: 'a--b' does not"),
    "negative limit": (("token_limits",), [-1], "token_limits[0]: -1: input should be greater"),
    "no limit": (("token_limits",), [], "token_limits: []: list should have at least 1 item"),
    "path for a revision": (
        ("models", 0),
        {"id": "m", "source": "hub", "repo": "a/b", "revision": "../main"},
        "models[0].revision: '../main' does not match",
    ),
    "too deep": (
        ("prunes", 1, "layers"),
        4,
        "prune 'last1' removes 4 layers, model 'm' has 4; allowed with method 'last': at most "
        "3, or",
    ),
    "too deep before the last": (
        ("prunes", 1),
        {"id": "p", "method": "keep_last", "layers": 4},
        "prune 'p' removes 4 layers, model 'm' has 4; allowed with method 'keep_last': at most 3",
    ),
    "too deep for SLEB": (
        ("prunes", 1),
        {"id": "p", "method": "sleb", "layers": 3, "calibration": "t"},
        "prune 'p' removes 3 layers, model 'm' has 4; allowed with method 'sleb': at most 2",
    ),
    "scores on no text": (
        ("prunes", 1),
        {"id": "p", "method": "block_influence", "layers": 1, "calibration": "x"},
        "prune 'p': calibration: no corpus 'x' in this study; allowed: t",
    ),
    "scores without a text": (
        ("prunes", 1),
        {"id": "p", "method": "angular_distance", "layers": 1},
        "prunes[1].calibration: required, but absent",
    ),
    "unknown prune method": (
        ("prunes", 1, "method"),
        "first",
        "prunes[1].method: 'first' is not allowed; allowed: none, last, keep_last, block_influence",
    ),
    "impossible combination": (
        ("precisions", 1, "outlier_threshold"),
        3.0,
        "precisions[1]: outlier_threshold is not allowed with nf4; allowed with: int8",
    ),
    "torchao's groups of int8": (
        ("precisions", 1),
        {**TORCHAO, "quant_type": "int8", "compute_dtype": "float32", "group_size": 32},
        "precisions[1]: group_size is not allowed with int8; allowed with: int4",
    ),
    "torchao's int8 that overflows": (
        ("precisions", 1),
        {**TORCHAO, "quant_type": "int8", "compute_dtype": "float16"},
        "precisions[1]: compute_dtype float16 overflows with int8; allowed: float32, bfloat16",
    ),
    "torchao's group of no kernel": (
        ("precisions", 1),
        {**TORCHAO, "quant_type": "int4", "compute_dtype": "float32", "group_size": 48},
        "precisions[1].group_size: 48 is not allowed; allowed: 32, 64, 128 or 256",
    ),
    "torchao's type of another method": (
        ("precisions", 1),
        {**TORCHAO, "quant_type": "nf4", "compute_dtype": "float32"},
        "precisions[1].quant_type: 'nf4' is not allowed; allowed: 'int8', 'int4', 'fp8' or 'fp8_d",
    ),
    "torchao's fp8 of another dtype": (
        ("precisions", 1),
        {**TORCHAO, "quant_type": "fp8_dynamic", "compute_dtype": "float16"},
        "precisions[1]: compute_dtype float16 is not allowed with fp8_dynamic; allowed: bfloat16",
    ),
    "gptq's bits that it has not": (
        ("precisions", 1),
        {**GPTQ, "bits": 3},
        "precisions[1].bits: 3 is not allowed; allowed: 4 or 8",
    ),
    "gptq's groups that it has not": (
        ("precisions", 1),
        {**GPTQ, "group_size": 100},
        "precisions[1].group_size: 100 is not allowed; allowed: -1, 32, 64 or 128",
    ),
    "awq's bits that it has not": (
        ("precisions", 1),
        {"id": "nf4", "method": "awq", "bits": 8, "compute_dtype": "float16"},
        "precisions[1].bits: 8 is not allowed; allowed: 4",
    ),
    "awq's dtype that it has not": (
        ("precisions", 1),
        {"id": "nf4", "method": "awq", "compute_dtype": "float32"},
        "precisions[1].compute_dtype: 'float32' is not allowed; allowed: 'bfloat16' or 'float16'",
    ),
    "a backend of the other method": (
        ("precisions", 1),
        {**GPTQ, "backend": "autoawq"},
        "precisions[1].backend: 'autoawq' is not allowed; allowed: 'gptqmodel' or 'auto_gptq'",
    ),
    "a backend that does not know the model": (
        ("precisions", 1),
        {**GPTQ, "backend": "auto_gptq"},
        "precision 'nf4', model 'm': backend auto_gptq: AutoGPTQ 0.7.1 cannot quantise models of "
        "type starcoder2; allowed: backend: gptqmodel, or models of type gpt_neox, llama, mistral, "
        "qwen2, or exclude the pair",
    ),
    "a gguf type that there is not": (
        ("precisions", 1),
        {"id": "nf4", "method": "gguf", "quant_type": "Q4_K"},
        "precisions[1].quant_type: 'Q4_K' is not allowed; allowed: 'F32', 'F16', 'Q8_0', 'Q6_K'",
    ),
    "an importance matrix without effect": (
        ("precisions", 1),
        {**GGUF, "calibration": "t"},
        "precisions[1]: calibration is not allowed with Q8_0, which an importance matrix does not "
        "change; allowed with: the types other than F32, F16, Q8_0",
    ),
    "gguf on another engine": (
        ("precisions", 1),
        GGUF,
        "precision 'nf4': engine transformers runs no GGUF files; allowed: engine llama_cpp, or "
        "exclude the pair",
    ),
    "another precision on llama_cpp": (
        ("engines",),
        ["transformers", "llama_cpp"],
        "precision 'fp32': engine llama_cpp runs GGUF files; allowed: precisions of method gguf, "
        "or exclude the pair",
    ),
    "a calibration text that there is not": (
        ("precisions", 1),
        {**GPTQ, "calibration": "code"},
        "precision 'nf4': calibration: no corpus 'code' in this study",
    ),
    "greedy samples": (
        ("decoding",),
        {"strategy": "greedy", "samples": 2},
        "decoding: samples must be 1 with strategy 'greedy'",
    ),
    "unknown model in exclude": (
        ("exclude",),
        [{"model": "x"}],
        "exclude[0].model: no model 'x' in this study; allowed: m",
    ),
    "unknown axis in exclude": (
        ("exclude",),
        [{"colour": "x"}],
        "exclude[0].colour: 'colour' is not allowed; allowed: 'model', 'prune'",
    ),
    "unknown baseline": (
        ("baseline", "precision"),
        "x",
        "baseline.precision: no precision 'x' in this study; allowed: fp32, nf4",
    ),
    "duplicate id": (
        ("models",),
        GOOD["models"] * 2,
        "models: duplicate id 'm'; each must be unique",
    ),
    "duplicate number": (
        ("token_limits",),
        [48, 48],
        "token_limits: duplicate value 48; each must be unique",
    ),
    "nan": (("energy",), {"idle_s": float("nan")}, "energy.idle_s: nan: input should be a finite"),
    "idle time that nobody waits for": (
        ("energy",),
        {"idle_s": 1e9},
        "energy.idle_s: 1000000000.0: input should be less than or equal to 3600",
    ),
    "rest that cannot end in time": (
        ("energy",),
        {"start": {"for_s": 30.0, "at_most_s": 30.0}},
        "energy.start: at_most_s 30 leaves no time to see power steady for 30 s; allowed: more "
        "than for_s",
    ),
    "rest of a key that does not exist": (
        ("energy",),
        {"start": {"below": 45}},
        "energy.start.below: unknown key",
    ),
    "rest at a temperature below zero": (
        ("energy",),
        {"start": {"below_c": -5.0}},
        "energy.start.below_c: -5.0: input should be greater than 0",
    ),
    "rest whose readings are too rare": (
        ("energy",),
        {"start": {}, "nvml_state_interval_s": 5.0},
        "energy: nvml_state_interval_s 5: `start` needs readings of every second; allowed with "
        "`start`: at most 0.5",
    ),
    "warm-up that cannot become steady": (
        ("decoding",),
        {"warmup": {"batches": 3, "max_cv": 0.02, "window_batches": 5, "max_batches": 6}},
        "decoding.warmup: max_batches 6 ends the warm-up before 5 times of one batch are known; "
        "allowed with these settings: at least 7",
    ),
    "warm-up of one time": (
        ("decoding",),
        {"warmup": {"window_batches": 1}},
        "decoding.warmup.window_batches: 1: input should be greater than or equal to 2",
    ),
    "warm-up by its old key": (
        ("decoding",),
        {"warmup_batches": 2},
        "decoding.warmup_batches: unknown key",
    ),
    "interval that no meter has": (
        ("energy",),
        {"nvml_interval_s": 1e-6},
        "energy.nvml_interval_s: 1e-06: input should be greater than or equal to 0.001",
    ),
    "interval below CodeCarbon's": (
        ("energy",),
        {"codecarbon_interval_s": 0.05},
        "energy.codecarbon_interval_s: 0.05: input should be greater than or equal to 0.1",
    ),
    "pass@k of more than there are": (
        ("evaluation",),
        {"k": [1, 10]},
        "evaluation.k: pass@10 needs 10 completions per task and repeat, but decoding.samples is "
        "1; allowed: k up to 1",
    ),
    "more tasks than there are": (
        ("benchmarks", 0, "tasks"),
        10_000,
        "benchmarks[0].tasks: 10000: input should be less than or equal to 8000",
    ),
    "a label that moves a terminal": (
        ("models", 0, "label"),
        "a\x1b[2J",
        "models[0].label: 'a\\\\x1b[2J' contains a control character; allowed: text on one line",
    ),
    "a title that is written backwards": (
        ("title",),
        "\u202egnp",
        "title: '\\\\u202egnp' contains a",
    ),
    "a path that is a wildcard": (
        ("corpora", 0),
        {"id": "t", "source": "file", "path": "{text}.txt"},
        "corpora[0].path: '{text}.txt' contains a brace; allowed: a path without braces",
    ),
    "a size that counts nothing": (
        ("models", 0),
        {"id": "m", "source": "architecture", "config": {"n_layer": "3"}},
        "models[0]: config.n_layer: '3'; allowed: an integer above 0",
    ),
    "a context that is a truth": (
        ("models", 0),
        {"id": "m", "source": "architecture", "config": {"max_position_embeddings": True}},
        "models[0]: config.max_position_embeddings: True; allowed: an integer above 0",
    ),
    "heads that cannot be turned": (
        ("models", 0, "hidden_size"),
        12,
        "models[0]: hidden_size 12 and heads 4 make heads of 3 values; allowed: an even number",
    ),
    "a temperature that divides by nothing": (
        ("decoding",),
        {"strategy": "sampled", "temperature": 1e-320},
        "decoding.temperature: 1e-320: input should be greater than or equal to 0.001",
    ),
    "a title that no page holds": (("title",), "x" * 301, "title: 301 characters; allowed"),
    "no such home": (
        ("models", 0),
        {"id": "m", "source": "path", "path": "~no-such-user/x"},
        "models[0].path: ~no-such-user/x: the home directory of ~no-such-user is unknown; write",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_studies_say_what_where_and_what_is_allowed(name):
    path, value, message = BAD[name]
    with pytest.raises(CodewattError) as caught:
        validate(Study, changed(path, value), "some/study.yaml")
    text = str(caught.value)
    assert text.startswith("some/study.yaml: " + message)
    assert "\n" not in text


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        ([{"model": "m"}], "exclude: it leaves no cell"),
        ([{"precision": "fp32"}], "exclude: it leaves no cell of the baseline"),
    ],
)
def test_an_empty_grid_is_refused(exclude, message):
    with pytest.raises(CodewattError, match=message):
        Grid(validate(Study, changed(("exclude",), exclude), "study.yaml"))


def test_a_missing_study_is_named(tmp_path):
    with pytest.raises(CodewattError, match=r"nothing\.yaml: no such file"):
        load_study(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("decoding", [{}, {"strategy": "sampled", "temperature": 0.8}])
def test_all_engines_decode_by_both_strategies(decoding):
    study = changed(("engines",), ["transformers", "graph", "vllm"])
    study["decoding"] = decoding
    found = validate(Study, study, "study.yaml")
    assert found.engines == ["transformers", "graph", "vllm"]


DEEPSEEK = {"id": "m", "source": "architecture", "config": {"model_type": "deepseek_v2"}}


def gguf_study(**settings):
    """A GGUF precision on engine llama_cpp beside float32 on transformers."""
    study = changed(("precisions", 1), GGUF)
    study["engines"] = ["transformers", "llama_cpp"]
    study["exclude"] = [
        {"precision": "fp32", "engine": "llama_cpp"},
        {"precision": "nf4", "engine": "transformers"},
    ]
    return {**study, **settings}


def test_each_precision_runs_on_its_engine():
    cells = Grid(validate(Study, gguf_study(), "study.yaml")).cells
    assert {(cell.variant.precision, cell.engine) for cell in cells} == {
        ("fp32", "transformers"),
        ("nf4", "llama_cpp"),
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"device": "cuda"},
            "precision 'nf4': method gguf runs on engine llama_cpp, which computes on the CPU, not "
            "on device 'cuda'; allowed: device: cpu",
        ),
        (
            {"models": [DEEPSEEK]},
            "precision 'nf4', model 'm': method gguf: models of type deepseek_v2 are not "
            "converted; allowed: models of type gpt_neox, llama, phi, qwen2, starcoder2, or "
            "exclude the pair",
        ),
    ],
)
def test_where_no_gguf_file_is_made_is_said(settings, message):
    with pytest.raises(CodewattError) as error:
        validate(Study, gguf_study(**settings), "study.yaml")
    assert message in str(error.value)


def test_pass_at_k_of_all_samples_is_good():
    study = changed(("evaluation",), {"k": [1, 10]})
    study["decoding"] = {"strategy": "sampled", "temperature": 0.8, "samples": 10}
    assert validate(Study, study, "study.yaml").evaluation.k == [1, 10]


def test_labels_are_one_line_and_paths_know_the_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    study = changed(("title",), "two\nlines\t and \u00a0more ")
    study["models"] = [{"id": "m", "source": "path", "path": "~/model", "label": " $x_{ %s <b> \n"}]
    study["corpora"] = [{"id": "t", "source": "file", "path": "~/text.txt"}]
    read = validate(Study, study, "study.yaml")
    assert read.title == "two lines and more"
    assert read.models[0].label == "$x_{ %s <b>"
    assert (read.models[0].path, read.corpora[0].path) == (
        "/home/someone/model",
        "/home/someone/text.txt",
    )
    config = load_config({"results": "~/cw", "benchmark_files": {"humaneval_plus": "~/h.jsonl"}})
    assert config.results == "/home/someone/cw"
    assert config.benchmark_files.humaneval_plus == "/home/someone/h.jsonl"
    with pytest.raises(CodewattError, match=r"results: 'out\{x\}' contains a brace"):
        load_config({"results": "out{x}"})


def test_a_misspelt_key_is_named_before_the_one_that_it_leaves_out():
    values = {("modles" if key == "models" else key): value for key, value in GOOD.items()}
    with pytest.raises(CodewattError, match=r"study\.yaml: modles: unknown key; did you mean 'mod"):
        validate(Study, values, "study.yaml")


def test_a_chat_is_not_judged_without_the_sanitiser():
    study = changed(("prompts",), ["stripped", "chat"])
    assert validate(Study, study, "mine.yaml").prompts == ["stripped", "chat"]
    with pytest.raises(CodewattError) as refused:
        validate(Study, {**study, "evaluation": {"sanitize": False}}, "mine.yaml")
    assert str(refused.value) == (
        "mine.yaml: prompts: 'chat' needs evaluation.sanitize: true, because the answer to a "
        "chat can contain text that is not code; allowed with sanitize: false: stripped, as_is"
    )


HUB = {"source": "hub", "revision": "0" * 40}
NAMED = {
    "Qwen/Qwen2.5-Coder-7B-Instruct": True,
    "meta-llama/CodeLlama-7b-Instruct-hf": True,
    "google/gemma-2-2b-it": True,
    "deepseek-ai/deepseek-llm-7b-chat": True,
    "Qwen/Qwen2.5-Coder-7B": None,
    "instruct/italic-chatter": None,  # the owner's name and parts of words say nothing
}


@pytest.mark.parametrize("repo", NAMED)
def test_a_name_tells_an_instruct_model_unless_the_study_says_otherwise(repo):
    def said(**keys):
        model = {"id": "m", **HUB, "repo": repo, **keys}
        return Grid(validate(Study, changed(("models",), [model]), "study.yaml")).is_instruct("m")

    assert said() is NAMED[repo]
    assert said(instruct=True) is True
    assert said(instruct=False) is False


def test_models_of_other_sources():
    path = {"id": "p", "source": "path", "path": "~/models/phi-4-chat"}
    random = {"id": "r", "source": "architecture", "config": {"model_type": "llama"}}
    study = changed(("models",), [*GOOD["models"], path, random])
    grid = Grid(validate(Study, study, "study.yaml"))
    assert [grid.is_instruct(model) for model in ("m", "p", "r")] == [False, True, None]


def test_what_kind_of_model_it_is_does_not_make_its_weights_stale():
    model = {"id": "m", **HUB, "repo": "a/b"}
    slices = {
        Grid(validate(Study, changed(("models",), [{**model, **keys}]), "s.yaml")).model_slice("m")
        for keys in ({}, {"instruct": True}, {"instruct": False, "layers": 3})
    }
    assert len(slices) == 1
