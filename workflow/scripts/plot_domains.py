"""Draw the figure of domains."""

from pathlib import Path

import pandas as pd

from codewatt.logs import rule_log
from codewatt.plots import domains
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    domains.plot(
        pd.read_parquet(snakemake.input.domains),
        read_settings(snakemake)["labels"],
        Path(snakemake.output.png).with_suffix(""),
    )
