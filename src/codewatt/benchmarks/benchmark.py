"""The base class of benchmarks, and their tasks in the row format of HumanEval+."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from codewatt.errors import CodewattError
from codewatt.files import numbered_rows, write_jsonl
from codewatt.untrusted_files import display_path

SUITES = ("base", "plus")
"""The test suites of a task: base tests (original inputs) and plus tests (added by EvalPlus)."""


@dataclass(frozen=True)
class Task:
    """One programming task.

    Attributes:
        task_id: unique within the benchmark, such as "HumanEval/0".
        prompt: text that the model completes: imports, signature and docstring.
        entry_point: name of the function that is called.
        canonical_solution: text after the prompt in the reference program.
        base_input: one list of positional arguments for each base test.
        plus_input: one list of positional arguments for each plus test. One of the two suites may
            be empty; as in EvalPlus, a program that loads and defines the entry point passes it.
        atol: absolute tolerance on floating-point outputs; 0 for exact equality, but see
            `codewatt.evaluate.outputs.output_check.OutputChecker.tolerance`.
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
        """Make a task from a row in HumanEval+'s format; unused fields are ignored.

        Args:
            row: the row.
            where: file and line, for the message.

        Raises:
            CodewattError: a field is missing or has another type (the message names file, line and
                field), or the task has no test.
        """
        for field in ("task_id", "prompt", "entry_point", "canonical_solution"):
            _require(isinstance(row.get(field), str), where, field, "a string", row)
        _require(row["task_id"] != "", where, "task_id", "a nonempty string", row)
        _require(row["entry_point"].isidentifier(), where, "entry_point", "a function name", row)
        for field in ("base_input", "plus_input"):
            tests = row.get(field)
            right = isinstance(tests, list) and all(isinstance(test, list) for test in tests)
            _require(right, where, field, "a list of argument lists", row)
        if not row["base_input"] and not row["plus_input"]:
            raise CodewattError(
                f"{where}: {row['task_id']}: base_input and plus_input are both empty; a task "
                "needs at least one test"
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
        """The task as a row that `from_row` reads; inputs are not copied."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def inputs(self, suite: str) -> list[list[Any]]:
        """Argument lists of a suite: "base" or "plus"."""
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
        path: the file.
        check: called with each row and its "file:line" before the row becomes a task; raises
            CodewattError if the row does not belong to the benchmark.

    Raises:
        CodewattError: the file is missing, empty or not JSON lines, a row is not a task, or two
            rows have the same task_id.
    """
    tasks: dict[str, Task] = {}
    for number, row in numbered_rows(path):
        where = f"{display_path(path)}:{number}"
        if check is not None:
            check(row, where)
        task = Task.from_row(row, where)
        if task.task_id in tasks:
            raise CodewattError(f"{where}: duplicate task_id {task.task_id!r}; each must be unique")
        tasks[task.task_id] = task
    if not tasks:
        raise CodewattError(f"{display_path(path)}: contains no tasks; at least one is needed")
    return list(tasks.values())


def write_tasks(path: str | Path, tasks: Iterable[Task]) -> None:
    """Write tasks as JSON lines (gzip by suffix), atomically."""
    write_jsonl(path, (task.to_row() for task in tasks))


def check_settings(benchmark: str, settings: Iterable[str], allowed: Sequence[str]) -> None:
    """Check the names of a benchmark's settings.

    Raises:
        CodewattError: a setting is unknown.
    """
    if unknown := sorted(set(settings) - set(allowed)):
        raise CodewattError(
            f"benchmark {benchmark}: unknown setting {unknown[0]!r}; allowed: {', '.join(allowed)}"
        )


class Benchmark(ABC):
    """A set of tasks, and how a base model completes them.

    Places to change for a new benchmark, besides its module in this package:
    `codewatt.config.benchmark_settings` and the list in `codewatt.config.schema` (its settings in a
    study file), `codewatt.sizing.workload.BENCHMARKS` (its size, for estimates), and for a dataset
    that users keep locally `codewatt.config.site` (benchmark_files). `task_ids` recognises its
    tasks in files of another benchmark.
    """

    name: ClassVar[str]
    """Name in study files (`kind`) and on the command line."""

    judges_files: ClassVar[bool] = False
    """Whether `codewatt evaluate` judges completions for a dataset file of this benchmark."""

    stop_strings: ClassVar[tuple[str, ...]] = ()
    """Generation ends before the first of these strings; the completion contains none of them."""

    @abstractmethod
    def tasks(self, settings: Mapping[str, Any]) -> list[Task]:
        """The benchmark's tasks, in its own order; the same tasks for the same settings.

        Args:
            settings: settings of this benchmark in the study; each benchmark documents its keys.

        Raises:
            CodewattError: a setting is unknown or wrong, or the tasks cannot be read.
        """
