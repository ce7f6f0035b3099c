"""What a benchmark's reference solutions answer."""

from codewatt.benchmarks.base import read_tasks
from codewatt.evaluate.expected import compute_expected, write_expected
from codewatt.evaluate.workers import MAX_JOBS
from codewatt.logs import rule_log

with rule_log(snakemake):
    tasks = read_tasks(snakemake.input.tasks)
    expected = compute_expected(tasks, jobs=min(snakemake.threads, MAX_JOBS))
    write_expected(snakemake.output.expected, expected, tasks)
