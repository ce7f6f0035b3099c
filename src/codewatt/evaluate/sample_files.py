"""Completions as EvalPlus writes them: a file of JSON lines, or a directory of programs."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.benchmarks.benchmark import Task
from codewatt.benchmarks.task_ids import benchmark_of
from codewatt.errors import CodewattError
from codewatt.files import numbered_rows
from codewatt.untrusted_files import in_one_line, read_text, shown


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
    """Read samples: a file in its own order, a directory in that of the benchmark.

    A row of a file holds `task_id`, and `solution` (a whole program) or `completion` (the prompt
    is put before it); `solution` counts if both are there. `repeat` and `sample` are read where
    they are, else repeat is 0 and a task's samples are counted. A directory holds one directory a
    task, named by its id with "_" in place of "/", with whole programs: HumanEval_0/0.py, 1.py and
    so on.

    Raises:
        CodewattError: a row is not a sample or for an unknown task (file:line is named), or a
            task has no sample.
    """
    rows = _of_directory(Path(path), tasks) if os.path.isdir(path) else _of_file(path)
    known = {task.task_id: task for task in tasks}
    counts: dict[str, int] = dict.fromkeys(known, 0)
    samples = []
    for where, row in rows:
        task_id = row.get("task_id")
        if not isinstance(task_id, str) or task_id not in known:
            raise CodewattError(f"{where}: task_id: {_unknown(task_id, tasks)}")
        solution, completion = row.get("solution"), row.get("completion")
        for field, value in (("solution", solution), ("completion", completion)):
            if value is not None and not isinstance(value, str):
                raise CodewattError(
                    f"{where}: {field}: expected a string in solution or in completion, "
                    f"found {value!r:.60}"
                )
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
        raise CodewattError(f"{shown(path)}: every task needs a sample; none for {named}")
    return samples


def _of_file(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file:line, row) of each row."""
    name = shown(path)
    return ((f"{name}:{number}", row) for number, row in numbered_rows(path))


def _of_directory(root: Path, tasks: Sequence[Task]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file, row) of each program, by the order of the tasks and then of the files' numbers."""
    order = {task.task_id.replace("/", "_"): index for index, task in enumerate(tasks)}
    with in_one_line(root):
        folders = [folder for folder in root.iterdir() if folder.is_dir()]
        found = [
            (order.get(folder.name, len(order)), folder.name, _numbers(program.name), program)
            for folder in folders
            for program in folder.iterdir()
            if program.suffix == ".py" and program.is_file()
        ]
    if not found:
        raise CodewattError(
            f"{shown(root)}: no program in it; allowed: a directory a task with whole programs, "
            "such as HumanEval_0/0.py, or a file of JSON lines"
        )
    for index, name, _, program in sorted(found):
        known = index < len(tasks)
        text = read_text(program).replace("\r\n", "\n").replace("\r", "\n")
        task_id = tasks[index].task_id if known else name.replace("_", "/")
        yield shown(program), {"task_id": task_id, "solution": text}


def _numbers(name: str) -> list[tuple[int, str]]:
    """A key that puts 10.py after 9.py."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", name)]


def _unknown(task_id: object, tasks: Sequence[Task]) -> str:
    """What is wrong with a task's id that the benchmark does not have."""
    known = f"expected one like {tasks[0].task_id!r}"
    if not isinstance(task_id, str):
        return f"{known}, found {repr(task_id)[:60]}"
    named = benchmark_of(task_id)
    of = f", but of {named}" if named and named != benchmark_of(tasks[0].task_id) else ""
    return f"{task_id!r:.60} is not in the benchmark{of}; {known}"


def _count(value: object, where: str, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CodewattError(f"{where}: {field}: expected an integer >= 0, found {repr(value)[:60]}")
    return value
