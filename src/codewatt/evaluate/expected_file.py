"""Runs a benchmark's reference programs and writes the file that judging needs (expected.json.gz).

The file has the expected outputs, or for unit tests the outcomes of the reference programs. This
module is separate from `judging_rules`, so that a change of the judge does not make the file stale.
"""

from collections.abc import Sequence
from pathlib import Path

from codewatt.benchmarks.tasks import Task, UnittestTask, function_tasks, unittest_tasks
from codewatt.evaluate.benchmark_interpreter import benchmark_interpreter
from codewatt.evaluate.outputs.expected_outputs import write_expected
from codewatt.evaluate.reference_programs import compute_expected
from codewatt.evaluate.reference_runs import (
    describe_environment,
    run_references,
    write_references,
)


def write_expected_file(
    path: str | Path, tasks: Sequence[Task], *, jobs: int, python: str | None = None
) -> None:
    """Run the reference programs and write their outputs, or the outcomes of their unit tests.

    Args:
        path: file to write.
        tasks: the tasks, all of one type.
        jobs: programs that run at the same time.
        python: see `benchmark_interpreter`; used for unit tests only.

    Raises:
        CodewattError: the tasks are of several types, programs cannot be run, or a reference
            program that is judged by its outputs fails.
    """
    if isinstance(tasks[0], UnittestTask):
        tested = unittest_tasks(tasks)
        interpreter = benchmark_interpreter(python)
        environment = describe_environment(interpreter)
        runs = run_references(tested, interpreter=interpreter, jobs=jobs)
        write_references(path, runs, tested, environment)
    else:
        called = function_tasks(tasks)
        write_expected(path, compute_expected(called, jobs=jobs), called)
