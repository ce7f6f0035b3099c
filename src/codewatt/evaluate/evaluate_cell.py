"""The evaluate stage: the verdicts on a cell's completions, and pass@k.

How a program is run and judged is `judging_rules`' matter; metering is the calling script's.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from codewatt.benchmarks.dataset_files import unpacked_digests
from codewatt.benchmarks.tasks import Task, UnittestTask, read_tasks, unittest_tasks
from codewatt.evaluate.bigcodebench_programs import bigcodebench_programs
from codewatt.evaluate.eval_results import pass_at_k_table, write_eval_results
from codewatt.evaluate.evaluate_record import JudgedCell, RepeatPassAtK, VerdictRecord
from codewatt.evaluate.judge import count_unique
from codewatt.evaluate.judging_rules import judging_rule
from codewatt.evaluate.sample_files import Sample, read_samples
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sanitize import sanitize_all
from codewatt.evaluate.verdicts import Program, Verdict
from codewatt.files import write_json


def programs_to_judge(
    samples: Sequence[Sample], tasks: Sequence[Task], *, sanitize: bool, jobs: int
) -> list[Program]:
    """The programs to judge, one for each sample, sanitised if `sanitize` is true.

    Programs of BigCodeBench are calibrated, as its evaluator does by default.
    """
    if isinstance(tasks[0], UnittestTask):
        return bigcodebench_programs(
            samples, unittest_tasks(tasks), sanitize=sanitize, calibrate=True, jobs=jobs
        )
    if not sanitize:
        return [Program(sample.task_id, sample.solution) for sample in samples]
    entry_points = {task.task_id: task.entry_point for task in tasks}
    cleaned = sanitize_all(
        [(sample.raw, entry_points[sample.task_id]) for sample in samples], jobs=jobs
    )
    return [Program(sample.task_id, code) for sample, code in zip(samples, cleaned, strict=True)]


def evaluate_cell(
    *,
    tasks_path: str | Path,
    expected_path: str | Path,
    completions_path: str | Path,
    out_results: str | Path,
    out_evaluate: str | Path | None = None,
    jobs: int,
    sanitize: bool = False,
    ks: Sequence[int] = (1,),
    benchmark: str | None = None,
    limits: Limits | None = None,
    bigcodebench_python: str | None = None,
    on_done: Callable[[int], None] | None = None,
) -> JudgedCell:
    """Judge the completions of a cell and write the result file of the benchmark's evaluator.

    Args:
        tasks_path: the benchmark's tasks (`write_tasks`).
        expected_path: what became of the reference programs (`write_expected_file`).
        completions_path: rows {task_id, solution, repeat, sample}.
        out_results: eval_results.json.gz to write.
        out_evaluate: also write the returned record there; None leaves that to the caller.
        jobs: programs that run at the same time.
        sanitize: whether completions are sanitised as the benchmark's own evaluator does it.
        ks: the k for which pass@k is estimated, within a repeat.
        benchmark: its id in the study; None for completions from elsewhere.
        limits: time and memory of a program; None for the defaults of the benchmark.
        bigcodebench_python: see `benchmark_interpreter`.
        on_done: called with the number of samples that have a verdict so far.

    Returns:
        The record before meters and provenance are added. Times are CLOCK_MONOTONIC seconds.

    Raises:
        CodewattError: an input is missing or wrong, or the sandbox cannot be set up.
    """
    tasks = read_tasks(tasks_path)
    rule = judging_rule(tasks, expected_path, limits, bigcodebench_python)
    samples = sorted(
        read_samples(completions_path, tasks), key=lambda sample: (sample.repeat, sample.sample)
    )
    start_s = time.monotonic()
    programs = programs_to_judge(samples, tasks, sanitize=sanitize, jobs=jobs)
    verdicts = rule.judge(programs, jobs=jobs, on_done=on_done)
    end_s = time.monotonic()
    digests = unpacked_digests(tasks_path)
    write_eval_results(out_results, rule.results(programs, verdicts, digests["md5"]))
    by_repeat = _by_repeat(samples, verdicts, ks)
    first = by_repeat[0]
    record: JudgedCell = {
        "schema": 5,
        "status": "ok",
        "benchmark": benchmark,
        "dataset_sha256": digests["sha256"],
        "pass_at_k": {"base": first["base"], "plus": first["plus"]},
        "by_repeat": by_repeat,
        "verdicts": _verdict_records(samples, programs, verdicts),
        "tasks": len(tasks),
        "excluded": rule.excluded,
        "environment": rule.environment,
        "domains": {task.task_id: task.domains for task in tasks if isinstance(task, UnittestTask)},
        "judged": count_unique(programs),
        "sanitized": sanitize,
        "windows": [
            {"phase": "evaluate", "repeat": None, "batch": None, "start_s": start_s, "end_s": end_s}
        ],
        "epoch_offset_s": time.time() - time.monotonic(),
        "sandbox": rule.sandbox(jobs),
    }
    if out_evaluate is not None:
        write_json(out_evaluate, record)
    return record


def _verdict_records(
    samples: Sequence[Sample], programs: Sequence[Program], verdicts: Sequence[Verdict]
) -> list[VerdictRecord]:
    """The record of each verdict; identical programs have the same number."""
    numbers: dict[Program, int] = {}
    records: list[VerdictRecord] = []
    for sample, program, verdict in zip(samples, programs, verdicts, strict=True):
        times = verdict.times
        records.append(
            {
                "task_id": verdict.task_id,
                "repeat": sample.repeat,
                "sample": sample.sample,
                "base": verdict.status("base"),
                "plus": verdict.status("plus"),
                "why": verdict.why,
                "program": numbers.setdefault(program, len(numbers)),
                "start_s": None if times is None else times.start_s,
                "end_s": None if times is None else times.end_s,
                "cpu_s": None if times is None else times.cpu_s,
            }
        )
    return records


def _by_repeat(
    samples: Sequence[Sample], verdicts: Sequence[Verdict], ks: Sequence[int]
) -> list[RepeatPassAtK]:
    """pass@k of each repeat, in order."""
    repeats: dict[int, list[Verdict]] = {}
    for sample, verdict in zip(samples, verdicts, strict=True):
        repeats.setdefault(sample.repeat, []).append(verdict)
    return [
        {"repeat": repeat, **pass_at_k_table(found, ks)}
        for repeat, found in sorted(repeats.items())
    ]
