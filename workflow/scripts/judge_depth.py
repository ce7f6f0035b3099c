"""Say whether a cell solved anything."""

from codewatt.evaluate.depth_verdict import judge_depth
from codewatt.files import read_json, write_json
from codewatt.logs import rule_log

with rule_log(snakemake):
    evaluate = read_json(snakemake.input.evaluate)
    write_json(snakemake.output.depth, judge_depth(snakemake.wildcards.cell, evaluate))
