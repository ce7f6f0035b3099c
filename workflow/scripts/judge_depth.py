"""Count the tasks that a cell solved, to decide whether a deeper prune depth runs."""

from codewatt.evaluate.depth_record import DEPTH
from codewatt.evaluate.depth_verdict import count_solved_tasks
from codewatt.evaluate.evaluate_record import EVALUATE
from codewatt.logs import rule_log

with rule_log(snakemake):
    evaluate = EVALUATE.read(snakemake.input.evaluate)
    DEPTH.write(snakemake.output.depth, count_solved_tasks(snakemake.wildcards.cell, evaluate))
