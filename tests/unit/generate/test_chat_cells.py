"""A cell of prompt style chat, run for real by every engine on a little model with a template."""

import gzip
import json

import pyarrow.parquet
import pytest
import torch
from evalplus.provider import utility as evalplus
from evalplus.sanitize import sanitize as evalplus_sanitize
from transformers import AutoModelForCausalLM, AutoTokenizer

from codewatt.benchmarks.prompt_format import INSTRUCTION_PREFIX, RESPONSE_PREFIX
from codewatt.benchmarks.tasks import FunctionTask
from codewatt.errors import CodewattError
from codewatt.evaluate.evaluate_cell import programs_to_judge
from codewatt.evaluate.sample_files import read_samples
from codewatt.files import write_jsonl
from tests.support import vllm as double
from tests.support.cells import run_cell
from tests.support.chat_models import save_chat_tokenizer
from tests.support.models import save_tiny_model

TASKS = ["def add(a, b):", "def subtract(first, second):\n    '''first - second'''\n"]
LIMIT = 6
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def instruct_model(tmp_path_factory):
    """A tokenizer whose template writes BOS and that adds BOS itself, as that of Llama 3.1."""
    directory = tmp_path_factory.mktemp("instruct")
    save_tiny_model("llama", directory, layers=2, max_position_embeddings=4096)
    save_chat_tokenizer("llama-3.1-8b-instruct", directory)
    return directory


@pytest.fixture(params=["transformers", "graph", "vllm"])
def engine(request, monkeypatch):
    if request.param == "vllm":
        double.install(monkeypatch)
    return request.param


def chat_prompts(directory):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    return [
        evalplus.make_raw_chat_prompt(task, INSTRUCTION_PREFIX, RESPONSE_PREFIX, tokenizer)
        for task in TASKS
    ]


def test_every_engine_reads_the_chat_with_one_bos(instruct_model, tmp_path, engine):
    manifest, out = run_cell(
        instruct_model, tmp_path, TASKS, prompt="chat", engine=engine, batch_size=1,
        token_limit=LIMIT, repeats=1,
    )  # fmt: skip
    assert manifest["status"] == "ok"
    tokenizer = AutoTokenizer.from_pretrained(instruct_model)
    model = AutoModelForCausalLM.from_pretrained(instruct_model)
    rows = pyarrow.parquet.read_table(out.tasks).to_pylist()
    with gzip.open(out.completions, "rt") as lines:
        completions = [json.loads(line) for line in lines]
    for text, row, done in zip(chat_prompts(instruct_model), rows, completions, strict=True):
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        assert ids[0].tolist().count(tokenizer.bos_token_id) == 1
        asked = {"max_new_tokens": LIMIT, "do_sample": False, "pad_token_id": 0}
        new = model.generate(ids, attention_mask=torch.ones_like(ids), **asked)[0, ids.shape[1] :]
        assert row["prompt_tokens"] == ids.shape[1]
        assert row["tokens"] == new.tolist()
        assert done["solution"] == done["completion"]


def test_the_record_says_what_was_asked(instruct_model, tmp_path):
    manifest, _ = run_cell(
        instruct_model, tmp_path, TASKS, prompt="chat", engine="transformers", batch_size=2,
        token_limit=LIMIT, repeats=1, stop_strings=["\ndef "],
    )  # fmt: skip
    assert manifest["prompt"] == {
        "asked": "chat template",
        "has_chat_template": True,
        "stop_strings": [*evalplus.EOS, "\n```\n"],
        "first_task_id": "t/0",
        "first_prompt": chat_prompts(instruct_model)[0],
    }


def test_a_model_without_a_template_completes_directly_and_the_record_says_so(tiny_model, tmp_path):
    manifest, out = run_cell(
        tiny_model("llama"), tmp_path, TASKS, prompt="chat", engine="transformers", batch_size=2,
        token_limit=LIMIT, repeats=1, stop_strings=["\ndef "],
    )  # fmt: skip
    assert manifest["prompt"] == {
        "asked": "direct completion",
        "has_chat_template": False,
        "stop_strings": ["\ndef "],
        "first_task_id": "t/0",
        "first_prompt": "def add(a, b):\n",
    }
    with gzip.open(out.completions, "rt") as lines:
        first = json.loads(next(lines))
    assert first["solution"] == "def add(a, b):\n" + first["completion"]


def test_a_chat_that_exceeds_the_context_is_refused_before_the_model_is_loaded(tmp_path):
    save_tiny_model("llama", tmp_path, layers=1)  # 128 positions: enough for the task alone
    save_chat_tokenizer("llama-3.1-8b-instruct", tmp_path)
    asked = {"engine": "transformers", "batch_size": 2, "token_limit": LIMIT, "repeats": 1}
    assert run_cell(tmp_path, tmp_path / "direct", TASKS, **asked)[0]["status"] == "ok"
    with pytest.raises(CodewattError, match=r"task t/1: the prompt has \d{3} tokens"):
        run_cell(tmp_path, tmp_path / "chat", TASKS, prompt="chat", **asked)


@pytest.mark.parametrize(
    "answer",
    [
        "def add(a, b):\n    return a + b\n```",  # the code block ends with the answer
        "def add(a, b):\n    return a + b\n\n\nadd(1, 2)",
        "import math\n\n\ndef add(a, b):\n    return math.fsum([a, b])",
    ],
)
def test_the_code_of_an_answer_is_taken_as_evalplus_takes_it(tmp_path, answer):
    """evalplus/codegen.py: solution = impl; sanitize(solution, entrypoint)."""
    tasks = [FunctionTask("t/0", "def add(a, b):\n", "add", "    return a + b\n", [[1, 2]], [])]
    row = {"task_id": "t/0", "repeat": 0, "sample": 0, "solution": answer, "completion": answer}
    write_jsonl(tmp_path / "completions.jsonl.gz", [row])
    samples = read_samples(tmp_path / "completions.jsonl.gz", tasks)
    [program] = programs_to_judge(samples, tasks, sanitize=True, jobs=1)
    assert program.code == evalplus_sanitize(answer, "add")
    assert "def add(a, b):" in program.code
    compile(program.code, "answer", "exec")
