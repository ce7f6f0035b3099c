"""`codewatt evaluate`: judges completions that somebody else generated."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codewatt.benchmarks.benchmark import Benchmark, Task
from codewatt.benchmarks.humaneval_plus_benchmark import (
    HumanEvalPlus,
    cache_directory,
    unpacked_digests,
)
from codewatt.error_messages import printable
from codewatt.errors import CodewattError
from codewatt.evaluate.eval_results import eval_results, pass_at_k_table, write_eval_results
from codewatt.evaluate.evaluate_cell import programs_of
from codewatt.evaluate.expected_outputs import Expected, cached_expected, compute_expected
from codewatt.evaluate.judge import judge
from codewatt.evaluate.sample_files import Sample, read_samples
from codewatt.evaluate.sandbox_probe import require_sandbox
from codewatt.evaluate.sandbox_workers import default_jobs
from codewatt.files import require_room
from codewatt.untrusted_files import expand_home

#: More than expected outputs take.
_CACHE_BYTES = 16 << 20

BENCHMARKS: dict[str, type[Benchmark]] = {HumanEvalPlus.name: HumanEvalPlus}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    parser.description = "Judge completions by EvalPlus's rules, inside a sandbox."
    parser.add_argument("--benchmark", required=True, choices=sorted(BENCHMARKS))
    parser.add_argument(
        "--dataset", required=True, metavar="FILE", help="the benchmark's tasks (.jsonl, .jsonl.gz)"
    )
    parser.add_argument(
        "--samples",
        required=True,
        metavar="PATH",
        help="as EvalPlus takes them: JSON lines (.jsonl, .jsonl.gz) with task_id, and solution or "
        "completion; or a directory of programs (HumanEval_0/0.py)",
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="EvalPlus's result file (.json, .json.gz)"
    )
    parser.add_argument(
        "--sanitize", action="store_true", help="pass the completions through EvalPlus's sanitiser"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="programs that run at the same time (default: one for each usable core)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command with parsed options; the exit code."""
    dataset, samples, out = map(expand_home, (args.dataset, args.samples, args.out))
    jobs = default_jobs() if args.jobs is None else args.jobs
    return evaluate_file(args.benchmark, dataset, samples, out, args.sanitize, jobs)


def evaluate_file(
    benchmark: str,
    dataset: str | Path,
    samples: str | Path,
    out: str | Path,
    sanitize: bool,
    jobs: int,
) -> int:
    """Judge a file or directory of samples, write EvalPlus's result file, print pass@1.

    Whether the result file can be written is found out before anything is judged. Expected outputs
    are kept in the cache between calls, where there is one; results never are.

    Raises:
        CodewattError: an input is missing or wrong, the result file cannot be written, or the
            sandbox cannot be set up.
    """
    if benchmark not in BENCHMARKS:
        raise CodewattError(f"benchmark {benchmark!r}: allowed: {', '.join(sorted(BENCHMARKS))}")
    md5 = unpacked_digests(dataset)["md5"]
    tasks = BENCHMARKS[benchmark]().tasks({"path": str(dataset), "pinned": False})
    rows = read_samples(samples, tasks)
    require_room(out, _size_bytes(rows, tasks))
    require_sandbox()
    expected = _expected(tasks, jobs)
    programs = programs_of(rows, tasks, sanitize=sanitize, jobs=jobs)
    with _Progress("judging", len(programs)) as progress:
        verdicts = judge(tasks, expected, programs, jobs=jobs, on_done=progress.reach)
    results = eval_results(tasks, programs, verdicts, md5)
    table = pass_at_k_table(verdicts, [1])
    try:
        _save(out, results)
    finally:  # what was judged is told in any case
        print(f"pass@1: base {table['base']['1']:.3f}, plus {table['plus']['1']:.3f}")
    return 0


def _size_bytes(samples: Sequence[Sample], tasks: Sequence[Task]) -> int:
    """About how large the result file becomes: each program, and an input that it failed on."""
    longest = max(len(json.dumps(test)) for task in tasks for test in [[], *task.base_input])
    return sum(2 * len(sample.solution) + longest + 300 for sample in samples)


def _expected(tasks: list[Task], jobs: int) -> Expected:
    """Expected outputs, from the cache where there is one that can be written."""
    try:
        cache: Path | None = cache_directory()
        require_room(cache_directory() / "expected.json.gz", _CACHE_BYTES)
    except CodewattError as error:
        cache = None
        print(f"codewatt: nothing is cached: {printable(error)}", file=sys.stderr)
    with _Progress("expected outputs", len(tasks)) as progress:
        if cache is None:
            return compute_expected(tasks, jobs=jobs, on_done=lambda _: progress.advance())
        return cached_expected(tasks, cache, jobs=jobs, on_done=lambda _: progress.advance())


def _save(out: str | Path, results: dict[str, Any]) -> None:
    """Write the result file; where that is no longer possible, somewhere else.

    Raises:
        CodewattError: the file could not be written; it names the file in which the results are.
    """
    try:
        write_eval_results(out, results)
    except CodewattError as error:
        kept = _kept(Path(out).name, results)
        where = f"the results are in {kept}" if kept else "the results are lost"
        raise CodewattError(f"{error}; {where}") from None


def _kept(name: str, results: dict[str, Any]) -> Path | None:
    """Where results could be written after all; None if nowhere."""
    for folder in (Path.cwd(), Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/dev/shm")):
        try:
            path = Path(tempfile.mkdtemp(prefix="codewatt-", dir=folder)) / name
            write_eval_results(path, results)
        except (OSError, CodewattError):
            continue
        return path
    return None


class _Progress:
    """A progress bar on stderr, there from the first step on."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total

    def __enter__(self) -> "_Progress":
        from tqdm import tqdm

        self._bar = tqdm(total=self._total, desc=self._what, file=sys.stderr, leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self) -> None:
        """One more is done."""
        self._bar.update(1)

    def reach(self, done: int) -> None:
        """So many are done."""
        self._bar.update(done - self._bar.n)
