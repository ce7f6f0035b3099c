"""Draw the figures of the cell table."""

from pathlib import Path

import pandas as pd

from codewatt.logs import rule_log
from codewatt.plots import energy_by_precision, frontier, prompts, prune_depth, repetition
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    labels = read_settings(snakemake)["labels"]
    table = pd.read_parquet(snakemake.input.cells)
    figures = Path(snakemake.output.png[0]).parent
    for module in (energy_by_precision, prune_depth, repetition, frontier, prompts):
        module.plot(table, labels, figures / module.__name__.rpartition(".")[2])
