"""Rows of another benchmark are refused as HumanEval+'s: they are judged by other rules."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from codewatt.benchmarks.humaneval_plus_benchmark import HumanEvalPlus
from codewatt.benchmarks.nano_benchmark import NanoBenchmark
from codewatt.benchmarks.task_ids import benchmark_of_task
from codewatt.errors import CodewattError
from codewatt.files import write_jsonl

ROW: dict[str, Any] = {
    "task_id": "HumanEval/3",
    "prompt": "import math\n\n\ndef helper(x):\n    return x\n\n\ndef f(x):\n    '''Double.'''\n",
    "entry_point": "f",
    "canonical_solution": "    return x\n",
    "base_input": [[1]],
    "plus_input": [],
}
MBPP = {
    **ROW,
    "task_id": "Mbpp/2",
    "prompt": '"""\nWrite a function f.\nassert f(1) == 1\n"""\n',
    "canonical_solution": "\ndef f(x):\n    return x\n",
    "assertion": "assert f(1) == 1",
}


def read(path: Path, *rows: dict[str, Any]) -> list[str]:
    write_jsonl(path, rows)
    tasks = HumanEvalPlus().tasks({"path": str(path), "pinned": False})
    return [task.task_id for task in tasks]


@pytest.mark.parametrize("task_id", ["HumanEval/3", "HumanEval/999", "mine/1", "3"])
def test_rows_of_its_form_are_taken_whatever_their_version(tmp_path: Path, task_id: str) -> None:
    indented = {**ROW, "prompt": "def  f (x):\n    '''Double.'''\n", "task_id": "HumanEval/4"}
    rows = ({**ROW, "task_id": task_id, "atol": 0, "contract": "", "extra": 1}, indented)
    assert read(tmp_path / "x.jsonl", *rows) == [task_id, "HumanEval/4"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (MBPP, r"x\.jsonl:2: task_id 'Mbpp/2' belongs to MBPP\+; allowed: rows of HumanEval\+"),
        (
            {**MBPP, "task_id": "HumanEval/2"},
            r"x\.jsonl:2: prompt: does not begin the function 'f'",
        ),
        ({**MBPP, "task_id": "renamed"}, r"x\.jsonl:2: prompt: does not begin the function 'f'"),
        ({**ROW, "task_id": "Nano/0"}, r"x\.jsonl:2: task_id 'Nano/0' belongs to nano"),
        ({"task_id": "BigCodeBench/13", "complete_prompt": ""}, r"belongs to BigCodeBench"),
        ({"task_id": "mbpp_11"}, r"belongs to MBPP\+"),
        ({**ROW, "prompt": "# def f(x):\n"}, "prompt: does not begin the function"),
        ({**ROW, "prompt": "def ff(x):\n"}, "prompt: does not begin the function"),
    ],
)
def test_another_benchmarks_row_is_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    first = {**ROW, "task_id": "HumanEval/0"}
    with pytest.raises(CodewattError, match=said) as refused:
        read(tmp_path / "x.jsonl", first, row)
    assert "\n" not in str(refused.value)


def test_the_benchmarks_of_the_project_recognise_themselves() -> None:
    (task,) = NanoBenchmark().tasks({"tasks": 1})
    assert benchmark_of_task(task.task_id) == "nano"
    assert benchmark_of_task("HumanEval/0") == "HumanEval+"
    assert benchmark_of_task("Some/0") is None
    assert benchmark_of_task(None) is None


@pytest.mark.data
@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("mbpp_plus/MbppPlus-*.jsonl.gz", "MBPP"),
        ("bigcodebench/BigCodeBench-*.jsonl.gz", "BigCode"),
    ],
)
def test_published_files_of_other_benchmarks_are_refused(
    test_data: Path, pattern: str, named: str
) -> None:
    paths = sorted(test_data.glob(pattern))
    assert paths
    for path in paths:
        with pytest.raises(CodewattError, match=f"belongs to {named}"):
            HumanEvalPlus().tasks({"path": str(path), "pinned": False})


@pytest.mark.data
def test_no_row_of_humaneval_plus_is_taken_for_anothers(test_data: Path, tmp_path: Path) -> None:
    """As published, and under ids that say nothing."""
    for path in sorted((test_data / "humaneval_plus").glob("HumanEvalPlus*.jsonl.gz")):
        rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        for row in rows:
            row["base_input"], row["plus_input"] = row["base_input"][:1], []
        ids = [row["task_id"] for row in rows]
        assert read(tmp_path / "x.jsonl", *rows) == ids
        assert len(read(tmp_path / "x.jsonl", *({**r, "task_id": r["task_id"][-9:]} for r in rows)))
