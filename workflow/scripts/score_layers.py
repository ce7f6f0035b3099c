"""Score a model's layers."""

from pathlib import Path

from codewatt.energy.placement_check import requested_hardware
from codewatt.logs import rule_log
from codewatt.prune.layer_scores_record import LAYER_SCORES
from codewatt.prune.score_layers import score_layers
from codewatt.rule_io import read_settings, write_record

with rule_log(snakemake):
    settings, inputs = read_settings(snakemake), snakemake.input
    scores = score_layers(
        settings,
        Path(inputs.model),
        Path(inputs.corpus),
        Path(snakemake.output.timeline),
        requested_hardware(snakemake.config.get("machine", {}), settings["hardware"]),
    )
    write_record(snakemake, snakemake.output.scores, LAYER_SCORES, scores)
