"""What a benchmark's reference programs answer, or what their unit tests say."""

from codewatt.benchmarks.tasks import read_tasks
from codewatt.evaluate.judging_rules import write_expected_file
from codewatt.evaluate.parallel_jobs import jobs_for_cores
from codewatt.logs import rule_log

with rule_log(snakemake):
    tasks = read_tasks(snakemake.input.tasks)
    jobs = jobs_for_cores(snakemake.threads)
    python = snakemake.config.get("bigcodebench_python")
    write_expected_file(snakemake.output.expected, tasks, jobs=jobs, python=python)
