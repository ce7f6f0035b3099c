"""Score a model's layers."""

from pathlib import Path

from codewatt.logs import rule_log
from codewatt.prune.stage import score_layers
from codewatt.results import finish, read_settings

with rule_log(snakemake):
    inputs = snakemake.input
    scores = score_layers(
        read_settings(snakemake),
        Path(inputs.model),
        Path(inputs.text),
        Path(snakemake.params.timeline),
    )
    finish(snakemake, snakemake.output.scores, scores)
