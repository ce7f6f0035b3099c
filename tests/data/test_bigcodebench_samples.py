"""Recorded samples of BigCodeBench become the programs and the pass@k that upstream recorded."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from codewatt.benchmarks.bigcodebench_benchmark import BigCodeBench
from codewatt.benchmarks.tasks import UnittestTask
from codewatt.evaluate.bigcodebench_pass_at_k import EvaluatedRun, bigcodebench_pass_at_k
from codewatt.evaluate.bigcodebench_programs import bigcodebench_programs
from codewatt.evaluate.sample_files import Sample, read_samples

pytestmark = pytest.mark.data

DATASET = "bigcodebench/BigCodeBench-v0.1.4-rebuilt.jsonl.gz"


@pytest.fixture(scope="module")
def tasks(test_data: Path) -> list[UnittestTask]:
    return BigCodeBench().tasks({"path": test_data / DATASET})


def rows(test_data: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(test_data / "bigcodebench/recorded" / name, "rt") as stream:
        return [json.loads(line) for line in stream]


def programs(samples: Iterable[Sample], tasks: list[UnittestTask], calibrate: bool) -> list[str]:
    made = bigcodebench_programs(list(samples), tasks, sanitize=True, calibrate=calibrate, jobs=2)
    return [program.code for program in made]


def test_samples_of_a_base_model_are_sanitised_and_calibrated_as_recorded(
    test_data: Path, tasks: list[UnittestTask]
) -> None:
    name = "qwen2.5-coder-1.5b-complete"
    recorded = rows(test_data, f"{name}-sanitized-calibrated.jsonl.gz")
    path = test_data / f"bigcodebench/recorded/{name}-samples.jsonl.gz"
    samples = read_samples(path, tasks)
    start = {task.task_id: f"{task.code_prompt}\n    pass\n" for task in tasks}
    assert [sample.task_id for sample in samples] == [row["task_id"] for row in recorded]
    assert programs(samples, tasks, calibrate=True) == [
        start[row["task_id"]] + row["solution"] for row in recorded
    ]


@pytest.mark.parametrize(
    ("name", "count"),
    [("qwen2.5-coder-7b-instruct-complete", 1140), ("checkpoint-200-hard-instruct", 148)],
)
def test_answers_of_instruct_models_are_sanitised_as_recorded(
    test_data: Path, tasks: list[UnittestTask], name: str, count: int
) -> None:
    recorded = rows(test_data, f"{name}-sanitized-calibrated.jsonl.gz")
    samples = [
        Sample(row["task_id"], row["raw_solution"], row["raw_solution"], 0, 0) for row in recorded
    ]
    assert len(recorded) == count
    assert programs(samples, tasks, calibrate=False) == [row["solution"] for row in recorded]


def test_pass_at_k_is_recomputed_from_the_recorded_verdicts(test_data: Path) -> None:
    path = test_data / "bigcodebench/recorded"
    name = "qwen2.5-coder-7b-instruct-complete"
    results, recorded = (
        json.loads(gzip.decompress((path / f"{name}_{kind}.json.gz").read_bytes()))
        for kind in ("eval_results", "pass_at_k")
    )
    run = EvaluatedRun(
        model="Qwen2.5-Coder-7B-Instruct--main",
        split="complete",
        subset="full",
        calibrated=True,
        excluded=dict.fromkeys(recorded["failed_tasks"], "fails"),
    )
    assert bigcodebench_pass_at_k(results, 1140, run) == recorded
