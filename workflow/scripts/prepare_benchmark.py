"""Write a benchmark's tasks."""

from pathlib import Path

from codewatt.benchmarks.stage import prepare_benchmark
from codewatt.logs import rule_log
from codewatt.results import finish, read_settings

with rule_log(snakemake):
    settings = read_settings(snakemake)
    local_file = snakemake.config.get("benchmark_files", {}).get(settings["kind"])
    manifest = prepare_benchmark(settings, local_file, Path(snakemake.output.tasks))
    finish(snakemake, snakemake.output.manifest, manifest)
