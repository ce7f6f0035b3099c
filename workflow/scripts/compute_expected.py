"""Run a benchmark's reference programs; keep their outputs or the results of their unit tests."""

from codewatt.benchmarks.tasks import read_tasks
from codewatt.evaluate.expected_file import write_expected_file
from codewatt.evaluate.parallel_jobs import jobs_for_cores
from codewatt.logs import rule_log

with rule_log(snakemake):
    tasks = read_tasks(snakemake.input.tasks)
    jobs = jobs_for_cores(snakemake.threads)
    python = snakemake.config.get("bigcodebench_python")
    write_expected_file(snakemake.output.expected, tasks, jobs=jobs, python=python)
