"""Draw the figures by domain of the tasks."""

from pathlib import Path

import pandas as pd

from codewatt.logs import rule_log
from codewatt.plots.table_figures import plot_figure
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    labels = read_settings(snakemake)["labels"]
    tables = {name: pd.read_parquet(path) for name, path in snakemake.input.items()}
    for path in snakemake.output.png:
        plot_figure(tables, labels, Path(path).with_suffix(""))
