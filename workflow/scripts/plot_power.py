"""Draw the figure of power over time."""

from pathlib import Path

import pandas as pd

from codewatt.energy.timeline_reader import read_timeline
from codewatt.generate.generate_record import GENERATE
from codewatt.logs import rule_log
from codewatt.plots import power_over_time
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    files = zip(snakemake.input.generate, snakemake.input.timelines, strict=True)
    power_over_time.plot(
        [
            power_over_time.MeteredCell(GENERATE.read(generate), read_timeline(timeline))
            for generate, timeline in files
        ],
        pd.read_parquet(snakemake.input.cells),
        read_settings(snakemake)["labels"],
        Path(snakemake.output.png).with_suffix(""),
    )
