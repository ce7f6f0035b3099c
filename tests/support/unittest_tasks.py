"""Tasks that are judged by unit tests and need the standard library only."""

from codewatt.benchmarks.tasks import UnittestTask

TASK_ID = "BigCodeBench/0"
PROMPT = "def task_func(x):\n"


def task(test: str, task_id: str = TASK_ID, solution: str = "    return x + 1\n") -> UnittestTask:
    """A task whose function returns x + 1."""
    return UnittestTask(
        task_id=task_id,
        prompt=PROMPT,
        entry_point="task_func",
        canonical_solution=solution,
        complete_prompt=PROMPT,
        code_prompt=PROMPT,
        test=test,
        libraries=[],
        domains=[],
    )
