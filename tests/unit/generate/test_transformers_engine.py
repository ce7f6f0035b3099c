"""Completions are the model's own, and their counts and times are right."""

import re
from dataclasses import replace

import pytest

from codewatt.generate.engine import (
    DecodingParams,
    open_engine,
    stop_string_spans_prompt,
    truncate_at_stop_string,
)
from codewatt.models.generation_config import GenerationDefaults
from codewatt.models.loading import load_model

PROMPTS = ["def add(a, b):", "def f(x):\n    return", "x"]


@pytest.fixture(scope="module")
def loaded(tiny_model):
    return load_model(tiny_model("starcoder2"), dtype="float32", device="cpu")


def _complete(loaded, prompts, **settings):
    engine = open_engine("transformers", loaded, lambda: None)
    return engine.complete(
        prompts, DecodingParams(**{"token_limit": 12, "stop_strings": (), **settings})
    )


def _greedy(loaded, prompt, tokens):
    """Greedy decoding spelt out, without cache or generate()."""
    import torch

    ids = loaded.tokenizer(prompt, return_tensors="pt")["input_ids"]
    length = ids.shape[1]
    with torch.inference_mode():
        for _ in range(tokens):
            following = loaded.model(ids).logits[0, -1].argmax().reshape(1, 1)
            ids = torch.cat([ids, following], dim=1)
            if following.item() == loaded.tokenizer.eos_token_id:
                break
    return ids[0, length:].tolist()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_is_the_argmax_at_each_step(loaded, prompt):
    wanted = _greedy(loaded, prompt, 12)
    done = _complete(loaded, [prompt]).completions[0]
    assert done.text == loaded.tokenizer.decode(wanted, skip_special_tokens=True)
    assert done.new_tokens == len(wanted)


def test_a_batch_of_unequal_prompts_completes_each_as_alone(loaded):
    together = _complete(loaded, PROMPTS).completions
    alone = [_complete(loaded, [prompt]).completions[0] for prompt in PROMPTS]
    assert [done.text for done in together] == [done.text for done in alone]
    assert [done.prompt_tokens for done in together] == [done.prompt_tokens for done in alone]


def test_times_are_ordered(loaded):
    batch = _complete(loaded, PROMPTS)
    for done in batch.completions:
        assert batch.start_s <= done.start_s < done.first_token_s <= done.end_s <= batch.end_s


def test_the_token_limit_is_a_limit(loaded):
    done = _complete(loaded, ["x"], token_limit=5).completions[0]
    assert (done.new_tokens, done.stop_reason) == (5, "length")


def test_a_stop_string_ends_a_completion_before_it(tiny_model):
    loaded = load_model(tiny_model("qwen2"), dtype="float32", device="cpu")
    free = _complete(loaded, ["x"], token_limit=24).completions[0].text
    stop = re.search(r"[!-~]{2}", free).group()
    first = free.find(stop)
    done = _complete(loaded, ["x"], token_limit=24, stop_strings=(stop,)).completions[0]
    assert done.text == free[:first]
    assert done.stop_reason == "stop_string"
    assert done.new_tokens < 24


def test_a_stop_string_that_begins_in_the_prompt_is_a_stop(loaded):
    free = _complete(loaded, ["x"], token_limit=12).completions[0].text
    stop = "x" + free[:2]
    done = _complete(loaded, ["x"], token_limit=12, stop_strings=(stop,)).completions[0]
    assert (done.text, done.stop_reason) == (free[:2], "stop_string")


def test_eos_ends_a_completion_and_counts_as_a_token(loaded):
    free = _greedy(loaded, "x", 8)
    at = free.index(free[3])
    ending = replace(loaded, generation=GenerationDefaults((free[3],), "config.json"))
    done = _complete(ending, ["x"]).completions[0]
    assert (done.new_tokens, done.stop_reason) == (at + 1, "eos")


def test_the_earliest_stop_string_wins():
    assert truncate_at_stop_string("a\nclass X\ndef y", ("\ndef ", "\nclass ")) == ("a", True)
    assert truncate_at_stop_string("nothing", ("\ndef ",)) == ("nothing", False)


def test_stop_strings_are_prepared_once_and_not_in_every_batch(loaded, monkeypatch):
    """transformers goes through the vocabulary for them: half a second that is no decoding."""
    from codewatt.generate.engines import transformers as module

    made = []
    real = module.StopStringCriteria
    monkeypatch.setattr(
        module, "StopStringCriteria", lambda *args: made.append(args) or real(*args)
    )
    engine = open_engine("transformers", loaded, lambda: None)
    for stop_strings in [("\ndef ",), ("\ndef ",), ("\nclass ",), ("\ndef ",)]:
        engine.complete(["x"], DecodingParams(token_limit=4, stop_strings=stop_strings))
    assert len(made) == 2


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        ("def f(a:", "):", True),  # ":)" lies across the edge, in the middle of the token
        ("x", ":)", False),  # it lies in the text alone, and cuts it
        ("a:) b", "c", False),  # it lies in the prompt alone
        ("", ")", False),
    ],
)
def test_a_stop_string_across_the_edge_is_seen_wherever_its_token_ends(prompt, text, expected):
    assert stop_string_spans_prompt(prompt, text, (":)",)) is expected
