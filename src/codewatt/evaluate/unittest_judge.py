"""Judges untrusted programs by unit tests, as BigCodeBench does, each in a sandbox.

The rules are those of bigcodebench 0.2.5: a program fails if one of its tests fails or raises. Two
rules are added: the same tests must run as with the reference program, and a test that was not
skipped with the reference program must not be skipped.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from codewatt.benchmarks.tasks import UnittestTask
from codewatt.errors import CodewattError
from codewatt.evaluate.parallel_jobs import check_jobs, run_workers
from codewatt.evaluate.reference_runs import ReferenceRun
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.unittest_view import find_interpreter
from codewatt.evaluate.unittest_modules import modules_to_preload
from codewatt.evaluate.unittest_run import UNITTEST_LIMITS, ProgramRunner, UnittestOutcome
from codewatt.evaluate.verdicts import FAIL, PASS, JudgingTimes, Program, SuiteVerdict, Verdict


def judge_unittests(
    tasks: Sequence[UnittestTask],
    programs: Sequence[Program],
    *,
    interpreter: Path,
    references: Mapping[str, ReferenceRun],
    jobs: int,
    limits: Limits | None = None,
    on_done: Callable[[int], None] | None = None,
    on_start: Callable[[bool], None] | None = None,
) -> list[Verdict]:
    """Judge programs; identical programs run once.

    Args:
        tasks: the tasks of the programs; further tasks are allowed.
        programs: the untrusted programs.
        interpreter: python of the environment in which they run.
        references: outcome of each task's reference program in this environment. A task whose
            reference program does not pass gets no verdict.
        jobs: number of programs that run at the same time.
        limits: resource limits of each program; None for the defaults.
        on_done: called with the number of programs that have a verdict so far.
        on_start: called once with True if programs are forked from a warm process, else False.

    Returns:
        One verdict for each program, in the same order, with the times at which it ran; without a
        plus suite.

    Raises:
        CodewattError: a program is for an unknown task, or the sandbox cannot be started. Nothing
            that a program does inside the sandbox raises an exception here.
    """
    check_jobs(jobs)
    used = limits or UNITTEST_LIMITS
    known = {task.task_id: task for task in tasks}
    positions: dict[Program, int] = {}
    for program in programs:
        _require_known(program.task_id, known, references)
        positions[program] = positions.get(program, 0) + 1
    verdicts: dict[Program, Verdict] = {}
    judged = 0

    def finish(program: Program, verdict: Verdict) -> None:
        nonlocal judged
        verdicts[program] = verdict
        judged += positions[program]
        if on_done is not None:
            on_done(judged)

    to_run = []
    for program in positions:
        if (reason := references[program.task_id].excluded) is not None:
            finish(program, Verdict(program.task_id, None, None, excluded=reason))
        else:
            to_run.append(program)
    # The slowest tasks first, so that no worker is left alone with one of them at the end.
    to_run.sort(key=lambda program: -references[program.task_id].seconds)

    def work(slot: int, program: Program, stop: threading.Event) -> Verdict:
        task, reference = known[program.task_id], references[program.task_id]
        (limit_s,) = used.call_limits_s([reference.seconds])
        start_s = time.monotonic()
        outcome = runner.run(program.code, task.test, limit_s, slot, stop)
        times = JudgingTimes(start_s, time.monotonic(), outcome.cpu_s)
        return Verdict(program.task_id, _suite_verdict(outcome, reference), None, times=times)

    if to_run:
        # Of all tasks, so that a verdict does not depend on which programs are judged together.
        modules = modules_to_preload(tasks)
        with ProgramRunner(find_interpreter(interpreter), modules, used, jobs) as runner:
            if on_start is not None:
                on_start(runner.is_warm)
            run_workers(to_run, work, jobs, lambda index, one: finish(to_run[index], one))
    return [verdicts[program] for program in programs]


def _require_known(
    task_id: str, known: Mapping[str, UnittestTask], references: Mapping[str, ReferenceRun]
) -> None:
    if task_id not in known:
        raise CodewattError(
            f"program for task {task_id!r}: the benchmark has no such task; its tasks are "
            f"{', '.join(list(known)[:3])}{' and so on' if len(known) > 3 else ''}"
        )
    if task_id not in references:
        raise CodewattError(f"{task_id}: its reference program was not run")


def _suite_verdict(outcome: UnittestOutcome, reference: ReferenceRun) -> SuiteVerdict:
    """The verdict on a program, from its own outcome and that of the reference program."""
    tests_run, failed = len(outcome.ran), dict(outcome.failed)
    if outcome.status == PASS:
        if (wrong := _other_tests(outcome, reference)) is None:
            return SuiteVerdict(PASS, tests_run)
        return SuiteVerdict(FAIL, tests_run, wrong, {"ALL": wrong})
    if outcome.why is not None:
        return SuiteVerdict(outcome.status, tests_run, outcome.why, {**failed, "ALL": outcome.why})
    name, text = next(iter(failed.items()))
    return SuiteVerdict(outcome.status, tests_run, f"{name}: {text}", failed)


def _other_tests(outcome: UnittestOutcome, reference: ReferenceRun) -> str | None:
    """How the tests that ran differ from those of the reference program, in words."""
    if sorted(outcome.ran) != sorted(reference.ran):
        return f"{len(outcome.ran)} tests ran, not the {len(reference.ran)} of the reference"
    if skipped := sorted(set(outcome.skipped) - set(reference.skipped)):
        return f"{skipped[0]}: skipped, although it ran with the reference program"
    return None
