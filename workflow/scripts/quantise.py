"""Make a variant."""

from pathlib import Path

from codewatt.logs import rule_log
from codewatt.quantise.stage import quantise_variant
from codewatt.results import finish, read_settings

with rule_log(snakemake):
    params = snakemake.params
    manifest = quantise_variant(
        read_settings(snakemake),
        Path(snakemake.input.model),
        Path(params.weights),
        Path(params.timeline),
    )
    finish(snakemake, snakemake.output.manifest, manifest)
