"""The prompts of a cell are those of EvalPlus and BigCodeBench, and hold BOS once."""

import hashlib
import json

import pytest
from evalplus.provider import utility as evalplus
from transformers import AutoTokenizer

from codewatt.benchmarks.humaneval_plus_benchmark import HumanEvalPlus
from codewatt.benchmarks.nano_benchmark import NanoBenchmark
from codewatt.benchmarks.prompt_format import (
    BIGCODEBENCH_COMPLETE_FORMAT,
    BIGCODEBENCH_INSTRUCT_FORMAT,
    HUMANEVAL_PLUS_FORMAT,
    INSTRUCTION_PREFIX,
    MBPP_PLUS_FORMAT,
    RESPONSE_PREFIX,
    PromptFormat,
)
from codewatt.benchmarks.tasks import FunctionTask
from codewatt.errors import CodewattError
from codewatt.files import numbered_rows
from codewatt.generate.cell_prompts import cell_prompts
from codewatt.generate.prompt_batches import encode_prompts
from tests.support.chat_models import PROMPT, SPECIAL_TOKENS, TEMPLATES, save_chat_tokenizer
from tests.support.models import save_tiny_tokenizer

BIGCODEBENCH = json.loads((TEMPLATES / "bigcodebench_prompts.json").read_text())


def task(prompt: str = PROMPT) -> FunctionTask:
    return FunctionTask("T/0", prompt, "add", "    return a + b\n", [[1, 2]], [])


@pytest.fixture(scope="module", params=sorted(SPECIAL_TOKENS))
def family(request):
    return request.param


@pytest.fixture(scope="module")
def tokenizer(family, tmp_path_factory):
    """As loaded from disk, where every variant keeps it."""
    directory = tmp_path_factory.mktemp("tokenizer")
    save_chat_tokenizer(family, directory)
    return AutoTokenizer.from_pretrained(directory)


@pytest.fixture
def base_tokenizer(tmp_path):
    return save_tiny_tokenizer(tmp_path)


def evalplus_prompt(prompt, tokenizer):
    """What EvalPlus sends to vLLM; both prefixes as in evalplus/codegen.py."""
    return evalplus.make_raw_chat_prompt(
        prompt.strip() + "\n",
        "Please provide a self-contained Python script that solves the following problem in a "
        "markdown code block:",
        "Below is a Python script with a self-contained function that solves the problem and "
        "passes corresponding tests:",
        tokenizer,
    )


@pytest.mark.parametrize("prompt_format", [HUMANEVAL_PLUS_FORMAT, MBPP_PLUS_FORMAT])
def test_a_chat_is_that_of_evalplus(tokenizer, prompt_format):
    asked = cell_prompts([task()], "chat", prompt_format, tokenizer)
    assert asked.texts == [evalplus_prompt(PROMPT, tokenizer)]
    assert asked.texts[0].endswith("passes corresponding tests:\n```python\n")
    assert asked.asked == "chat template"


@pytest.mark.data
def test_the_chat_about_the_first_task_of_humaneval_plus_is_that_of_evalplus(tokenizer, test_data):
    path = test_data / "humaneval_plus" / "HumanEvalPlus-v0.1.10.jsonl.gz"
    first = HumanEvalPlus().tasks({"path": str(path), "tasks": 1})
    asked = cell_prompts(first, "chat", HumanEvalPlus().prompt_format({}), tokenizer)
    assert asked.texts == [evalplus_prompt(first[0].prompt, tokenizer)]
    assert "has_close_elements" in asked.texts[0]


FORMATS = {"complete": BIGCODEBENCH_COMPLETE_FORMAT, "instruct": BIGCODEBENCH_INSTRUCT_FORMAT}


@pytest.mark.parametrize("split", FORMATS)
def test_a_chat_is_that_of_bigcodebench(tokenizer, family, split):
    asked = cell_prompts([task()], "chat", FORMATS[split], tokenizer)
    assert asked.texts == [BIGCODEBENCH["chats"][family][split]]


@pytest.mark.data
@pytest.mark.parametrize("split", FORMATS)
def test_the_chat_about_the_first_task_of_bigcodebench_is_that_of_bigcodebench(
    tokenizer, family, split, test_data
):
    path = test_data / "bigcodebench" / "BigCodeBench-v0.1.4-rebuilt.jsonl.gz"
    _, row = next(numbered_rows(path))
    asked = cell_prompts([task(row[f"{split}_prompt"])], "chat", FORMATS[split], tokenizer)
    digest = hashlib.sha256(asked.texts[0].encode()).hexdigest()
    assert row["task_id"] == "BigCodeBench/0"
    assert digest == BIGCODEBENCH["sha256_of_first_task"][family][split]


def test_the_package_bigcodebench_makes_the_recorded_chats(tokenizer, family):
    """Where it is installed; the record was made by tests/fixtures/chat_templates/make.py."""
    utility = pytest.importorskip("bigcodebench.provider.utility")
    for split, text in BIGCODEBENCH["chats"][family].items():
        made = utility.make_raw_chat_prompt(
            PROMPT, "full", split, INSTRUCTION_PREFIX, RESPONSE_PREFIX, tokenizer
        )  # fmt: skip
        assert made == text


def test_a_chat_holds_the_tokens_that_transformers_makes_of_it(tokenizer, family):
    """One BOS where the template writes it: as apply_chat_template tokenises a chat."""
    asked = cell_prompts([task()], "chat", HUMANEVAL_PLUS_FORMAT, tokenizer)
    chat = [{"role": "user", "content": HUMANEVAL_PLUS_FORMAT.user_turn(PROMPT)}]
    theirs = tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False)
    assert not asked.add_special_tokens
    [ours] = encode_prompts(tokenizer, asked.texts, add_special_tokens=asked.add_special_tokens)
    shared = theirs[:-1] if family == "phi-3.5-mini-instruct" else theirs  # it ends in EOS
    assert ours[: len(shared)] == shared
    [doubled] = encode_prompts(tokenizer, asked.texts, add_special_tokens=True)
    bos, _, adds_bos = SPECIAL_TOKENS[family]
    assert doubled == ([tokenizer.bos_token_id, *ours] if adds_bos else ours)
    if adds_bos:
        assert asked.texts[0].startswith(bos)
        assert ours[0] == tokenizer.bos_token_id != ours[1]


@pytest.mark.parametrize("style", ["stripped", "as_is"])
def test_direct_completion_adds_the_special_tokens_of_the_tokenizer(tokenizer, style):
    asked = cell_prompts([task()], style, HUMANEVAL_PLUS_FORMAT, tokenizer)
    assert asked.texts == [PROMPT.strip() if style == "stripped" else PROMPT]
    assert asked.add_special_tokens
    assert asked.describe()["asked"] == "direct completion"
    assert asked.describe()["has_chat_template"]


@pytest.mark.parametrize("prompt_format", [HUMANEVAL_PLUS_FORMAT, MBPP_PLUS_FORMAT])
def test_without_a_template_a_chat_is_the_direct_completion_of_evalplus(
    base_tokenizer, prompt_format
):
    asked = cell_prompts([task()], "chat", prompt_format, base_tokenizer)
    assert asked.texts == [evalplus_prompt(PROMPT, base_tokenizer)] == [PROMPT.strip() + "\n"]
    assert (asked.asked, asked.has_chat_template) == ("direct completion", False)
    assert asked.stop_strings == prompt_format.direct_stop_strings
    assert asked.add_special_tokens


def test_without_a_template_bigcodebench_gives_the_prompt_as_it_is(base_tokenizer):
    asked = cell_prompts([task()], "chat", BIGCODEBENCH_COMPLETE_FORMAT, base_tokenizer)
    assert asked.texts == [PROMPT]


@pytest.mark.parametrize("style", ["stripped", "as_is", "chat"])
def test_an_instruction_is_not_completed_directly(base_tokenizer, style):
    with pytest.raises(CodewattError, match=r"tasks are instructions.*allowed: prompt style chat"):
        cell_prompts([task()], style, BIGCODEBENCH_INSTRUCT_FORMAT, base_tokenizer)


def test_stop_strings_are_those_of_evalplus():
    for prompt_format, dataset in [
        (HumanEvalPlus().prompt_format({}), "humaneval"),
        (NanoBenchmark().prompt_format({}), "humaneval"),
        (MBPP_PLUS_FORMAT, "mbpp"),
    ]:
        direct = evalplus.EOS + evalplus.extra_eos_for_direct_completion(dataset)
        assert list(prompt_format.stop_strings("direct completion")) == direct
        # evalplus/provider/vllm.py, VllmDecoder.__init__
        assert list(prompt_format.stop_strings("chat template")) == [*evalplus.EOS, "\n```\n"]


def test_stop_strings_are_those_of_bigcodebench():
    for prompt_format in FORMATS.values():
        for asked in ("direct completion", "chat template"):
            recorded = BIGCODEBENCH["stop_strings"][asked]
            assert list(prompt_format.stop_strings(asked)) == recorded


def test_a_format_survives_its_record():
    other = PromptFormat(("a",), ("b",), "ask", "say", False, "refused")
    for prompt_format in (HUMANEVAL_PLUS_FORMAT, other):
        record = json.loads(json.dumps(prompt_format.to_record()))
        assert PromptFormat.from_record(record) == prompt_format


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('No such role') }}", "chat template fails: No such role; allowed"),
        ("{{ messages[0].content + 1 }}", "chat template fails: "),
        ("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "leaves out"),
    ],
)
def test_a_template_that_cannot_render_the_chat_is_refused(base_tokenizer, template, message):
    base_tokenizer.chat_template = template
    with pytest.raises(CodewattError, match=message) as refused:
        cell_prompts([task()], "chat", HUMANEVAL_PLUS_FORMAT, base_tokenizer)
    assert "allowed for this model: stripped, as_is" in str(refused.value)
    assert cell_prompts([task()], "stripped", HUMANEVAL_PLUS_FORMAT, base_tokenizer).texts


def test_an_answer_is_judged_without_its_prompt(tokenizer):
    chat = cell_prompts([task()], "chat", HUMANEVAL_PLUS_FORMAT, tokenizer)
    assert chat.solution("prompt", "answer") == "answer"
    direct = cell_prompts([task()], "stripped", HUMANEVAL_PLUS_FORMAT, tokenizer)
    assert direct.solution("prompt", "answer") == "promptanswer"


def test_the_record_holds_the_first_prompt_verbatim(tokenizer):
    tasks = [task(), task("def other():")]
    asked = cell_prompts(tasks, "chat", HUMANEVAL_PLUS_FORMAT, tokenizer)
    described = asked.describe()
    assert described["first_task_id"] == "T/0"
    assert described["first_prompt"] == evalplus_prompt(PROMPT, tokenizer)
    assert described["stop_strings"][-1] == "\n```\n"


def test_an_unknown_style_is_refused(base_tokenizer):
    with pytest.raises(CodewattError, match="prompt style 'poem': allowed: stripped, as_is, chat"):
        cell_prompts([task()], "poem", HUMANEVAL_PLUS_FORMAT, base_tokenizer)
