"""Prompts that leave a model no room are refused by what its files say, before it is loaded."""

import json
import shutil

import pytest
from transformers import AutoTokenizer

from codewatt.errors import CodewattError
from codewatt.generate.context_length import check_context_length


@pytest.fixture
def model(tiny_model, tmp_path):
    """A model's directory without weights, and its context set to so many tokens."""

    def make(context, key="max_position_embeddings"):
        directory = tmp_path / "model"
        if not directory.exists():
            shutil.copytree(
                tiny_model("qwen2"), directory, ignore=shutil.ignore_patterns("*.safetensors")
            )
        configuration = json.loads((directory / "config.json").read_text())
        configuration.pop("max_position_embeddings", None)
        configuration |= {} if context is None else {key: context}
        (directory / "config.json").write_text(json.dumps(configuration))
        return directory

    return make


PROMPTS, IDS = ["def f(x):", "def longest(of, them, all):\n    '''Text.'''\n"], ["T/0", "T/1"]


@pytest.mark.parametrize("key", ["max_position_embeddings", "n_positions"])
def test_the_last_token_that_fits_is_allowed(model, key):
    tokenizer = AutoTokenizer.from_pretrained(model(64))
    longest = max(len(tokenizer(prompt).input_ids) for prompt in PROMPTS)
    directory = model(longest + 10, key)
    check_context_length(PROMPTS, IDS, directory, 10)
    with pytest.raises(CodewattError) as refused:
        check_context_length(PROMPTS, IDS, directory, 11)
    assert str(refused.value) == (
        f"task T/1: the prompt has {longest} tokens and the token limit is 11, the model's context "
        f"has {longest + 10}; allowed: token limits up to 10; or use a model with a longer "
        "context, or exclude the cell"
    )
    with pytest.raises(
        CodewattError, match=f"prompt has {longest} tokens, the model's context has 3; use"
    ):
        check_context_length(PROMPTS, IDS, model(3, key), 1)


def test_a_model_that_does_not_say_sets_no_limit(model):
    check_context_length(PROMPTS, IDS, model(None), 10**6)
