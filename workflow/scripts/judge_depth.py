"""Say whether a cell solved any task."""

from codewatt.evaluate.depth_verdict import count_solved_tasks
from codewatt.evaluate.evaluate_record import EVALUATE
from codewatt.files import write_json
from codewatt.logs import rule_log

with rule_log(snakemake):
    evaluate = EVALUATE.read(snakemake.input.evaluate)
    write_json(snakemake.output.depth, count_solved_tasks(snakemake.wildcards.cell, evaluate))
