"""Runs the reference programs of tasks that are judged by unit tests, and keeps the outcomes.

A task whose reference program does not pass in this environment is excluded. For the other tasks
the outcome gives the time limit of programs and the tests that must run.
"""

import hashlib
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codewatt.benchmarks.tasks import UnittestTask
from codewatt.errors import CodewattError
from codewatt.evaluate.evaluate_record import EnvironmentRecord
from codewatt.evaluate.parallel_jobs import check_jobs, run_workers
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.unittest_view import find_interpreter
from codewatt.evaluate.unittest_modules import modules_to_preload
from codewatt.evaluate.unittest_run import UNITTEST_LIMITS, ProgramRunner, UnittestOutcome
from codewatt.evaluate.verdicts import FAIL, PASS
from codewatt.files import canonical_json, read_json, write_json

FORMAT = 1
"""Version of the file of reference runs."""

REFERENCE_LIMIT_S = 240.0
"""Time limit of a reference program (s), upstream's for every program."""

_ATTEMPTS = 3
"""How often a reference program runs if it fails: some tests measure wall time and fail on a busy
machine (BigCodeBench/823)."""

_PACKAGES = (
    "import importlib.metadata as m; "
    "print(*sorted({f'{d.name}=={d.version}' for d in m.distributions()}), sep='\\n')"
)


@dataclass(frozen=True)
class ReferenceRun:
    """Outcome of a task's reference program.

    Attributes:
        status: "pass", "fail" or "timeout".
        seconds: time used (s); 0 if unknown.
        why: the reason if it did not pass.
        ran: names of the tests that ran.
        skipped: names of the tests that were skipped.
    """

    status: str
    seconds: float
    why: str | None
    ran: tuple[str, ...]
    skipped: tuple[str, ...]

    @property
    def excluded(self) -> str | None:
        """Why the task cannot be judged here; None if it can."""
        if self.status == PASS:
            return None
        return f"the reference program does not pass here ({self.status}: {self.why})"


def run_references(
    tasks: Sequence[UnittestTask],
    *,
    interpreter: Path,
    jobs: int,
    limits: Limits | None = None,
    on_done: Callable[[str], None] | None = None,
) -> dict[str, ReferenceRun]:
    """Run the reference program of each task with its tests; one that fails runs up to three times.

    Args:
        tasks: the tasks.
        interpreter: python of the environment in which programs run.
        jobs: number of programs that run at the same time.
        limits: resource limits; None for the defaults.
        on_done: called with the task_id of each finished task.

    Raises:
        CodewattError: the environment or the sandbox cannot be started.
    """
    check_jobs(jobs)
    used = limits or UNITTEST_LIMITS
    found: dict[str, ReferenceRun] = {}

    def finish(index: int, outcome: UnittestOutcome) -> None:
        found[tasks[index].task_id] = _reference_run(outcome)
        if on_done is not None:
            on_done(tasks[index].task_id)

    def work(slot: int, task: UnittestTask, stop: threading.Event) -> UnittestOutcome:
        for _ in range(_ATTEMPTS):
            outcome = runner.run(task.reference_program, task.test, REFERENCE_LIMIT_S, slot, stop)
            if outcome.status != FAIL:
                break
        return outcome

    modules = modules_to_preload(tasks)
    with ProgramRunner(find_interpreter(interpreter), modules, used, jobs) as runner:
        run_workers(tasks, work, jobs, finish)
    return {task.task_id: found[task.task_id] for task in tasks}


def _reference_run(outcome: UnittestOutcome) -> ReferenceRun:
    why = outcome.why or "; ".join(f"{name}: {text}" for name, text in outcome.failed.items())
    return ReferenceRun(outcome.status, outcome.seconds, why or None, outcome.ran, outcome.skipped)


def describe_environment(interpreter: Path) -> EnvironmentRecord:
    """Version of Python, and a digest of the names and versions of all installed packages.

    Raises:
        CodewattError: the environment cannot be started.
    """
    version = find_interpreter(interpreter).version
    try:
        done = subprocess.run(
            [str(interpreter), "-I", "-c", _PACKAGES], capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise CodewattError(f"{interpreter}: cannot list its packages: {error}") from None
    return {"python": version, "packages_sha256": hashlib.sha256(done.stdout).hexdigest()}


def write_references(
    path: str | Path,
    runs: Mapping[str, ReferenceRun],
    tasks: Sequence[UnittestTask],
    environment: EnvironmentRecord,
) -> None:
    """Write reference runs as JSON (gzip by suffix), atomically, with tasks and environment."""
    content = {
        "schema": FORMAT,
        "judged_by": UnittestTask.judged_by,
        "tasks_sha256": _tasks_digest(tasks),
        "environment": environment,
        "tasks": {task.task_id: asdict(runs[task.task_id]) for task in tasks},
    }
    write_json(path, content)


def read_references(
    path: str | Path, tasks: Sequence[UnittestTask], environment: EnvironmentRecord | None = None
) -> dict[str, ReferenceRun]:
    """Read a file that `write_references` wrote.

    Args:
        path: the file.
        tasks: the tasks for which it must have been made.
        environment: the environment in which it must have been made; None for any.

    Raises:
        CodewattError: the file has another format, or was made for other tasks or in another
            environment.
    """
    content = read_json(path)
    right = isinstance(content, dict) and content.get("judged_by") == UnittestTask.judged_by
    if not right or content.get("schema") != FORMAT:
        raise CodewattError(f"{path}: not a file of reference runs in format {FORMAT}")
    if content.get("tasks_sha256") != _tasks_digest(tasks):
        raise CodewattError(f"{path}: made for other tasks; run the reference programs again")
    if environment is not None and content.get("environment") != environment:
        raise CodewattError(
            f"{path}: made in another Python environment; run the reference programs again"
        )
    return {task.task_id: _run_of(content["tasks"][task.task_id]) for task in tasks}


def _run_of(row: dict[str, Any]) -> ReferenceRun:
    lists = {name: tuple(row[name]) for name in ("ran", "skipped")}
    return ReferenceRun(**{**row, **lists})


def _tasks_digest(tasks: Sequence[UnittestTask]) -> str:
    """SHA-256 (hex) of the ids, reference programs and tests of the tasks."""
    total = hashlib.sha256()
    for task in tasks:
        row = [task.task_id, task.reference_program, task.test]
        total.update(canonical_json(row).encode("utf-8", "backslashreplace") + b"\n")
    return total.hexdigest()
