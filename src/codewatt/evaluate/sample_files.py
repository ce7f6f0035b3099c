"""Reads completions in EvalPlus's formats: a file of JSON lines or a directory of programs."""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.benchmarks.task_ids import benchmark_of_task
from codewatt.benchmarks.tasks import Task
from codewatt.errors import CodewattError
from codewatt.files import numbered_rows
from codewatt.untrusted_files import convert_read_errors, display_path, read_text


@dataclass(frozen=True)
class Sample:
    """One completion of a task.

    Attributes:
        task_id: the task.
        solution: the whole program, prompt included.
        raw: input of the sanitiser; as in EvalPlus, with a newline between prompt and completion.
        repeat: number of the repeat, from 0.
        sample: number of the task's sample in that repeat, from 0.
        is_program: whether the file had a whole program; false for a completion.
    """

    task_id: str
    solution: str
    raw: str
    repeat: int
    sample: int
    is_program: bool = True


def read_samples(
    path: str | Path, tasks: Sequence[Task], *, skip: Collection[str] = ()
) -> list[Sample]:
    """Read samples from a file (in its order) or a directory (in the order of the tasks).

    A row of a file has `task_id`, and `solution` (a whole program) or `completion` (the prompt is
    prepended); `solution` takes precedence. Missing `repeat` is 0; missing `sample` counts the
    samples of the task. A directory contains one directory for each task, named by its id with "_"
    instead of "/", with whole programs: HumanEval_0/0.py, HumanEval_0/1.py and so on.

    Args:
        path: the file (.jsonl or .jsonl.gz) or directory.
        tasks: the benchmark's tasks.
        skip: task_ids whose samples are left out, such as tasks outside of a subset.

    Raises:
        CodewattError: a row is not a sample or is for an unknown task (the message names file and
            line), or a task has no sample.
    """
    rows = _directory_rows(Path(path), tasks) if os.path.isdir(path) else _file_rows(path)
    known = {task.task_id: task for task in tasks}
    counts: dict[str, int] = dict.fromkeys(known, 0)
    samples = []
    for where, row in rows:
        task_id = row.get("task_id")
        if isinstance(task_id, str) and task_id in skip:
            continue
        if not isinstance(task_id, str) or task_id not in known:
            raise CodewattError(f"{where}: task_id: {_unknown_task(task_id, tasks)}")
        solution, completion = row.get("solution"), row.get("completion")
        for field, value in (("solution", solution), ("completion", completion)):
            if value is not None and not isinstance(value, str):
                raise CodewattError(
                    f"{where}: {field}: expected a string in solution or in completion, "
                    f"found {value!r:.60}"
                )
        if not isinstance(solution, str) and not isinstance(completion, str):
            raise CodewattError(f"{where}: expected a string in solution or in completion")
        prompt = known[task_id].program_start
        samples.append(
            Sample(
                task_id=task_id,
                solution=solution if isinstance(solution, str) else f"{prompt}{completion}",
                raw=solution if isinstance(solution, str) else f"{prompt}\n{completion}",
                repeat=_count(row.get("repeat", 0), where, "repeat"),
                sample=_count(row.get("sample", counts[task_id]), where, "sample"),
                is_program=isinstance(solution, str),
            )
        )
        counts[task_id] += 1
    missing = [task_id for task_id, count in counts.items() if count == 0]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        named = ", ".join(missing[:5]) + more
        raise CodewattError(
            f"{display_path(path)}: no sample for {named}; every task needs at least one"
        )
    return samples


def _file_rows(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ("file:line", row) for each row."""
    name = display_path(path)
    return ((f"{name}:{number}", row) for number, row in numbered_rows(path))


def _directory_rows(root: Path, tasks: Sequence[Task]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file, row) for each program, in the order of tasks and of file numbers."""
    order = {task.task_id.replace("/", "_"): index for index, task in enumerate(tasks)}
    with convert_read_errors(root):
        folders = [folder for folder in root.iterdir() if folder.is_dir()]
        found = [
            (order.get(folder.name, len(order)), folder.name, _numbers(program.name), program)
            for folder in folders
            for program in folder.iterdir()
            if program.suffix == ".py" and program.is_file()
        ]
    if not found:
        raise CodewattError(
            f"{display_path(root)}: no program found; allowed: one directory for each task, with "
            "whole programs, such as HumanEval_0/0.py, or a file of JSON lines"
        )
    for index, name, _, program in sorted(found):
        known = index < len(tasks)
        text = read_text(program).replace("\r\n", "\n").replace("\r", "\n")
        task_id = tasks[index].task_id if known else name.replace("_", "/")
        yield display_path(program), {"task_id": task_id, "solution": text}


def _numbers(name: str) -> list[tuple[int, str]]:
    """Sort key that puts 10.py after 9.py."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", name)]


def _unknown_task(task_id: object, tasks: Sequence[Task]) -> str:
    """Why a task_id is not one of the benchmark."""
    known = f"expected one like {tasks[0].task_id!r}"
    if not isinstance(task_id, str):
        return f"{known}, found {repr(task_id)[:60]}"
    named = benchmark_of_task(task_id)
    of = f", but of {named}" if named and named != benchmark_of_task(tasks[0].task_id) else ""
    return f"{task_id!r:.60} is not in the benchmark{of}; {known}"


def _count(value: object, where: str, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CodewattError(f"{where}: {field}: expected an integer >= 0, found {repr(value)[:60]}")
    return value
