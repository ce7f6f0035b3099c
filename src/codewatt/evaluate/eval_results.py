"""The result files of EvalPlus and BigCodeBench (eval_results.json), and pass@k from verdicts."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from codewatt.benchmarks.tasks import FunctionTask, UnittestTask
from codewatt.evaluate.evaluate_record import PassAtK, PassAtKTable
from codewatt.evaluate.pass_at_k import is_solved, mean_pass_at_k
from codewatt.evaluate.verdicts import PASS, Program, SuiteVerdict, Verdict
from codewatt.files import write_json


def eval_results(
    tasks: Sequence[FunctionTask],
    programs: Sequence[Program],
    verdicts: Sequence[Verdict],
    dataset_md5: str,
) -> dict[str, Any]:
    """Content of EvalPlus's result file.

    Args:
        tasks: the benchmark's tasks.
        programs: the judged programs, in the order of the samples.
        verdicts: one verdict for each program.
        dataset_md5: MD5 of the unpacked dataset file, which EvalPlus stores as "hash".
    """
    rows: dict[str, list[dict[str, Any]]] = {task.task_id: [] for task in tasks}
    known = {task.task_id: task for task in tasks}
    for program, verdict in zip(programs, verdicts, strict=True):
        task = known[program.task_id]
        rows[program.task_id].append(
            {
                "task_id": program.task_id,
                # JSON files cannot contain a lone surrogate; a program with one fails to load.
                "solution": program.code.encode("utf-8", "backslashreplace").decode(),
                "base_status": verdict.status("base"),
                "plus_status": verdict.status("plus"),
                "base_fail_tests": _failed_tests(verdict.base, task.base_input),
                "plus_fail_tests": _failed_tests(verdict.plus, task.plus_input),
            }
        )
    return {
        "date": datetime.now().strftime("%Y-%m-%d %H:%M"),
        "hash": dataset_md5,
        "eval": {task_id: found for task_id, found in rows.items() if found},
    }


def unittest_results(
    tasks: Sequence[UnittestTask], programs: Sequence[Program], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """Content of BigCodeBench's result file (bigcodebench 0.2.5, `evaluate`).

    Args:
        tasks: the benchmark's tasks.
        programs: the judged programs, in the order of the samples.
        verdicts: one verdict for each program; those on excluded tasks are left out.
    """
    rows: dict[str, list[dict[str, Any]]] = {task.task_id: [] for task in tasks}
    for program, verdict in zip(programs, verdicts, strict=True):
        if verdict.base is not None:
            rows[program.task_id].append(
                {
                    "task_id": program.task_id,
                    "solution": program.code.encode("utf-8", "backslashreplace").decode(),
                    "status": verdict.base.status,
                    "details": dict(verdict.base.failed_tests),
                }
            )
    return {
        "date": datetime.now().strftime("%Y-%m-%d %H:%M"),
        "eval": {task_id: found for task_id, found in rows.items() if found},
    }


def write_eval_results(path: str | Path, results: dict[str, Any]) -> None:
    """Write the result file (gzip by suffix) atomically; an existing file is replaced."""
    write_json(path, results)


def pass_at_k_table(verdicts: Iterable[Verdict], ks: Sequence[int]) -> PassAtKTable:
    """pass@k for the base tests and for base and plus tests together.

    Args:
        verdicts: verdicts on all samples.
        ks: the values of k.

    Returns:
        {"base": {k: pass@k}, "plus": {k: pass@k}} with k as a string; pass@k is None if a task has
        fewer than k samples, or if tasks have no plus tests. Excluded tasks do not count.
    """
    counts: dict[str, list[int]] = {}
    has_plus = True
    for verdict in verdicts:
        if verdict.excluded is not None:
            continue
        count = counts.setdefault(verdict.task_id, [0, 0, 0])
        has_plus = has_plus and verdict.plus is not None
        statuses = verdict.status("base"), verdict.status("plus")
        count[0] += 1
        count[1] += bool(is_solved("base", *statuses))
        count[2] += bool(is_solved("plus", *statuses))

    def table(passed: int) -> PassAtK:
        return {
            str(k): mean_pass_at_k(((count[0], count[passed]) for count in counts.values()), k)
            for k in ks
        }

    return {"base": table(1), "plus": table(2) if has_plus else {str(k): None for k in ks}}


def _failed_tests(suite: SuiteVerdict | None, inputs: list[list[Any]]) -> list[list[Any]]:
    """The input of the failed test, as EvalPlus reports it with `fast_check`."""
    if suite is None:
        return []
    return [] if suite.status == PASS or suite.tests_run == 0 else [inputs[suite.tests_run - 1]]
