"""Tasks are read as HumanEval+ writes them, and mistakes are named."""

from pathlib import Path
from typing import Any

import pytest

from codewatt.benchmarks.prepare_benchmark import benchmark_names, open_benchmark
from codewatt.benchmarks.tasks import FunctionTask, read_tasks, write_tasks
from codewatt.errors import CodewattError
from codewatt.files import write_jsonl

ROW: dict[str, Any] = {
    "task_id": "T/0",
    "prompt": "def f(x):\n",
    "entry_point": "f",
    "canonical_solution": "    return x\n",
    "base_input": [[1], [[2, 3]]],
    "plus_input": [],
    "atol": 0,
    "contract": "not read",
}


@pytest.mark.parametrize("name", ["tasks.jsonl", "tasks.jsonl.gz"])
def test_tasks_come_back_as_written(tmp_path: Path, name: str) -> None:
    tasks = [FunctionTask.from_row({**ROW, "task_id": f"T/{i}"}, "here") for i in range(3)]
    write_tasks(tmp_path / name, tasks)
    assert read_tasks(tmp_path / name) == tasks
    assert tasks[0].inputs("base") == [[1], [[2, 3]]]
    assert tasks[0].inputs("plus") == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task_id", ""), ("task_id", 3), ("prompt", None), ("entry_point", "no name"),
        ("canonical_solution", 1), ("base_input", [1]), ("base_input", {}), ("plus_input", None),
        ("atol", -1), ("atol", "x"), ("atol", True), ("atol", float("inf")),
        ("output_rule", "any"), ("output_rule", ["equal"]), ("argument_types", "tuple"),
        ("argument_types", ["set"]), ("argument_types", [["tuple"]]),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_file_and_line(
    tmp_path: Path, field: str, value: object
) -> None:
    path = tmp_path / "tasks.jsonl"
    write_jsonl(path, [ROW, {**ROW, "task_id": "T/1", field: value}])
    with pytest.raises(CodewattError, match=f"tasks.jsonl:2: {field}: expected") as error:
        read_tasks(path)
    assert "\n" not in str(error.value)


def test_arguments_of_another_type_than_named_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    row = {**ROW, "base_input": [[[1]], [2]], "argument_types": ["tuple"]}
    write_jsonl(path, [row])
    said = r"tasks.jsonl:1: T/0: the arguments \[2\] cannot be converted to tuple: 'int' object"
    with pytest.raises(CodewattError, match=said):
        read_tasks(path)


def test_only_tasks_that_need_them_have_fields_beyond_humaneval_plus(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    row = {**ROW, "base_input": [[[2, 3]]], "argument_types": ["tuple"], "output_rule": "same_set"}
    tasks = [FunctionTask.from_row(one, "here") for one in (ROW, {**row, "task_id": "T/1"})]
    write_tasks(path, tasks)
    assert read_tasks(path) == tasks
    plain, special = (task.to_row() for task in tasks)
    assert set(special) - set(plain) == {"argument_types", "output_rule"}


def test_missing_fields_twins_and_empty_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    write_jsonl(path, [{key: value for key, value in ROW.items() if key != "base_input"}])
    with pytest.raises(CodewattError, match=r"base_input: expected .* found nothing"):
        read_tasks(path)
    write_jsonl(path, [ROW, ROW])
    with pytest.raises(CodewattError, match=r"tasks.jsonl:2: duplicate task_id 'T/0'"):
        read_tasks(path)
    write_jsonl(path, [])
    with pytest.raises(CodewattError, match="contains no tasks"):
        read_tasks(path)


def test_a_task_without_any_test_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    write_jsonl(path, [ROW, {**ROW, "task_id": "T/1", "base_input": []}])
    with pytest.raises(
        CodewattError, match=r"tasks.jsonl:2: T/1: .*needs at least one test"
    ) as error:
        read_tasks(path)
    assert "\n" not in str(error.value)
    write_jsonl(path, [{**ROW, "base_input": [], "plus_input": [[1]]}])
    assert read_tasks(path)[0].base_input == []


def test_benchmarks_are_found_by_the_names_of_their_modules() -> None:
    assert benchmark_names() == ["bigcodebench", "humaneval_plus", "mbpp_plus", "nano"]
    assert [open_benchmark(name).name for name in benchmark_names()] == benchmark_names()
    with pytest.raises(CodewattError, match="'none': unknown benchmark; allowed: bigcodebench, "):
        open_benchmark("none")
