"""The two ways to judge programs: by their outputs (EvalPlus) and by unit tests (BigCodeBench).

The type of a benchmark's tasks decides which of them applies. The evaluate stage calls only this
module. `expected_file` writes the file that it reads.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from codewatt.benchmarks.tasks import (
    FunctionTask,
    Task,
    UnittestTask,
    function_tasks,
    unittest_tasks,
)
from codewatt.evaluate.benchmark_interpreter import benchmark_interpreter
from codewatt.evaluate.eval_results import eval_results, unittest_results
from codewatt.evaluate.evaluate_record import EnvironmentRecord, ExcludedTask, SandboxRecord
from codewatt.evaluate.judge import judge
from codewatt.evaluate.outputs.expected_outputs import read_expected
from codewatt.evaluate.reference_runs import (
    describe_environment,
    read_references,
)
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.sandbox_probe import describe_sandbox, require_sandbox
from codewatt.evaluate.unittest_judge import judge_unittests
from codewatt.evaluate.unittest_run import UNITTEST_LIMITS
from codewatt.evaluate.verdicts import Program, Verdict

#: Called with the number of programs that have a verdict so far.
Progress = Callable[[int], None]


class JudgingRule(ABC):
    """How the programs of one benchmark are judged.

    Attributes:
        excluded: tasks whose reference program does not pass on this machine.
        environment: the Python environment of the programs; None if it is codewatt's own.
    """

    excluded: list[ExcludedTask]
    environment: EnvironmentRecord | None

    @abstractmethod
    def judge(
        self, programs: Sequence[Program], *, jobs: int, on_done: Progress | None = None
    ) -> list[Verdict]:
        """One verdict for each program, in the same order."""

    @abstractmethod
    def results(
        self, programs: Sequence[Program], verdicts: Sequence[Verdict], dataset_md5: str
    ) -> dict[str, Any]:
        """Content of the result file, as the benchmark's own evaluator writes it."""

    @abstractmethod
    def sandbox(self, jobs: int) -> SandboxRecord:
        """How programs are isolated."""


class OutputsRule(JudgingRule):
    """Programs are called with inputs, and their outputs are compared with the expected ones.

    Args:
        tasks: the benchmark's tasks.
        expected_path: expected outputs of the tasks (`write_expected`).
        limits: resource limits of a program; None for the defaults.

    Raises:
        CodewattError: the file does not fit the tasks, or the sandbox cannot be set up.
    """

    def __init__(
        self, tasks: Sequence[FunctionTask], expected_path: str | Path, limits: Limits | None = None
    ) -> None:
        self._limits = limits or Limits()
        require_sandbox(self._limits)
        self._tasks = tasks
        self._expected = read_expected(expected_path, tasks)
        self.excluded, self.environment = [], None

    def judge(
        self, programs: Sequence[Program], *, jobs: int, on_done: Progress | None = None
    ) -> list[Verdict]:
        """See `JudgingRule.judge`."""
        return judge(
            self._tasks, self._expected, programs, jobs=jobs, limits=self._limits, on_done=on_done
        )

    def results(
        self, programs: Sequence[Program], verdicts: Sequence[Verdict], dataset_md5: str
    ) -> dict[str, Any]:
        """See `JudgingRule.results`."""
        return eval_results(self._tasks, programs, verdicts, dataset_md5)

    def sandbox(self, jobs: int) -> SandboxRecord:
        """See `JudgingRule.sandbox`."""
        return describe_sandbox(self._limits, jobs)


class UnittestRule(JudgingRule):
    """Programs are run with the unit tests of their task.

    Args:
        tasks: the benchmark's tasks.
        references_path: outcomes of the reference programs (`write_references`).
        limits: resource limits of a program; None for the defaults.
        python: see `benchmark_interpreter`.

    Raises:
        CodewattError: the benchmark's environment is missing, or the file does not fit the tasks
            or the environment.
    """

    def __init__(
        self,
        tasks: Sequence[UnittestTask],
        references_path: str | Path,
        limits: Limits | None = None,
        python: str | None = None,
    ) -> None:
        self._limits = limits or UNITTEST_LIMITS
        self._forked = False
        self._interpreter = benchmark_interpreter(python)
        self._tasks = tasks
        self.environment = describe_environment(self._interpreter)
        self._references = read_references(references_path, tasks, self.environment)
        self.excluded = [
            {"task_id": task_id, "why": run.excluded}
            for task_id, run in self._references.items()
            if run.excluded is not None
        ]

    def judge(
        self, programs: Sequence[Program], *, jobs: int, on_done: Progress | None = None
    ) -> list[Verdict]:
        """See `JudgingRule.judge`."""
        return judge_unittests(
            self._tasks,
            programs,
            interpreter=self._interpreter,
            references=self._references,
            jobs=jobs,
            limits=self._limits,
            on_done=on_done,
            on_start=self._set_forked,
        )

    def results(
        self, programs: Sequence[Program], verdicts: Sequence[Verdict], dataset_md5: str
    ) -> dict[str, Any]:
        """See `JudgingRule.results`."""
        return unittest_results(self._tasks, programs, verdicts)

    def sandbox(self, jobs: int) -> SandboxRecord:
        """See `JudgingRule.sandbox`."""
        return describe_sandbox(self._limits, jobs, self._forked)

    def _set_forked(self, forked: bool) -> None:
        self._forked = forked


def judging_rule(
    tasks: Sequence[Task],
    expected_path: str | Path,
    limits: Limits | None = None,
    python: str | None = None,
) -> JudgingRule:
    """The rule for a benchmark's tasks.

    Args:
        tasks: the tasks, all of one type.
        expected_path: the file that `expected_file.write_expected_file` wrote.
        limits: resource limits of a program; None for the defaults of the rule.
        python: see `benchmark_interpreter`; used for unit tests only.

    Raises:
        CodewattError: the tasks are of several types, the file does not fit them, or programs
            cannot be run.
    """
    if isinstance(tasks[0], UnittestTask):
        return UnittestRule(unittest_tasks(tasks), expected_path, limits, python)
    return OutputsRule(function_tasks(tasks), expected_path, limits)
