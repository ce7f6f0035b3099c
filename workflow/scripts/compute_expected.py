"""What a benchmark's reference solutions answer."""

from codewatt.benchmarks.tasks import function_tasks, read_tasks
from codewatt.evaluate.outputs.expected_outputs import write_expected
from codewatt.evaluate.parallel_jobs import jobs_for_cores
from codewatt.evaluate.reference_programs import compute_expected
from codewatt.logs import rule_log

with rule_log(snakemake):
    tasks = function_tasks(read_tasks(snakemake.input.tasks))
    expected = compute_expected(tasks, jobs=jobs_for_cores(snakemake.threads))
    write_expected(snakemake.output.expected, expected, tasks)
