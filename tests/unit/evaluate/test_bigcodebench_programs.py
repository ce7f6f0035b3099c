"""Completions become programs, and verdicts pass@k, by the rules of bigcodebench."""

from pathlib import Path
from typing import Any

import pytest

from codewatt.benchmarks.tasks import UnittestTask
from codewatt.evaluate.bigcodebench_pass_at_k import EvaluatedRun, bigcodebench_pass_at_k
from codewatt.evaluate.bigcodebench_programs import bigcodebench_programs
from codewatt.evaluate.evaluate_bigcodebench import pass_at_k_path, summary_lines
from codewatt.evaluate.sample_files import Sample, read_samples
from codewatt.evaluate.sanitize import sanitize_code
from codewatt.files import write_jsonl
from tests.support.bigcodebench import bigcodebench_row

ROW = bigcodebench_row()
START = f"{ROW['code_prompt']}\n    pass\n"


def task(number: int = 0) -> UnittestTask:
    row = bigcodebench_row(number)
    lists = {"libraries": ["os"], "domains": ["System"], "prompt": "Lists names."}
    return UnittestTask.from_row({**row, **lists}, "here")


def made(sample: Sample, *, sanitize: bool = False, calibrate: bool = False) -> str:
    (program,) = bigcodebench_programs(
        [sample], [task()], sanitize=sanitize, calibrate=calibrate, jobs=1
    )
    return program.code


def samples(tmp_path: Path, *rows: dict[str, Any], skip: tuple[str, ...] = ()) -> list[Sample]:
    path = tmp_path / "samples.jsonl"
    write_jsonl(path, rows)
    return read_samples(path, [task()], skip=skip)


def test_a_completion_follows_the_complete_prompt_in_both_splits(tmp_path: Path) -> None:
    (sample,) = samples(tmp_path, {"task_id": task().task_id, "completion": "    return 1\n"})
    assert made(sample) == ROW["complete_prompt"] + "    return 1\n"
    assert sample.raw == ROW["complete_prompt"] + "\n    return 1\n"


def test_a_calibrated_program_begins_with_the_signature(tmp_path: Path) -> None:
    code = "def task_func(path):\n    return []"
    (sample,) = samples(tmp_path, {"task_id": task().task_id, "solution": code})
    assert made(sample) == code
    assert made(sample, calibrate=True) == START + code


def test_a_code_block_with_the_body_alone_gets_the_signature(tmp_path: Path) -> None:
    answer = "Here it is:\n```python\n    return sorted(os.listdir(path))\n```"
    (sample,) = samples(tmp_path, {"task_id": task().task_id, "solution": answer})
    repaired = ROW["complete_prompt"] + "    return sorted(os.listdir(path))"
    # The sanitiser keeps imports and definitions, without blank lines between them.
    expected = repaired.replace("import os\n\n", "import os\n")
    assert made(sample, sanitize=True, calibrate=True) == START + expected


def test_samples_of_skipped_tasks_are_left_out(tmp_path: Path) -> None:
    rows = [{"task_id": f"BigCodeBench/{number}", "solution": ""} for number in (0, 1)]
    found = samples(tmp_path, *rows, skip=("BigCodeBench/1",))
    assert [sample.task_id for sample in found] == ["BigCodeBench/0"]


def test_a_function_without_return_is_kept_and_calls_of_the_entry_point_are_cut() -> None:
    helper, solution = "def helper():\n    print(1)", "def task_func():\n    return helper()"
    code = f"{helper}\n{solution}\nvalue = task_func()\nprint(value)\n"
    assert sanitize_code(code, "task_func", "bigcodebench") == f"{helper}\n{solution}"
    assert sanitize_code(code, "task_func") == solution, "EvalPlus drops the helper"


@pytest.mark.parametrize(
    ("out", "beside"),
    [
        ("x_eval_results.json", "x_pass_at_k.json"),
        ("x_eval_results.json.gz", "x_pass_at_k.json.gz"),
        ("eval_results.json", "pass_at_k.json"),
        ("verdicts.json", "verdicts_pass_at_k.json"),
    ],
)
def test_pass_at_k_is_written_beside_the_verdicts(out: str, beside: str) -> None:
    assert pass_at_k_path(Path("a") / out) == Path("a") / beside


def test_excluded_tasks_do_not_count_in_pass_at_k() -> None:
    def rows(*statuses: str) -> list[dict[str, str]]:
        return [{"status": status} for status in statuses]

    passed, failed = ["pass"] * 5, ["fail"] * 5
    results = {"eval": {"a": rows(*passed), "b": rows(*failed), "c": rows("pass", *failed[1:])}}
    run = EvaluatedRun("m", "complete", "full", True, {"d": "it needs the internet"})
    found = bigcodebench_pass_at_k(results, 4, run)
    assert found["pass@1"] == pytest.approx((1 + 0 + 1 / 5) / 3)
    assert found["pass@5"] == pytest.approx((1 + 0 + 1) / 3)
    assert "pass@10" not in found
    assert (found["gt_pass_rate"], found["failed_tasks"]) == (0.75, ["d"])
    assert summary_lines(found, found["failed_tasks"], 4) == [
        "pass@1 0.400, pass@5 0.667 (3 of 4 tasks)",
        "1 task is excluded, as its reference solution does not pass here: d",
    ]
