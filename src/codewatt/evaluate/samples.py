"""Completions as EvalPlus writes them: one JSON object a line, whole programs or their ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codewatt.benchmarks.base import Task
from codewatt.errors import CodewattError
from codewatt.files import read_jsonl


@dataclass(frozen=True)
class Sample:
    """One completion.

    Attributes:
        task_id: the task that it is for.
        solution: the whole program.
        raw: what a sanitiser should look at; EvalPlus's puts a newline between a prompt and a
            completion.
        repeat, sample: which of the task's completions this is.
    """

    task_id: str
    solution: str
    raw: str
    repeat: int
    sample: int


def read_samples(path: str | Path, tasks: Sequence[Task]) -> list[Sample]:
    """Read samples, in the order of the file.

    A row holds `task_id`, and `solution` (a whole program) or `completion` (the prompt is put
    before it); `solution` counts if both are there. `repeat` and `sample` are read where they
    are, else repeat is 0 and a task's samples are counted.

    Raises:
        CodewattError: a row is not a sample or for an unknown task (file:line is named), or a
            task has no sample.
    """
    known = {task.task_id: task for task in tasks}
    counts: dict[str, int] = dict.fromkeys(known, 0)
    samples = []
    for number, row in enumerate(read_jsonl(path), start=1):
        where = f"{path}:{number}"
        task_id = row.get("task_id")
        if not isinstance(task_id, str) or task_id not in known:
            raise CodewattError(f"{where}: task_id: {task_id!r:.60} is not in the benchmark")
        solution, completion = row.get("solution"), row.get("completion")
        if not isinstance(solution, str) and not isinstance(completion, str):
            raise CodewattError(f"{where}: expected a string in solution or in completion")
        prompt = known[task_id].prompt
        samples.append(
            Sample(
                task_id=task_id,
                solution=solution if isinstance(solution, str) else f"{prompt}{completion}",
                raw=solution if isinstance(solution, str) else f"{prompt}\n{completion}",
                repeat=_count(row.get("repeat", 0), where, "repeat"),
                sample=_count(row.get("sample", counts[task_id]), where, "sample"),
            )
        )
        counts[task_id] += 1
    missing = [task_id for task_id, count in counts.items() if count == 0]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        named = ", ".join(missing[:5]) + more
        raise CodewattError(f"{path}: every task needs a sample; none for {named}")
    return samples


def _count(value: object, where: str, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CodewattError(f"{where}: {field}: expected an integer >= 0, found {value!r:.60}")
    return value
