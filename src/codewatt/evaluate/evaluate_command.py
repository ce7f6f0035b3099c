"""`codewatt evaluate`: judges completions that were generated elsewhere."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codewatt.benchmarks.bigcodebench_benchmark import SPLITS, SUBSETS, BigCodeBench
from codewatt.benchmarks.dataset_files import unpacked_digests
from codewatt.benchmarks.prepare_benchmark import benchmark_names, open_benchmark
from codewatt.benchmarks.tasks import FunctionTask, function_tasks
from codewatt.cache_directory import cache_directory
from codewatt.error_messages import printable
from codewatt.errors import CodewattError
from codewatt.evaluate.eval_results import eval_results, pass_at_k_table, write_eval_results
from codewatt.evaluate.evaluate_bigcodebench import (
    BigCodeBenchOptions,
    judge_bigcodebench,
    pass_at_k_path,
    summary_lines,
)
from codewatt.evaluate.evaluate_cell import programs_to_judge
from codewatt.evaluate.judge import judge
from codewatt.evaluate.outputs.expected_outputs import ExpectedOutputs
from codewatt.evaluate.parallel_jobs import default_jobs
from codewatt.evaluate.reference_programs import cached_expected, compute_expected
from codewatt.evaluate.sample_files import Sample, read_samples
from codewatt.evaluate.sandbox.sandbox_probe import require_sandbox
from codewatt.files import check_writable
from codewatt.untrusted_files import expand_home

#: Upper bound of the size of a file of expected outputs.
_CACHE_BYTES = 16 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `codewatt evaluate` to a parser."""
    parser.description = (
        "Judge completions by the rules of EvalPlus (HumanEval+, MBPP+) or of BigCodeBench, each "
        "in a sandbox."
    )
    parser.add_argument("--benchmark", required=True, choices=_judged_benchmarks())
    parser.add_argument(
        "--dataset",
        required=True,
        metavar="FILE",
        help="the benchmark's tasks (.jsonl or .jsonl.gz; BigCodeBench also .parquet)",
    )
    parser.add_argument(
        "--samples",
        required=True,
        metavar="PATH",
        help="completions in the format of EvalPlus and BigCodeBench: JSON lines (.jsonl or "
        ".jsonl.gz) with task_id and solution or completion, or a directory of programs "
        "(HumanEval_0/0.py)",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="result file in the benchmark's own format (.json or .json.gz); for BigCodeBench, "
        "pass@k is written beside it (NAME_eval_results.json, NAME_pass_at_k.json)",
    )
    parser.add_argument(
        "--sanitize",
        action="store_true",
        help="apply the sanitiser of the benchmark's own evaluator to the completions",
    )
    parser.add_argument(
        "--calibrate",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="BigCodeBench: begin each program with the task's imports and signature, as its "
        "evaluator does by default",
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default=SPLITS[0],
        help="BigCodeBench: the split that the completions are of; noted in the file of pass@k",
    )
    parser.add_argument(
        "--subset",
        choices=SUBSETS,
        default=SUBSETS[0],
        help="BigCodeBench: hard judges the 148 tasks of BigCodeBench-Hard only",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="number of parallel sandboxes (default: one for each usable core)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command with parsed options; returns the exit code."""
    dataset, samples, out = map(expand_home, (args.dataset, args.samples, args.out))
    jobs = default_jobs() if args.jobs is None else args.jobs
    if args.benchmark == BigCodeBench.name:
        options = BigCodeBenchOptions(args.split, args.subset, args.sanitize, args.calibrate, jobs)
        return evaluate_bigcodebench_file(Path(dataset), Path(samples), Path(out), options)
    return evaluate_file(args.benchmark, dataset, samples, out, args.sanitize, jobs)


def evaluate_bigcodebench_file(
    dataset: Path, samples: Path, out: Path, options: BigCodeBenchOptions
) -> int:
    """Judge samples of BigCodeBench, write its two result files, print pass@k.

    Args and Raises: see `judge_bigcodebench`.

    Returns:
        The exit code, 0.
    """
    results, table = judge_bigcodebench(dataset, samples, out, options, _Progress)
    try:
        _write_results(out, results)
        _write_results(pass_at_k_path(out), table)
    finally:  # print the result even if a file could not be written
        tasks = len(results["eval"]) + len(table["failed_tasks"])
        for line in summary_lines(table, table["failed_tasks"], tasks):
            print(line)
    return 0


def evaluate_file(
    benchmark: str,
    dataset: str | Path,
    samples: str | Path,
    out: str | Path,
    sanitize: bool,
    jobs: int,
) -> int:
    """Judge samples, write EvalPlus's result file, print pass@1.

    Whether the result file can be written is tested before any program is judged. Expected outputs
    are cached between calls if a cache directory exists; results are not.

    Args:
        benchmark: name of the benchmark.
        dataset: file of its tasks.
        samples: file or directory of completions.
        out: result file.
        sanitize: whether to apply EvalPlus's sanitiser.
        jobs: number of parallel sandboxes.

    Returns:
        The exit code, 0.

    Raises:
        CodewattError: an input is missing or wrong, the result file cannot be written, or the
            sandbox cannot be started.
    """
    if benchmark not in _judged_benchmarks():
        allowed = ", ".join(_judged_benchmarks())
        raise CodewattError(f"--benchmark {benchmark!r}: unknown benchmark; allowed: {allowed}")
    md5 = unpacked_digests(dataset)["md5"]
    tasks = function_tasks(open_benchmark(benchmark).tasks({"path": str(dataset), "pinned": False}))
    rows = read_samples(samples, tasks)
    check_writable(out, _size_bytes(rows, tasks))
    require_sandbox()
    expected = _expected(tasks, jobs)
    programs = programs_to_judge(rows, tasks, sanitize=sanitize, jobs=jobs)
    with _Progress("judging", len(programs)) as progress:
        verdicts = judge(tasks, expected, programs, jobs=jobs, on_done=progress.set_done)
    results = eval_results(tasks, programs, verdicts, md5)
    table = pass_at_k_table(verdicts, [1])
    try:
        _write_results(out, results)
    finally:  # print the result even if the file could not be written
        print(f"pass@1: base {table['base']['1']:.3f}, plus {table['plus']['1']:.3f}")
    return 0


def _judged_benchmarks() -> list[str]:
    """Names of the benchmarks whose dataset files this command reads."""
    return [name for name in benchmark_names() if open_benchmark(name).judges_files]


def _size_bytes(samples: Sequence[Sample], tasks: Sequence[FunctionTask]) -> int:
    """Approximate size of the result file: each program and the input of its failed test."""
    longest = max(len(json.dumps(test)) for task in tasks for test in [[], *task.base_input])
    return sum(2 * len(sample.solution) + longest + 300 for sample in samples)


def _expected(tasks: list[FunctionTask], jobs: int) -> ExpectedOutputs:
    """Expected outputs, from the cache directory if that is writable."""
    try:
        cache: Path | None = cache_directory()
        check_writable(cache_directory() / "expected.json.gz", _CACHE_BYTES)
    except CodewattError as error:
        cache = None
        print(f"codewatt: expected outputs are not cached: {printable(error)}", file=sys.stderr)
    with _Progress("expected outputs", len(tasks)) as progress:
        if cache is None:
            return compute_expected(tasks, jobs=jobs, on_done=lambda _: progress.advance())
        return cached_expected(tasks, cache, jobs=jobs, on_done=lambda _: progress.advance())


def _write_results(out: str | Path, results: dict[str, Any]) -> None:
    """Write the result file; if that has become impossible, write it elsewhere.

    Raises:
        CodewattError: the result file could not be written; the message names the other file.
    """
    try:
        write_eval_results(out, results)
    except CodewattError as error:
        kept = _write_elsewhere(Path(out).name, results)
        where = f"the results were written to {kept}" if kept else "the results are lost"
        raise CodewattError(f"{error}; {where}") from None


def _write_elsewhere(name: str, results: dict[str, Any]) -> Path | None:
    """Write the results to another directory; returns the file, or None if none is writable."""
    for folder in (Path.cwd(), Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/dev/shm")):
        try:
            path = Path(tempfile.mkdtemp(prefix="codewatt-", dir=folder)) / name
            write_eval_results(path, results)
        except (OSError, CodewattError):
            continue
        return path
    return None


class _Progress:
    """A progress bar on stderr."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total

    def __enter__(self) -> "_Progress":
        from tqdm import tqdm

        self._bar = tqdm(total=self._total, desc=self._what, file=sys.stderr, leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self) -> None:
        """Count one more finished item."""
        self._bar.update(1)

    def set_done(self, done: int) -> None:
        """Set the number of finished items."""
        self._bar.update(done - self._bar.n)
