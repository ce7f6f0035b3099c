"""Write a benchmark's tasks."""

from pathlib import Path

from codewatt.benchmarks.benchmark_record import BENCHMARK
from codewatt.benchmarks.prepare_benchmark import prepare_benchmark
from codewatt.logs import rule_log
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    settings = read_settings(snakemake)
    local_file = snakemake.config.get("benchmark_files", {}).get(settings["kind"])
    manifest = prepare_benchmark(settings, local_file, Path(snakemake.output.tasks))
    # Without host and time: if the same tasks are prepared again, no cell becomes stale.
    BENCHMARK.write(snakemake.output.manifest, manifest)
