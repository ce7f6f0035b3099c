"""The tasks of a benchmark, in HumanEval+'s own row format, and the base class of benchmarks."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from codewatt.errors import CodewattError
from codewatt.files import numbered_rows, write_jsonl
from codewatt.untrusted_files import shown

SUITES = ("base", "plus")
"""The two test suites of a task: the original inputs, and those that EvalPlus added."""


@dataclass(frozen=True)
class Task:
    """One programming task.

    Attributes:
        task_id: unique within the benchmark, such as "HumanEval/0".
        prompt: what the model continues: imports, signature and docstring.
        entry_point: the function that is called.
        canonical_solution: what follows the prompt in the reference program.
        base_input: one list of positional arguments a test.
        plus_input: the same, for the further tests. One of the two may be empty; as in EvalPlus, a
            program that loads and defines the entry point passes an empty suite.
        atol: absolute tolerance on floating-point outputs; 0 means exact, but see
            `codewatt.evaluate.outputs.output_check`.
    """

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    base_input: list[list[Any]]
    plus_input: list[list[Any]]
    atol: float = 0.0

    @classmethod
    def from_row(cls, row: dict[str, Any], where: str) -> "Task":
        """Make a task of a HumanEval+ row; fields that judging does not need are ignored.

        Args:
            where: file and line, for the message.

        Raises:
            CodewattError: a field is missing or of another type (file:line and field are named), or
                the task has no test.
        """
        for field in ("task_id", "prompt", "entry_point", "canonical_solution"):
            _require(isinstance(row.get(field), str), where, field, "a string", row)
        _require(row["task_id"] != "", where, "task_id", "a string that is not empty", row)
        _require(row["entry_point"].isidentifier(), where, "entry_point", "a function's name", row)
        for field in ("base_input", "plus_input"):
            tests = row.get(field)
            right = isinstance(tests, list) and all(isinstance(test, list) for test in tests)
            _require(right, where, field, "a list of argument lists", row)
        if not row["base_input"] and not row["plus_input"]:
            raise CodewattError(
                f"{where}: {row['task_id']}: base_input and plus_input: no test in either; "
                "a task needs at least one, as any program would pass"
            )
        atol = row.get("atol", 0)
        right = isinstance(atol, (int, float)) and not isinstance(atol, bool)
        _require(right and math.isfinite(atol) and atol >= 0, where, "atol", "a number >= 0", row)
        return cls(
            task_id=row["task_id"],
            prompt=row["prompt"],
            entry_point=row["entry_point"],
            canonical_solution=row["canonical_solution"],
            base_input=row["base_input"],
            plus_input=row["plus_input"],
            atol=atol,
        )

    def to_row(self) -> dict[str, Any]:
        """The row that `from_row` reads; field by field, without copying the inputs."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def inputs(self, suite: str) -> list[list[Any]]:
        """The argument lists of a suite, "base" or "plus"."""
        return self.base_input if suite == "base" else self.plus_input


def _require(right: bool, where: str, field: str, allowed: str, row: dict[str, Any]) -> None:
    if right:
        return
    found = f"{row[field]!r:.60}" if field in row else "nothing"
    raise CodewattError(f"{where}: {field}: expected {allowed}, found {found}")


def read_tasks(
    path: str | Path, check: Callable[[dict[str, Any], str], None] | None = None
) -> list[Task]:
    """Read tasks from JSON lines (gzip by suffix), in the order of the file.

    Args:
        check: called with each row and its file:line before the row is made a task; raises
            CodewattError if the row is not of the benchmark.

    Raises:
        CodewattError: the file is missing, empty or not JSON lines, a row is not a task, or two
            rows have the same task_id.
    """
    tasks: dict[str, Task] = {}
    for number, row in numbered_rows(path):
        where = f"{shown(path)}:{number}"
        if check is not None:
            check(row, where)
        task = Task.from_row(row, where)
        if task.task_id in tasks:
            raise CodewattError(f"{where}: task_id: {task.task_id!r} is there twice")
        tasks[task.task_id] = task
    if not tasks:
        raise CodewattError(f"{shown(path)}: no task in it")
    return list(tasks.values())


def write_tasks(path: str | Path, tasks: Iterable[Task]) -> None:
    """Write tasks as JSON lines (gzip by suffix), atomically."""
    write_jsonl(path, (task.to_row() for task in tasks))


class Benchmark(ABC):
    """A set of tasks, and how a base model is asked to solve them."""

    name: ClassVar[str]
    """The name that a study and the command line use."""

    stop_strings: ClassVar[tuple[str, ...]] = ()
    """Generation ends before the first of these; none of them is part of the completion."""

    @abstractmethod
    def tasks(self, settings: dict[str, Any]) -> list[Task]:
        """The benchmark's tasks, in its own order.

        Args:
            settings: what the study says of this benchmark; each benchmark documents its keys.

        Raises:
            CodewattError: a setting is unknown or wrong, or the tasks cannot be had.
        """
