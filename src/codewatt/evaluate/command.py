"""`codewatt evaluate`: judges completions that somebody else generated."""

import argparse
import sys
from pathlib import Path

from codewatt.benchmarks.base import Benchmark
from codewatt.benchmarks.humaneval_plus import HumanEvalPlus, cache_directory, unpacked_digests
from codewatt.errors import CodewattError
from codewatt.evaluate.expected import cached_expected
from codewatt.evaluate.judge import judge
from codewatt.evaluate.probe import require_sandbox
from codewatt.evaluate.results import eval_results, pass_at_k_table, write_eval_results
from codewatt.evaluate.samples import read_samples
from codewatt.evaluate.stage import programs_of
from codewatt.evaluate.workers import default_jobs

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
        metavar="FILE",
        help="EvalPlus's JSON lines (.jsonl, .jsonl.gz): task_id, and solution or completion",
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
        default=default_jobs(),
        metavar="N",
        help="programs at a time (default: one for each usable core, here %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command with parsed options; the exit code."""
    return evaluate_file(
        args.benchmark, args.dataset, args.samples, args.out, args.sanitize, args.jobs
    )


def evaluate_file(
    benchmark: str,
    dataset: str | Path,
    samples: str | Path,
    out: str | Path,
    sanitize: bool,
    jobs: int,
) -> int:
    """Judge a file of samples, write EvalPlus's result file, print pass@1.

    Expected outputs are kept in the cache between calls; results never are.

    Raises:
        CodewattError: an input is missing or wrong, or the sandbox cannot be set up.
    """
    if benchmark not in BENCHMARKS:
        raise CodewattError(f"benchmark {benchmark!r}: allowed: {', '.join(sorted(BENCHMARKS))}")
    require_sandbox()
    tasks = BENCHMARKS[benchmark]().tasks({"path": str(dataset), "pinned": False})
    rows = read_samples(samples, tasks)
    with _Progress("expected outputs", len(tasks)) as progress:
        expected = cached_expected(
            tasks, cache_directory(), jobs=jobs, on_done=lambda _: progress.advance()
        )
    programs = programs_of(rows, tasks, sanitize=sanitize, jobs=jobs)
    with _Progress("judging", len(programs)) as progress:
        verdicts = judge(tasks, expected, programs, jobs=jobs, on_done=progress.reach)
    results = eval_results(tasks, programs, verdicts, unpacked_digests(dataset)["md5"])
    write_eval_results(out, results)
    table = pass_at_k_table(verdicts, [1])
    print(f"pass@1: base {table['base']['1']:.3f}, plus {table['plus']['1']:.3f}")
    return 0


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
