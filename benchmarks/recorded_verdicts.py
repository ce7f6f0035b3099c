"""Judges the solutions of EvalPlus's result files again and lists the verdicts that differ.

Also judges the reference solution of every task, which must pass.

    python benchmarks/recorded_verdicts.py --benchmark mbpp_plus --dataset MbppPlus.jsonl.gz \
        model_eval_results.json.gz ...
"""

import argparse
import time
from collections import Counter
from pathlib import Path

from codewatt.benchmarks.prepare_benchmark import open_benchmark
from codewatt.benchmarks.tasks import SUITES, function_tasks
from codewatt.evaluate.judge import judge
from codewatt.evaluate.parallel_jobs import default_jobs
from codewatt.evaluate.reference_programs import compute_expected
from codewatt.evaluate.verdicts import PASS, Program
from codewatt.files import read_json


def main() -> None:
    """Judge the files of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmark", required=True, help="name of the benchmark")
    parser.add_argument("--dataset", required=True, type=Path, help="its pinned file")
    parser.add_argument("--jobs", type=int, default=default_jobs(), help="sandboxes at a time")
    parser.add_argument("results", nargs="+", type=Path, help="result files of EvalPlus")
    given = parser.parse_args()
    tasks = function_tasks(open_benchmark(given.benchmark).tasks({"path": str(given.dataset)}))
    start_s = time.monotonic()
    expected = compute_expected(tasks, jobs=given.jobs)
    print(f"expected outputs of {len(tasks)} tasks: {time.monotonic() - start_s:.0f} s")

    references = [Program(task.task_id, task.reference_program) for task in tasks]
    start_s = time.monotonic()
    verdicts = judge(tasks, expected, references, jobs=given.jobs)
    right = sum(verdict.base.status == verdict.plus.status == PASS for verdict in verdicts)
    taken_s = time.monotonic() - start_s
    print(f"reference solutions that pass: {right} of {len(references)} ({taken_s:.0f} s)")
    for verdict in verdicts:
        if verdict.why is not None:
            print(f"  {verdict.task_id}: {verdict.why}")

    for path in given.results:
        rows = [row for found in read_json(path)["eval"].values() for row in found]
        programs = [Program(row["task_id"], row["solution"]) for row in rows]
        start_s = time.monotonic()
        verdicts = judge(tasks, expected, programs, jobs=given.jobs)
        taken_s = time.monotonic() - start_s
        equal: Counter[str] = Counter()
        differing = []
        for row, verdict in zip(rows, verdicts, strict=True):
            for name, suite in zip(SUITES, (verdict.base, verdict.plus), strict=True):
                recorded = row[f"{name}_status"]
                equal[name] += recorded == suite.status
                if recorded != suite.status:
                    differing.append(
                        f"  {verdict.task_id} {name}: recorded {recorded} on "
                        f"{str(row[f'{name}_fail_tests'])[:70]}, here {suite.status} ({suite.why})"
                    )
        counts = ", ".join(f"{name} {equal[name]} of {len(rows)}" for name in SUITES)
        print(f"{path.name}: equal verdicts: {counts} ({taken_s:.0f} s)")
        print("\n".join(differing), end="\n" if differing else "")


if __name__ == "__main__":
    main()
