"""Preparing a benchmark: its tasks as one file, and what generation must know of it."""

import importlib
from pathlib import Path
from typing import Any

from codewatt.benchmarks.benchmark import Benchmark, write_tasks
from codewatt.errors import CodewattError
from codewatt.files import sha256_file


def open_benchmark(kind: str) -> Benchmark:
    """The benchmark of that name: the module of that name in this package."""
    try:
        module = importlib.import_module(f"codewatt.benchmarks.{kind}_benchmark")
    except ModuleNotFoundError:
        raise CodewattError(f"benchmark {kind!r}: there is no such benchmark") from None
    benchmark: Benchmark = module.BENCHMARK
    return benchmark


def prepare_benchmark(
    settings: dict[str, Any], local_file: str | None, tasks_path: Path
) -> dict[str, Any]:
    """Write a benchmark's tasks and describe them.

    Args:
        settings: a study's benchmark without id and label.
        local_file: a copy at hand, checked against the pinned digest; None to fetch or make it.
        tasks_path: where the tasks are written.

    Returns:
        The benchmark's manifest: kind, number of tasks, digest, stop strings.
    """
    chosen = {key: value for key, value in settings.items() if key != "kind"}
    benchmark = open_benchmark(settings["kind"])
    if local_file is not None:
        chosen["path"] = local_file
    tasks = benchmark.tasks(chosen)
    write_tasks(tasks_path, tasks)
    return {
        "schema": 1,
        "kind": settings["kind"],
        "settings": settings,
        "tasks": len(tasks),
        "sha256": sha256_file(tasks_path),
        "stop_strings": list(benchmark.stop_strings),
    }
