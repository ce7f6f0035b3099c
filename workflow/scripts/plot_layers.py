"""Draw the figure of layer scores."""

from pathlib import Path

from codewatt.files import read_json
from codewatt.logs import rule_log
from codewatt.plots import layer_scores
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    layer_scores.plot(
        [read_json(path) for path in snakemake.input.scores],
        read_settings(snakemake)["labels"],
        Path(snakemake.output.png).with_suffix(""),
    )
