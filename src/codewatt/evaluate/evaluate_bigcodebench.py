"""`codewatt evaluate --benchmark bigcodebench`: judges a samples file by BigCodeBench's rules."""

import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from codewatt.benchmarks.bigcodebench_benchmark import BigCodeBench
from codewatt.benchmarks.tasks import UnittestTask
from codewatt.cache_directory import cache_directory
from codewatt.error_messages import printable
from codewatt.errors import CodewattError
from codewatt.evaluate.benchmark_interpreter import benchmark_interpreter
from codewatt.evaluate.bigcodebench_pass_at_k import EvaluatedRun, bigcodebench_pass_at_k
from codewatt.evaluate.bigcodebench_programs import bigcodebench_programs
from codewatt.evaluate.eval_results import unittest_results
from codewatt.evaluate.reference_runs import (
    ReferenceRun,
    describe_environment,
    read_references,
    run_references,
    write_references,
)
from codewatt.evaluate.sample_files import read_samples
from codewatt.evaluate.unittest_judge import judge_unittests
from codewatt.files import check_writable, digest

#: Upper bound of the size of a file of reference runs.
_REFERENCES_BYTES = 16 << 20
#: Upper bound of the size of pass_at_k.json.
_PASS_AT_K_BYTES = 1 << 20


class Progress(Protocol):
    """A progress bar."""

    def advance(self) -> None:
        """Count one more finished item."""

    def set_done(self, done: int) -> None:
        """Set the number of finished items."""


@dataclass(frozen=True)
class BigCodeBenchOptions:
    """What is judged, and how.

    Attributes:
        split: "complete" or "instruct"; it is only written into pass_at_k.json, because samples of
            both splits are judged in the same way.
        subset: "full" or "hard"; samples of other tasks are left out.
        sanitize: whether bigcodebench's sanitiser is applied to the completions.
        calibrate: whether each program begins with the task's signature.
        jobs: number of programs that run at the same time.
    """

    split: str
    subset: str
    sanitize: bool
    calibrate: bool
    jobs: int


def judge_bigcodebench(
    dataset: Path,
    samples: Path,
    out: Path,
    options: BigCodeBenchOptions,
    show: Callable[[str, int], AbstractContextManager[Progress]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Judge samples; returns the contents of eval_results.json and of pass_at_k.json.

    Whether the result files can be written is tested before any program is judged. Outcomes of the
    reference solutions are cached between calls if a cache directory exists.

    Args:
        dataset: file of BigCodeBench v0.1.4, or of a part of its tasks.
        samples: file or directory of completions.
        out: the result file; `pass_at_k_path` names the second one.
        options: see `BigCodeBenchOptions`.
        show: starts a progress bar with a name and a number of items.

    Raises:
        CodewattError: an input is missing or wrong, a result file cannot be written, or programs
            cannot be run.
    """
    every = BigCodeBench().tasks({"path": dataset, "pinned": False})
    tasks = BigCodeBench().tasks({"path": dataset, "pinned": False, "subset": options.subset})
    chosen = {task.task_id for task in tasks}
    skipped = {task.task_id for task in every} - chosen
    rows = read_samples(samples, tasks, skip=skipped)
    prefix_bytes = max(len(task.code_prompt) for task in tasks)
    check_writable(out, sum(2 * len(row.solution) + prefix_bytes + 2000 for row in rows))
    check_writable(pass_at_k_path(out), _PASS_AT_K_BYTES)
    interpreter = benchmark_interpreter()
    with show("reference solutions", len(tasks)) as progress:
        references = _references(tasks, interpreter, options.jobs, progress.advance)
    programs = bigcodebench_programs(
        rows, tasks, sanitize=options.sanitize, calibrate=options.calibrate, jobs=options.jobs
    )
    with show("judging", len(programs)) as progress:
        verdicts = judge_unittests(
            tasks,
            programs,
            interpreter=interpreter,
            references=references,
            jobs=options.jobs,
            on_done=progress.set_done,
        )
    results = unittest_results(tasks, programs, verdicts)
    excluded = {name: run.excluded for name, run in references.items() if run.excluded is not None}
    run = EvaluatedRun(
        model=samples.name.split("--bigcodebench-")[0],
        split=options.split,
        subset=options.subset,
        calibrated=options.calibrate,
        excluded=excluded,
    )
    return results, bigcodebench_pass_at_k(results, len(tasks), run)


def pass_at_k_path(out: Path) -> Path:
    """The file of pass@k beside a result file, named as bigcodebench names it.

    NAME_eval_results.json becomes NAME_pass_at_k.json; NAME.json becomes NAME_pass_at_k.json.
    """
    suffix = ".json.gz" if out.name.endswith(".json.gz") else out.suffix
    stem = out.name.removesuffix(suffix).removesuffix("eval_results").rstrip("_")
    return out.with_name(f"{stem}_pass_at_k{suffix}" if stem else f"pass_at_k{suffix}")


def summary_lines(table: dict[str, Any], excluded: Iterable[str], tasks: int) -> list[str]:
    """The lines to print: pass@k over the judged tasks, and the excluded tasks."""
    names = list(excluded)
    scores = ", ".join(f"{key} {value:.3f}" for key, value in table.items() if "@" in key)
    lines = [f"{scores or 'no task was judged'} ({tasks - len(names)} of {tasks} tasks)"]
    if names:
        which = (
            "1 task is excluded, as its"
            if len(names) == 1
            else (f"{len(names)} tasks are excluded, as their")
        )
        lines.append(f"{which} reference solution does not pass here: {', '.join(names)}")
    return lines


def _references(
    tasks: list[UnittestTask], interpreter: Path, jobs: int, advance: Callable[[], None]
) -> dict[str, ReferenceRun]:
    """Outcomes of the reference solutions, from the cache directory if that is writable."""
    environment = describe_environment(interpreter)
    path: Path | None = None
    try:
        key = digest([environment, [[task.task_id, task.test] for task in tasks]])
        path = cache_directory() / f"references-{key[:32]}.json.gz"
        check_writable(path, _REFERENCES_BYTES)
    except CodewattError as error:
        path = None
        print(
            f"codewatt: outcomes of reference solutions are not cached: {printable(error)}",
            file=sys.stderr,
        )
    if path is not None and path.is_file():
        try:
            return read_references(path, tasks, environment)
        except CodewattError:
            pass  # unreadable or of another format: made again
    runs = run_references(
        tasks, interpreter=interpreter, jobs=jobs, on_done=lambda task_id: advance()
    )
    if path is not None:
        write_references(path, runs, tasks, environment)
    return runs
