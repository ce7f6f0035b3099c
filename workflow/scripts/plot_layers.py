"""Draw the figure of layer scores."""

from pathlib import Path

from codewatt.logs import rule_log
from codewatt.plots import layer_scores
from codewatt.prune.layer_scores_record import LAYER_SCORES
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    layer_scores.plot(
        [LAYER_SCORES.read(path) for path in snakemake.input.scores],
        read_settings(snakemake)["labels"],
        Path(snakemake.output.png).with_suffix(""),
    )
