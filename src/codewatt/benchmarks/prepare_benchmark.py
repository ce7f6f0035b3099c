"""Finds a benchmark by name, and writes its tasks and its manifest."""

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import codewatt.benchmarks
from codewatt.benchmarks.benchmark import Benchmark
from codewatt.benchmarks.benchmark_record import BenchmarkRecord, BenchmarkSettings
from codewatt.benchmarks.tasks import write_tasks
from codewatt.errors import CodewattError
from codewatt.files import sha256_file

_SUFFIX = "_benchmark"


def benchmark_names() -> list[str]:
    """Names of all benchmarks: those with a module NAME_benchmark in this package."""
    modules = {module.name for module in pkgutil.iter_modules(codewatt.benchmarks.__path__)}
    modules.discard(Path(__file__).stem)  # named after its rule; it only looks like a benchmark
    return sorted(name.removesuffix(_SUFFIX) for name in modules if name.endswith(_SUFFIX))


def open_benchmark(kind: str) -> Benchmark:
    """The benchmark of a name.

    Raises:
        CodewattError: there is no such benchmark.
    """
    if kind not in benchmark_names():
        raise CodewattError(
            f"benchmark {kind!r}: unknown benchmark; allowed: {', '.join(benchmark_names())}"
        )
    benchmark: Benchmark = importlib.import_module(f"codewatt.benchmarks.{kind}{_SUFFIX}").BENCHMARK
    return benchmark


def prepare_benchmark(
    settings: BenchmarkSettings, local_file: str | None, tasks_path: Path
) -> BenchmarkRecord:
    """Write the tasks of a benchmark.

    Args:
        settings: a study's benchmark without id and label.
        local_file: a local copy of the dataset; None to download or generate it.
        tasks_path: file to write.

    Returns:
        The benchmark's manifest: kind, number of tasks, digest, prompt format.

    Raises:
        CodewattError: see `Benchmark.tasks`.
    """
    chosen: dict[str, Any] = {key: value for key, value in settings.items() if key != "kind"}
    benchmark = open_benchmark(settings["kind"])
    if local_file is not None:
        chosen["path"] = local_file
    tasks = benchmark.tasks(chosen)
    write_tasks(tasks_path, tasks)
    return {
        "schema": 2,
        "kind": settings["kind"],
        "settings": settings,
        "tasks": len(tasks),
        "sha256": sha256_file(tasks_path),
        "prompt_format": benchmark.prompt_format(chosen).to_record(),
    }
