"""Prompts that leave a model no room are refused by what its files say, before it is loaded."""

import json
import shutil
from dataclasses import replace

import pytest
from transformers import AutoTokenizer

from codewatt.errors import CodewattError
from codewatt.generate.cell_prompts import CellPrompts
from codewatt.generate.context_length import check_context_length
from codewatt.models.tokenizers import load_tokenizer
from tests.support.chat_models import save_chat_tokenizer


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


PROMPTS = CellPrompts(
    texts=["def f(x):", "def longest(of, them, all):\n    '''Text.'''\n"],
    task_ids=["T/0", "T/1"],
    asked="direct completion",
    stop_strings=(),
    has_chat_template=False,
)


def check(prompts, directory, token_limit):
    check_context_length(prompts, load_tokenizer(directory), directory, token_limit)


@pytest.mark.parametrize("key", ["max_position_embeddings", "n_positions"])
def test_the_last_token_that_fits_is_allowed(model, key):
    tokenizer = AutoTokenizer.from_pretrained(model(64))
    longest = max(len(tokenizer(prompt).input_ids) for prompt in PROMPTS.texts)
    directory = model(longest + 10, key)
    check(PROMPTS, directory, 10)
    with pytest.raises(CodewattError) as refused:
        check(PROMPTS, directory, 11)
    assert str(refused.value) == (
        f"task T/1: the prompt has {longest} tokens and the token limit is 11, the model's context "
        f"has {longest + 10}; allowed: token limits up to 10; or use a model with a longer "
        "context, or exclude the cell"
    )
    with pytest.raises(
        CodewattError, match=f"prompt has {longest} tokens, the model's context has 3; use"
    ):
        check(PROMPTS, model(3, key), 1)


def test_a_model_that_does_not_say_sets_no_limit(model):
    check(PROMPTS, model(None), 10**6)


def test_the_tokens_of_a_chat_are_counted_without_a_second_bos(model):
    directory = model(64)
    save_chat_tokenizer("llama-3.1-8b-instruct", directory)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    chat = replace(PROMPTS, asked="chat template")
    longest = max(len(tokenizer(text, add_special_tokens=False).input_ids) for text in chat.texts)
    model(longest + 10)
    check(chat, directory, 10)
    with pytest.raises(CodewattError, match=f"the prompt has {longest + 1} tokens"):
        check(PROMPTS, directory, 10)
