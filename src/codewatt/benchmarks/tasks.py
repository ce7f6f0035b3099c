"""Programming tasks: their types, and the file in which stages pass them on."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from codewatt.benchmarks.argument_types import ARGUMENT_TYPES, convert_arguments
from codewatt.benchmarks.output_rules import EQUAL, OUTPUT_RULES
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
        prompt: the text that a model is given.
        entry_point: name of the function that is called.
        canonical_solution: text after the prompt in the reference program.
    """

    #: Value of "judged_by" in the row of a task; a row without the key is a `FunctionTask`.
    judged_by: ClassVar[str] = ""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str

    @property
    def program_start(self) -> str:
        """The text that a completion is appended to, so that both are a whole program."""
        return self.prompt

    @property
    def reference_program(self) -> str:
        """The whole reference program."""
        return self.program_start + self.canonical_solution

    @classmethod
    def from_row(cls, row: dict[str, Any], where: str) -> Self:
        """Make a task from a row; unused fields are ignored.

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
        cls._check_tests(row, where)
        return cls(**{field.name: row[field.name] for field in fields(cls) if field.name in row})

    @classmethod
    def _check_tests(cls, row: dict[str, Any], where: str) -> None:
        """Check the fields that only this type of task has."""

    def to_row(self) -> dict[str, Any]:
        """The task as a row that `from_row` reads; values are not copied."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class FunctionTask(Task):
    """A task whose function is called with inputs; its outputs are compared with the reference's.

    Rows have the format of HumanEval+ (EvalPlus), with two more fields where a task needs them.

    Attributes:
        prompt: text that the model completes: imports, signature and docstring.
        base_input: one list of positional arguments for each base test.
        plus_input: one list of positional arguments for each plus test. One of the two suites may
            be empty; as in EvalPlus, a program that loads and defines the entry point passes it.
        atol: absolute tolerance on floating-point outputs; 0 for exact equality, but see
            `codewatt.evaluate.outputs.output_check.OutputChecker.tolerance`.
        output_rule: how outputs are compared (`codewatt.benchmarks.output_rules`).
        argument_types: type of each argument (`codewatt.benchmarks.argument_types`); empty if all
            arguments are JSON values.
    """

    judged_by: ClassVar[str] = "outputs"

    base_input: list[list[Any]]
    plus_input: list[list[Any]]
    atol: float = 0.0
    output_rule: str = EQUAL
    argument_types: Sequence[str] = ()

    @classmethod
    def _check_tests(cls, row: dict[str, Any], where: str) -> None:
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
        right = row.get("output_rule", EQUAL) in OUTPUT_RULES
        _require(right, where, "output_rule", " or ".join(OUTPUT_RULES), row)
        cls._check_argument_types(row, where)

    @classmethod
    def _check_argument_types(cls, row: dict[str, Any], where: str) -> None:
        types = row.get("argument_types", [])
        known = " or ".join(map(repr, ARGUMENT_TYPES))
        right = isinstance(types, list) and all(name in list(ARGUMENT_TYPES) for name in types)
        _require(right, where, "argument_types", f"a list of {known}", row)
        for arguments in [*row["base_input"], *row["plus_input"]] if types else []:
            try:
                convert_arguments(arguments, types)
            except Exception as error:
                raise CodewattError(
                    f"{where}: {row['task_id']}: the arguments {arguments!r:.60} cannot be "
                    f"converted to {', '.join(types)}: {error}"
                ) from None

    def inputs(self, suite: str) -> list[list[Any]]:
        """Argument lists of a suite: "base" or "plus"."""
        return self.base_input if suite == "base" else self.plus_input

    def to_row(self) -> dict[str, Any]:
        """See `Task.to_row`; output_rule and argument_types are left out if they are defaults."""
        row = super().to_row()
        if self.output_rule == EQUAL:
            del row["output_rule"]
        if not self.argument_types:
            del row["argument_types"]
        return row


@dataclass(frozen=True)
class UnittestTask(Task):
    """A task whose program is judged by a module of unit tests, as in BigCodeBench.

    Such a task has base tests only; its completions have no verdict on plus tests.

    Attributes:
        prompt: the text that the model is given: `complete_prompt` in the split "complete", an
            instruction in words in the split "instruct".
        complete_prompt: imports, signature and docstring. A completion that is not a whole program
            is appended to it. The reference program is `complete_prompt` + `canonical_solution`.
        code_prompt: `complete_prompt` without the docstring; a calibrated program begins with it.
        test: source code of a module with classes of `unittest.TestCase`.
        libraries: modules that the reference program imports, as upstream lists them.
        domains: domains of these libraries, as upstream maps them; sorted, without duplicates.
    """

    judged_by: ClassVar[str] = "unittest"

    complete_prompt: str
    code_prompt: str
    test: str
    libraries: list[str]
    domains: list[str]

    @property
    def program_start(self) -> str:
        """See `Task.program_start`: `complete_prompt` in both splits."""
        return self.complete_prompt

    @classmethod
    def _check_tests(cls, row: dict[str, Any], where: str) -> None:
        for field in ("complete_prompt", "code_prompt", "test"):
            _require(isinstance(row.get(field), str), where, field, "a string", row)
        for field in ("libraries", "domains"):
            value = row.get(field)
            right = isinstance(value, list) and all(isinstance(item, str) for item in value)
            _require(right, where, field, "a list of strings", row)

    def to_row(self) -> dict[str, Any]:
        """See `Task.to_row`."""
        return {"judged_by": self.judged_by, **super().to_row()}


_TaskT = TypeVar("_TaskT", bound=Task)
_TYPES: dict[object, type[Task]] = {kind.judged_by: kind for kind in (FunctionTask, UnittestTask)}


def _require(right: bool, where: str, field: str, allowed: str, row: dict[str, Any]) -> None:
    if right:
        return
    found = f"{row[field]!r:.60}" if field in row else "nothing"
    raise CodewattError(f"{where}: {field}: expected {allowed}, found {found}")


def read_tasks(
    path: str | Path,
    check: Callable[[dict[str, Any], str], None] | None = None,
    prepare: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> list[Task]:
    """Read tasks from JSON lines (gzip by suffix), in the order of the file.

    Args:
        path: the file.
        check: called with each row and its "file:line" before the row becomes a task; raises
            CodewattError if the row does not belong to the benchmark.
        prepare: called with each checked row; returns the row from which the task is made.

    Raises:
        CodewattError: the file is missing, empty or not JSON lines, a row is not a task, or two
            rows have the same task_id.
    """
    tasks: dict[str, Task] = {}
    for number, row in numbered_rows(path):
        where = f"{display_path(path)}:{number}"
        if check is not None:
            check(row, where)
        if prepare is not None:
            row = prepare(row)
        judged_by = row.get("judged_by", FunctionTask.judged_by)
        if not isinstance(judged_by, str) or judged_by not in _TYPES:
            _require(False, where, "judged_by", " or ".join(map(str, _TYPES)), row)
        task = _TYPES[judged_by].from_row(row, where)
        if task.task_id in tasks:
            raise CodewattError(f"{where}: duplicate task_id {task.task_id!r}; each must be unique")
        tasks[task.task_id] = task
    if not tasks:
        raise CodewattError(f"{display_path(path)}: contains no tasks; at least one is needed")
    return list(tasks.values())


def write_tasks(path: str | Path, tasks: Iterable[Task]) -> None:
    """Write tasks as JSON lines (gzip by suffix), atomically."""
    write_jsonl(path, (task.to_row() for task in tasks))


def function_tasks(tasks: Sequence[Task]) -> list[FunctionTask]:
    """The same tasks, all of which are judged by their outputs.

    Raises:
        CodewattError: a task is judged by unit tests.
    """
    return _all_of(tasks, FunctionTask, "has no inputs; it is judged by unit tests")


def unittest_tasks(tasks: Sequence[Task]) -> list[UnittestTask]:
    """The same tasks, all of which are judged by unit tests.

    Raises:
        CodewattError: a task is judged by its outputs.
    """
    return _all_of(tasks, UnittestTask, "has no unit tests; it is judged by its outputs")


def _all_of(tasks: Sequence[Task], kind: type[_TaskT], otherwise: str) -> list[_TaskT]:
    found = []
    for task in tasks:
        if not isinstance(task, kind):
            raise CodewattError(f"{task.task_id}: {otherwise}")
        found.append(task)
    return found
