"""Make a variant."""

from pathlib import Path

from codewatt.logs import rule_log
from codewatt.quantise.stage import quantise_variant
from codewatt.results import finish, read_settings

with rule_log(snakemake):
    manifest = quantise_variant(
        read_settings(snakemake),
        Path(snakemake.input.model),
        Path(snakemake.params.weights),
        Path(snakemake.output.timeline),
    )
    finish(snakemake, snakemake.output.manifest, manifest)
