"""MBPP+ comes from a file or from the pinned download, with the types and rules of EvalPlus."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from codewatt.benchmarks import dataset_files, mbpp_plus_benchmark
from codewatt.benchmarks.argument_types import convert_arguments
from codewatt.benchmarks.mbpp_plus_benchmark import MbppPlus
from codewatt.benchmarks.output_rules import EQUAL, NOT_NONE, SAME_SET
from codewatt.benchmarks.tasks import FunctionTask, function_tasks
from codewatt.errors import CodewattError
from codewatt.files import write_jsonl

ROW: dict[str, Any] = {
    "task_id": "Mbpp/2",
    "prompt": '"""\nWrite a function.\nassert similar_elements((1,),(1,)) == (1,)\n"""\n',
    "entry_point": "similar_elements",
    "canonical_solution": "\ndef similar_elements(a, b):\n    return tuple(set(a) & set(b))\n",
    "base_input": [[[1], [1, 2]]],
    "plus_input": {},
    "atol": 0,
}
CONTENT = (json.dumps(ROW) + "\n").encode()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def read(path: Path, *rows: dict[str, Any]) -> list[FunctionTask]:
    write_jsonl(path, rows)
    return function_tasks(MbppPlus().tasks({"path": str(path), "pinned": False}))


def test_a_task_gets_its_rule_and_the_types_of_its_arguments(tmp_path: Path) -> None:
    (task,) = read(tmp_path / "mbpp.jsonl", ROW)
    assert task.output_rule == SAME_SET
    assert task.argument_types == ["tuple", "tuple"]
    assert (task.base_input, task.plus_input) == ([[[1], [1, 2]]], [])
    assert convert_arguments(task.base_input[0], task.argument_types) == [(1,), (1, 2)]
    assert task.reference_program == ROW["prompt"] + ROW["canonical_solution"]


def test_a_local_file_must_have_the_pinned_digest(tmp_path: Path) -> None:
    path = tmp_path / "mbpp.jsonl.gz"
    path.write_bytes(gzip.compress(CONTENT))
    assert len(MbppPlus().tasks({"path": str(path), "pinned": False})) == 1
    with pytest.raises(CodewattError, match=f"content is {SHA256}; MbppPlus v0.2.0 has b54e7627"):
        MbppPlus().tasks({"path": str(path)})


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(CodewattError, match="unknown setting 'mini'; allowed: path, pinned, tasks"):
        MbppPlus().tasks({"mini": True})


def test_a_download_is_kept_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(url: str) -> bytes:
        asked.append(url)
        return CONTENT

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(dataset_files, "download", download)
    with pytest.raises(CodewattError, match=SHA256):
        MbppPlus().tasks({})
    monkeypatch.setattr(mbpp_plus_benchmark, "_SHA256", SHA256)
    for _ in range(2):
        assert len(MbppPlus().tasks({})) == 1
    url = (
        "https://github.com/evalplus/mbppplus_release/raw/dadf43da556a00f7bacd71cb154f2932757d9144"
    )
    assert asked == [f"{url}/MbppPlus.jsonl.gz"] * 2


@pytest.mark.parametrize(
    ("task_id", "said"),
    [
        ("HumanEval/0", r"x\.jsonl:2: task_id 'HumanEval/0' belongs to HumanEval\+; allowed"),
        ("Nano/0", "belongs to nano"),
        ("Mbpp/x", r"task_id 'Mbpp/x'; allowed: rows of MBPP\+, such as 'Mbpp/2'"),
        ("mine", "task_id 'mine'; allowed"),
        (2, "task_id 2; allowed"),
    ],
)
def test_another_benchmarks_row_is_named(tmp_path: Path, task_id: object, said: str) -> None:
    with pytest.raises(CodewattError, match=said) as refused:
        read(tmp_path / "x.jsonl", ROW, {**ROW, "task_id": task_id})
    assert "\n" not in str(refused.value)


def test_stop_strings_are_those_of_evalplus() -> None:
    from evalplus.provider.utility import EOS, extra_eos_for_direct_completion

    stops = MbppPlus().prompt_format({}).direct_stop_strings
    assert list(stops) == EOS + extra_eos_for_direct_completion("mbpp")


def test_each_task_of_evalplus_special_oracles_has_a_rule() -> None:
    from evalplus.eval import _special_oracle as evalplus

    found = mbpp_plus_benchmark.OUTPUT_RULES
    named = {name: rule for name, rule in found.items() if rule in (SAME_SET, NOT_NONE)}
    assert named == {
        **dict.fromkeys(evalplus.MBPP_OUTPUT_SET_EQ_TASKS, SAME_SET),
        **dict.fromkeys(evalplus.MBPP_OUTPUT_NOT_NONE_TASKS, NOT_NONE),
    }
    others = {"are_equivalent", "sum_div", "surface_Area", "digit_distance_nums"}
    assert set(found) - set(named) == others


def same(one: Any, other: Any) -> bool:
    """Equal, of the same types at every depth, with dictionaries in the same order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    return bool(one == other) and repr(one) == repr(other)


# Tasks of older versions of MBPP+ that EvalPlus still converts, with inputs of their form.
OLDER = {
    115: [[[[1, 2], [], [3]]]], 143: [[[[1], [2]]]], 307: [[["a", 5, []], 2, 50]],
    399: [[[1, 2], [3]]], 400: [[[[3, 4], [1, 2]]]], 401: [[[[1, 3], [4]], [[6], [7]]]],
    417: [[[["a", "b"], ["c"]]]], 438: [[[[5, 6], [1, 2]]]], 444: [[[[6, 24], [7]], 6]],
    617: [[[3, 4], 1]],
}  # fmt: skip


@pytest.mark.parametrize("number", OLDER)
def test_tasks_of_older_versions_are_converted_as_by_evalplus(number: int, tmp_path: Path) -> None:
    from evalplus.data.mbpp import mbpp_deserialize_inputs

    row = {**ROW, "task_id": f"Mbpp/{number}", "entry_point": "f", "base_input": OLDER[number]}
    (task,) = read(tmp_path / "x.jsonl", row)
    assert task.output_rule == EQUAL
    found = [convert_arguments(test, task.argument_types) for test in task.base_input]
    wanted = mbpp_deserialize_inputs(task.task_id, OLDER[number])
    assert same(found, [list(test) for test in wanted])


@pytest.mark.data
def test_all_inputs_are_those_that_evalplus_makes(test_data: Path) -> None:
    from evalplus.data.mbpp import mbpp_deserialize_inputs

    path = test_data / "mbpp_plus" / "MbppPlus-v0.2.0.jsonl.gz"
    tasks = function_tasks(MbppPlus().tasks({"path": str(path)}))
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert len(tasks) == len(rows) == 378
    converted, changed = set(), set()
    for task, row in zip(tasks, rows, strict=True):
        for suite, tests in (("base", "base_input"), ("plus", "plus_input")):
            found = [convert_arguments(test, task.argument_types) for test in task.inputs(suite)]
            wanted = [list(test) for test in mbpp_deserialize_inputs(task.task_id, row[tests])]
            assert same(found, wanted), (task.task_id, suite)
            if not same(wanted, list(row[tests])):
                changed.add(task.task_id)
        if task.argument_types:
            converted.add(task.task_id)
    assert converted == changed
    assert sum(len(task.base_input) for task in tasks) == 1174
    assert sum(len(task.plus_input) for task in tasks) == 39_841
