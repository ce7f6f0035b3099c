"""The sanitiser's shortened search extracts what EvalPlus's own does from real completions."""

from pathlib import Path

import pytest
from evalplus import sanitize as evalplus

from codewatt.benchmarks.tasks import read_tasks
from codewatt.evaluate.sample_files import read_samples
from codewatt.evaluate.sanitize import sanitize_all

pytestmark = pytest.mark.data

RUNS = ("Phi2_128", "Phi2_128_3", "3b_256", "3b_128_8bit")


@pytest.mark.parametrize("run", RUNS)
def test_recorded_completions_are_sanitised_as_by_evalplus(run: str, test_data: Path) -> None:
    tasks = read_tasks(test_data / "humaneval_plus" / "HumanEvalPlus-v0.1.10.jsonl.gz")
    entry_points = {task.task_id: task.entry_point for task in tasks}
    samples = read_samples(test_data / f"greenllms/samples/samples_{run}.jsonl.gz", tasks)
    pairs = [(sample.raw, entry_points[sample.task_id]) for sample in samples]
    assert len(pairs) == 164
    assert sanitize_all(pairs, jobs=2) == [evalplus.sanitize(*pair) for pair in pairs]
