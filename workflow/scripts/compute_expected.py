"""What a benchmark's reference solutions answer."""

from codewatt.benchmarks.benchmark import read_tasks
from codewatt.evaluate.expected_outputs import compute_expected, write_expected
from codewatt.evaluate.sandbox_workers import jobs_on
from codewatt.logs import rule_log

with rule_log(snakemake):
    tasks = read_tasks(snakemake.input.tasks)
    expected = compute_expected(tasks, jobs=jobs_on(snakemake.threads))
    write_expected(snakemake.output.expected, expected, tasks)
