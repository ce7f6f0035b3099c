"""Every engine ends a completion where transformers' own generate() ends it, and says why."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from codewatt.errors import CodewattError
from codewatt.files import describe_files
from codewatt.generate.engine import DecodingParams, LoadRequest, engine_class, open_engine
from codewatt.models.generation_config import read_generation_defaults
from codewatt.models.loading import load_model
from codewatt.models.model_files import list_model_files
from codewatt.models.tokenizers import load_tokenizer
from tests.support import vllm as double
from tests.support.chains import SPECIALS, save_chain

ENGINES = ("transformers", "graph", "vllm")
LIMIT = 12
END, TURN, FILL = SPECIALS.values()
#: Of unequal lengths; the last token decides what follows: 'a' and '1' go on, 'z' stays.
PROMPTS = ["a", "some more text, a", "1", "zzz 1", "z"]
#: a bc<|turn|>defdef..., and 1 2345<|end|>
CHAIN = [["abc", "<|turn|>", "def"], ["12345", "<|end|>"]]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=ENGINES)
def engine_name(request, monkeypatch):
    if request.param == "vllm":
        double.install(monkeypatch)
    return request.param


def opened(name, directory, prompts=PROMPTS, **decoding):
    asked = DecodingParams(**{"token_limit": LIMIT, "stop_strings": (), **decoding})
    work = LoadRequest(
        directory=str(directory), files=describe_files(directory, list_model_files(directory)),
        dtype="float32", device="cpu", batches=[prompts], batch_size=len(prompts),
        decoding=asked, seed=0,
    )  # fmt: skip
    engine = open_engine(name, engine_class(name).load(work), lambda: None)
    engine.prepare([prompts], asked)
    return engine, asked


def completed(name, directory, prompts=PROMPTS, **decoding):
    engine, asked = opened(name, directory, prompts, **decoding)
    found = engine.complete(prompts, asked).completions
    for done in found:
        assert done.new_tokens == len(done.tokens)
        assert done.invalid_logits_token is None
    return [done.tokens for done in found], [done.stop_reason for done in found]


def generated(directory, prompts=PROMPTS, limit=LIMIT):
    """What generate() makes of each prompt alone, with the model's own settings."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(directory).eval()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    found = []
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            out = model.generate(ids, max_new_tokens=limit, do_sample=False)
        found.append(out[0, ids.shape[1] :].tolist())
    return found


@pytest.mark.parametrize("padding", [None, "<|end|>", "<|turn|>", "<|fill|>"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "generation", [{"eos_token_id": [END, TURN]}, {"eos_token_id": TURN, "pad_token_id": FILL}]
)
def test_generation_configs_ends_are_the_ends(tmp_path, engine_name, padding, side, generation):
    save_chain(tmp_path, CHAIN, pad=padding, side=side, generation=generation)
    tokens, reasons = completed(engine_name, tmp_path)
    assert tokens == generated(tmp_path)
    second = "eos" if generation["eos_token_id"] != TURN else "length"
    assert reasons == ["eos", "eos", second, second, "length"]


def test_config_jsons_ends_are_the_ends_without_a_generation_config(tmp_path, engine_name):
    save_chain(tmp_path, CHAIN, configuration={"eos_token_id": [TURN]})
    tokens, reasons = completed(engine_name, tmp_path)
    assert tokens == generated(tmp_path)
    assert reasons == ["eos", "eos", "length", "length", "length"]


def test_the_tokenizers_end_is_the_end_where_the_model_names_none(tmp_path, engine_name):
    """generate() would go on to its limit, here with the token that its end leads to: the end."""
    save_chain(tmp_path, CHAIN, generation={"bos_token_id": 5})
    tokens, reasons = completed(engine_name, tmp_path)
    endless = generated(tmp_path)
    assert tokens[:2] == endless[:2]
    assert tokens[2] == endless[2][:5] == [*endless[2][:4], END]
    assert reasons == ["length", "length", "eos", "eos", "length"]


@pytest.mark.parametrize("eos", [None, "<|end|>"])
def test_a_padding_token_that_a_model_writes_is_a_token(tmp_path, engine_name, eos):
    chain = [["abc", "<|fill|>", "def"], ["12345", "<|fill|>", "6"]]
    save_chain(tmp_path, chain, eos=eos, pad="<|fill|>", generation={"pad_token_id": FILL})
    tokens, reasons = completed(engine_name, tmp_path)
    assert tokens == generated(tmp_path)
    assert set(reasons) == {"length"}
    assert {len(row) for row in tokens} == {LIMIT}
    assert FILL in tokens[0]


def test_without_any_special_token_all_run_to_the_limit(tmp_path, engine_name):
    save_chain(tmp_path, CHAIN, eos=None, pad=None)
    tokens, reasons = completed(engine_name, tmp_path)
    assert tokens == generated(tmp_path)
    assert set(reasons) == {"length"}


def test_an_end_at_once_and_one_at_the_limit(tmp_path, engine_name):
    save_chain(
        tmp_path,
        [["a", "<|turn|>"], ["12345", "<|end|>"]],
        generation={"eos_token_id": [END, TURN]},
    )
    tokens, reasons = completed(engine_name, tmp_path, ["a", "1"], token_limit=5)
    assert tokens == generated(tmp_path, ["a", "1"], 5)
    assert [len(row) for row in tokens] == [1, 5]
    assert reasons == ["eos", "eos"]


@pytest.mark.parametrize("eos", [None, END])
def test_what_stands_behind_a_stop_string_belongs_to_nobody(tmp_path, engine_name, eos):
    """Rows that have ended go on in generate() with padding, or without an end with real tokens."""
    save_chain(
        tmp_path,
        CHAIN,
        eos=None,
        pad="<|fill|>",
        generation={"eos_token_id": eos, "pad_token_id": FILL},
    )
    tokens, reasons = completed(engine_name, tmp_path, stop_strings=("34",))
    free = generated(tmp_path)
    assert tokens == [*free[:2], free[2][:3], free[3][:3], free[4]]
    assert reasons == ["length", "length", "stop_string", "stop_string", "length"]


def test_a_special_token_as_stop_string_is_one_even_at_the_limit(tmp_path, engine_name):
    save_chain(tmp_path, CHAIN, generation={"eos_token_id": END})
    tokens, reasons = completed(
        engine_name, tmp_path, ["a"], stop_strings=("<|turn|>",), token_limit=3
    )
    assert (len(tokens[0]), reasons) == (3, ["stop_string"])


SETTINGS = {
    "repetition_penalty": 1.9,
    "no_repeat_ngram_size": 2,
    "bad_words_ids": [[1]],
    "suppress_tokens": [END],
    "begin_suppress_tokens": [2],
    "forced_eos_token_id": 7,
    "min_new_tokens": 9,
    "min_length": 100,
    "max_length": 3,
    "max_new_tokens": 2,
    "max_time": 0.001,
    "stop_strings": ["c"],
    "sequence_bias": [[[4], 9.0]],
    "do_sample": True,
    "temperature": 0.2,
    "top_k": 3,
    "num_beams": 3,
}


def test_what_else_a_generation_config_asks_for_is_followed_by_none_and_recorded(
    tmp_path, engine_name
):
    """Greedy decoding is the study's: each would change which token is chosen, or where it ends."""
    plain, other = tmp_path / "plain", tmp_path / "other"
    ends = {"eos_token_id": [END, TURN]}
    save_chain(plain, CHAIN, generation=ends)
    save_chain(other, CHAIN, generation={**ends, **SETTINGS})
    assert completed(engine_name, other) == completed(engine_name, plain)
    engine, _ = opened(engine_name, other)
    found = engine.loaded.generation.describe(engine.loaded.tokenizer)
    assert set(found["ignored_settings"]) == set(SETTINGS)
    assert found["stop_token_ids"] == [END, TURN]
    assert found["stop_tokens"] == ["<|end|>", "<|turn|>"]
    assert found["stop_tokens_from"] == "generation_config.json"


@pytest.mark.parametrize(
    ("generation", "configuration", "expected"),
    [
        ({"eos_token_id": [5, 6, 5]}, {}, ((5, 6), "generation_config.json")),
        ({"eos_token_id": 5}, {"eos_token_id": 6}, ((5,), "generation_config.json")),
        ({}, {"eos_token_id": [6]}, ((6,), "config.json")),
        (None, {"eos_token_id": 6}, ((6,), "config.json")),
        (None, {}, ((END,), "tokenizer")),
        ({"eos_token_id": []}, {}, ((END,), "tokenizer")),
        ({"eos_token_id": -1}, {}, ((END,), "tokenizer")),
    ],
)
def test_ends_are_the_first_files_that_names_some(tmp_path, generation, configuration, expected):
    save_chain(tmp_path, CHAIN, generation=generation, configuration=configuration)
    found = read_generation_defaults(tmp_path, load_tokenizer(tmp_path))
    assert (found.stop_token_ids, found.stop_tokens_from) == expected
    model = load_model(tmp_path, dtype="float32", device="cpu").model
    named = model.generation_config.eos_token_id
    if found.stop_tokens_from != "tokenizer" and (generation is None or generation):
        assert list(dict.fromkeys(named if isinstance(named, list) else [named])) == [
            *found.stop_token_ids
        ]


@pytest.mark.parametrize("ends", ["</s>", [1.5], [[1]], {"a": 1}, True])
def test_ends_that_are_no_token_ids_are_one_line(tmp_path, ends):
    save_chain(tmp_path, CHAIN, generation={"eos_token_id": ends})
    with pytest.raises(CodewattError, match=r"generation_config\.json: (eos_token_id|cannot be)"):
        load_model(tmp_path, dtype="float32", device="cpu")


def test_without_a_padding_token_a_row_is_filled_with_what_no_one_looks_at(tmp_path):
    save_chain(tmp_path, CHAIN, eos=None, pad=None)
    loaded = load_model(tmp_path, dtype="float32", device="cpu")
    assert loaded.tokenizer.pad_token_id is None
    known = loaded.generation
    assert known.padding(loaded.tokenizer) == 0
    assert replace(known, stop_token_ids=(9,)).padding(loaded.tokenizer) == 9
    assert known.padding(SimpleNamespace(pad_token_id=4)) == 4


def test_a_prompt_without_tokens_is_one_line(tmp_path, engine_name):
    save_chain(tmp_path, CHAIN)
    with pytest.raises(CodewattError, match="prompt '': it has no tokens"):
        completed(engine_name, tmp_path, ["a", ""])


def test_a_variants_ends_are_its_models(tmp_path):
    """What is pruned or quantised is another directory: the ends go with it."""
    from codewatt.prune.remove_layers import remove_layers
    from codewatt.quantise.quantiser import open_quantiser

    save_chain(tmp_path / "model", CHAIN, generation={"eos_token_id": [END, TURN]})
    remove_layers(tmp_path / "model", tmp_path / "pruned", [0])
    settings = {"quant_type": "int8", "compute_dtype": "float32", "outlier_threshold": 6.0}
    open_quantiser("bitsandbytes").quantise(
        tmp_path / "pruned", tmp_path / "quantised", settings, "cpu"
    )
    for name in ("pruned", "quantised"):
        found = load_model(tmp_path / name, dtype="float32", device="cpu").generation
        assert (found.stop_token_ids, found.stop_tokens_from) == (
            (END, TURN),
            "generation_config.json",
        )
