"""Runs BigCodeBench's reference programs, and judges programs whose verdicts were recorded.

    python benchmarks/bigcodebench_judging.py --dataset BigCodeBench.jsonl.gz \
        --references references.json.gz [--known reference_solutions.csv] \
        [--recorded model_eval_results.json.gz ...] [--every 4] [--jobs 2]

The file of reference runs is made if it is missing. The known statuses are a CSV file with columns
task_id and the one that --column names. Prints wall times, and each task whose status differs from
the known or recorded one. Needs the environment of `make bigcodebench`.
"""

import argparse
import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from codewatt.benchmarks.prepare_benchmark import open_benchmark
from codewatt.benchmarks.tasks import UnittestTask, unittest_tasks
from codewatt.evaluate.benchmark_interpreter import benchmark_interpreter
from codewatt.evaluate.reference_runs import (
    ReferenceRun,
    describe_environment,
    read_references,
    run_references,
    write_references,
)
from codewatt.evaluate.unittest_judge import judge_unittests
from codewatt.evaluate.verdicts import Program
from codewatt.files import read_json


def references(path: Path, tasks: Sequence[UnittestTask], jobs: int) -> dict[str, ReferenceRun]:
    """The reference runs in the file, which is made if it is missing."""
    interpreter = benchmark_interpreter()
    environment = describe_environment(interpreter)
    if path.is_file():
        return read_references(path, tasks, environment)
    start_s = time.monotonic()
    runs = run_references(tasks, interpreter=interpreter, jobs=jobs)
    print(f"{len(runs)} reference programs: {time.monotonic() - start_s:.0f} s with {jobs} jobs")
    write_references(path, runs, tasks, environment)
    return runs


def compare_known(path: Path, column: str, runs: dict[str, ReferenceRun]) -> None:
    """Print the reference programs whose status is not the known one."""
    with path.open(newline="") as stream:
        known = {row["task_id"]: row[column] for row in csv.DictReader(stream)}
    for task_id, run in runs.items():
        if known[task_id] != run.status:
            print(f"{task_id}: known {known[task_id]}, found {run.status}: {run.why}")
    print(f"passed: {sum(run.excluded is None for run in runs.values())} of {len(runs)}")


def compare_recorded(
    path: Path,
    tasks: Sequence[UnittestTask],
    runs: dict[str, ReferenceRun],
    every: int,
    jobs: int,
) -> None:
    """Judge the programs of a result file, and print those with another status than recorded."""
    rows = [row for found in read_json(path)["eval"].values() for row in found][::every]
    start_s = time.monotonic()
    verdicts = judge_unittests(
        tasks,
        [Program(row["task_id"], row["solution"]) for row in rows],
        interpreter=benchmark_interpreter(),
        references=runs,
        jobs=jobs,
    )
    taken_s = time.monotonic() - start_s
    equal = excluded = 0
    for row, verdict in zip(rows, verdicts, strict=True):
        status = verdict.status("base")
        equal += status == row["status"]
        excluded += status is None
        if status not in (None, row["status"]):
            print(f"{row['task_id']}: recorded {row['status']}, found {status}: {verdict.why}")
    print(
        f"{path.name}: {len(rows)} programs in {taken_s:.0f} s with {jobs} jobs: {equal} equal, "
        f"{excluded} of excluded tasks"
    )


def main() -> None:
    """Parse the options, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--references", type=Path, required=True)
    parser.add_argument("--known", type=Path)
    parser.add_argument("--column", default="py310")
    parser.add_argument("--recorded", type=Path, nargs="*", default=[])
    parser.add_argument("--every", type=int, default=1, help="judge every n-th program")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    settings = {"path": str(args.dataset), "pinned": False}
    tasks = unittest_tasks(open_benchmark("bigcodebench").tasks(settings))
    runs = references(args.references, tasks, args.jobs)
    if args.known is not None:
        compare_known(args.known, args.column, runs)
    for path in args.recorded:
        compare_recorded(path, tasks, runs, args.every, args.jobs)


if __name__ == "__main__":
    main()
