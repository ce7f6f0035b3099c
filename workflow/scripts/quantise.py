"""Make a variant."""

from pathlib import Path

from codewatt.logs import rule_log
from codewatt.quantise.stage import quantise_variant
from codewatt.results import finish, read_settings

with rule_log(snakemake):
    settings, params = read_settings(snakemake), snakemake.params
    manifest = quantise_variant(
        settings,
        Path(snakemake.input.model),
        [Path(path) for path in snakemake.input.texts],
        Path(params.weights),
        Path(params.timeline),
    )
    finish(snakemake, snakemake.output.manifest, manifest)
