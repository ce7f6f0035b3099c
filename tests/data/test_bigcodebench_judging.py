"""BigCodeBench's reference programs pass, and recorded programs get the recorded verdicts.

A sample of 30 tasks, in the benchmark's own environment; `benchmarks/bigcodebench_judging.py` runs
all of them (docs/archive/bigcodebench.md).
"""

import gzip
import json
from pathlib import Path

import pytest

from codewatt.benchmarks.bigcodebench_benchmark import BigCodeBench
from codewatt.benchmarks.tasks import UnittestTask
from codewatt.errors import CodewattError
from codewatt.evaluate.benchmark_interpreter import benchmark_interpreter
from codewatt.evaluate.reference_runs import ReferenceRun, run_references
from codewatt.evaluate.unittest_judge import judge_unittests
from codewatt.evaluate.verdicts import Program

pytestmark = pytest.mark.data

DATASET = "bigcodebench/BigCodeBench-v0.1.4-rebuilt.jsonl.gz"
RECORDED = ("qwen2.5-coder-7b-instruct-complete", "qwen2.5-coder-1.5b-complete")


@pytest.fixture(scope="module")
def interpreter() -> Path:
    try:
        return benchmark_interpreter()
    except CodewattError as error:
        pytest.skip(f"programs of BigCodeBench need their own environment: {error}")


@pytest.fixture(scope="module")
def tasks(test_data: Path) -> list[UnittestTask]:
    """Every 38th task; none of them takes long, and none needs the internet."""
    return BigCodeBench().tasks({"path": test_data / DATASET})[7::38]


@pytest.fixture(scope="module")
def references(tasks: list[UnittestTask], interpreter: Path) -> dict[str, ReferenceRun]:
    return run_references(tasks, interpreter=interpreter, jobs=2)


def test_reference_programs_pass(references: dict[str, ReferenceRun]) -> None:
    assert len(references) == 30
    assert {task_id: run.why for task_id, run in references.items() if run.excluded} == {}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_programs_get_the_recorded_verdicts(
    name: str,
    test_data: Path,
    tasks: list[UnittestTask],
    interpreter: Path,
    references: dict[str, ReferenceRun],
) -> None:
    path = test_data / f"bigcodebench/recorded/{name}_eval_results.json.gz"
    with gzip.open(path, "rt") as stream:
        recorded = json.load(stream)["eval"]
    rows = [row for task in tasks for row in recorded[task.task_id]]
    verdicts = judge_unittests(
        tasks,
        [Program(row["task_id"], row["solution"]) for row in rows],
        interpreter=interpreter,
        references=references,
        jobs=2,
    )
    assert {row["status"] for row in rows} == {"pass", "fail"}
    differ = {
        row["task_id"]: verdict.why
        for row, verdict in zip(rows, verdicts, strict=True)
        if verdict.status("base") != row["status"]
    }
    assert differ == {}
