"""`codewatt evaluate` and the evaluate stage: files in, EvalPlus's result file and pass@k out."""

import argparse
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codewatt.benchmarks.tasks import FunctionTask, write_tasks
from codewatt.errors import CodewattError
from codewatt.evaluate.evaluate_cell import evaluate_cell
from codewatt.evaluate.evaluate_command import add_arguments, run
from codewatt.evaluate.outputs.expected_outputs import write_expected
from codewatt.evaluate.reference_programs import compute_expected
from codewatt.evaluate.sample_files import read_samples
from codewatt.files import read_json, write_jsonl

TASKS = [
    FunctionTask("T/0", "def add(x):\n", "add", "    return x + 1\n", [[1], [2]], [[3]]),
    FunctionTask("T/1", "def double(x):\n", "double", "    return 2 * x\n", [[1]], [[5]]),
]
RIGHT = {"T/0": "    return x + 1\n", "T/1": "    return x + x\n"}
HALF = {"T/0": "    return 2 if x == 1 else 3 if x == 2 else 0\n", "T/1": "    return x +\n"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_tasks(tmp_path / "tasks.jsonl.gz", TASKS)
    return tmp_path


def evaluate(folder: Path, rows: list[dict[str, Any]], *more: str) -> int:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "samples.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = ["--benchmark", "humaneval_plus", "--dataset", str(folder / "tasks.jsonl.gz")]
    given += ["--samples", str(folder / "samples.jsonl.gz"), "--out", str(folder / "out.json")]
    return run(parser.parse_args([*given, "--jobs", "2", *more]))


def rows_of(completions: dict[str, str], **more: Any) -> list[dict[str, Any]]:
    return [{"task_id": key, "completion": text, **more} for key, text in completions.items()]


def test_the_command_writes_evalplus_results_and_ends_with_pass_at_1(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "out.json").write_text('{"an older": "result"}')
    assert evaluate(folder, [*rows_of(RIGHT), *rows_of(HALF)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "pass@1: base 0.750, plus 0.500"
    results = read_json(folder / "out.json")
    assert set(results) == {"date", "hash", "eval"}
    first, second = results["eval"]["T/0"]
    assert first == {
        "task_id": "T/0",
        "solution": "def add(x):\n    return x + 1\n",
        "base_status": "pass",
        "plus_status": "pass",
        "base_fail_tests": [],
        "plus_fail_tests": [],
    }
    assert (second["base_status"], second["plus_status"]) == ("pass", "fail")
    assert second["plus_fail_tests"] == [[3]]
    assert [row["base_status"] for row in results["eval"]["T/1"]] == ["pass", "fail"]
    assert list(folder.glob(".out*")) == []


def test_the_hash_is_that_of_the_unpacked_dataset(folder: Path) -> None:
    import hashlib

    evaluate(folder, rows_of(RIGHT))
    content = gzip.decompress((folder / "tasks.jsonl.gz").read_bytes())
    assert read_json(folder / "out.json")["hash"] == hashlib.md5(content).hexdigest()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (rows_of({"T/9": "x"}), r"samples.jsonl.gz:1: task_id: 'T/9' is not in the benchmark"),
        (rows_of({"T/0": "x"}), "no sample for T/1; every task needs at least one"),
        ([{"task_id": "T/0"}], "samples.jsonl.gz:1: expected a string in solution or in compl"),
        ([{"task_id": "T/0", "solution": 3}], "expected a string in solution"),
        (rows_of(RIGHT, solution=[""]), "jsonl.gz:1: solution: expected a string in solution or"),
        (rows_of(RIGHT, repeat=-1), "repeat: expected an integer >= 0, found -1"),
    ],
)
def test_bad_samples_are_named_in_one_line(
    folder: Path, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(CodewattError, match=message) as error:
        evaluate(folder, rows)
    assert "\n" not in str(error.value)
    assert not (folder / "out.json").exists()


def test_missing_files_are_named(folder: Path) -> None:
    (folder / "tasks.jsonl.gz").unlink()
    with pytest.raises(CodewattError, match=r"tasks\.jsonl\.gz: no such file"):
        evaluate(folder, rows_of(RIGHT))


def test_sanitising_is_evalplus_own_and_survives_odd_code(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chatty = {key: f"{text}\nprint(add(1)\nclass" for key, text in RIGHT.items()}
    odd = ["\0", "x = " + "(" * 300, "", "\ud800", "lambda: (yield)", "x = " + "-" * 5000 + "1"]
    rows = [{"task_id": "T/0", "solution": code} for code in odd]
    evaluate(folder, [*rows_of(chatty), *rows], "--sanitize")
    results = read_json(folder / "out.json")["eval"]
    assert capsys.readouterr().out.splitlines()[-1] == "pass@1: base 0.571, plus 0.571"
    assert results["T/0"][0]["solution"] == "def add(x):\n\n    return x + 1"
    assert [row["base_status"] for row in results["T/0"]] == ["pass", *["fail"] * 6]
    assert [row["base_status"] for row in results["T/1"]] == ["pass"]


def test_solution_counts_before_completion(folder: Path) -> None:
    write_jsonl(
        folder / "s.jsonl",
        [
            {"task_id": "T/0", "solution": "whole", "completion": "end"},
            {"task_id": "T/1", "completion": "end"},
            {"task_id": "T/1", "completion": "again", "repeat": 2, "sample": 7},
        ],
    )
    first, second, third = read_samples(folder / "s.jsonl", TASKS)
    assert (first.solution, first.raw) == ("whole", "whole")
    assert (second.solution, second.raw) == ("def double(x):\nend", "def double(x):\n\nend")
    assert (second.repeat, second.sample, third.repeat, third.sample) == (0, 0, 2, 7)


def test_a_cell_is_judged_by_repeat(folder: Path, tree: Callable[[], set[str]]) -> None:
    rows = [
        {"task_id": key, "solution": task.prompt + text[key], "repeat": repeat, "sample": sample}
        for repeat, samples in enumerate([(RIGHT, HALF), (RIGHT, RIGHT)])
        for sample, text in enumerate(samples)
        for key, task in ((task.task_id, task) for task in TASKS)
    ]
    write_jsonl(folder / "completions.jsonl.gz", rows)
    write_expected(folder / "expected.json.gz", compute_expected(TASKS, jobs=2), TASKS)
    record = evaluate_cell(
        tasks_path=folder / "tasks.jsonl.gz",
        expected_path=folder / "expected.json.gz",
        completions_path=folder / "completions.jsonl.gz",
        out_results=folder / "eval_results.json.gz",
        out_evaluate=folder / "evaluate.json",
        jobs=2,
        ks=[1, 2, 3],
        benchmark="test",
    )
    assert record == read_json(folder / "evaluate.json")
    assert record["pass_at_k"]["base"] == {"1": 0.75, "2": 1.0, "3": None}
    assert record["pass_at_k"]["plus"] == {"1": 0.5, "2": 1.0, "3": None}
    assert [row["repeat"] for row in record["by_repeat"]] == [0, 1]
    assert record["by_repeat"][1]["plus"] == {"1": 1.0, "2": 1.0, "3": None}
    assert (record["tasks"], record["judged"], len(record["verdicts"])) == (2, 4, 8)
    half = {"task_id": "T/1", "repeat": 0, "sample": 1, "base": "fail", "plus": "fail"}
    half["why"] = "base: loading the program raised SyntaxError"
    assert any(half.items() <= verdict.items() for verdict in record["verdicts"])
    (window,) = record["windows"]
    assert window["start_s"] < window["end_s"]
    assert record["sandbox"]["tool"].startswith("bubblewrap")
    results = json.loads(gzip.decompress((folder / "eval_results.json.gz").read_bytes()))
    assert [len(rows) for rows in results["eval"].values()] == [4, 4]
    assert not [name for name in tree() if ".part" in name]
