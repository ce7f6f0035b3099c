"""Make a variant: prune and quantise a model."""

from pathlib import Path

from codewatt.energy.placement_check import requested_hardware
from codewatt.logs import rule_log
from codewatt.quantise.quantise_variant import quantise_variant
from codewatt.quantise.variant_record import VARIANT
from codewatt.rule_io import read_settings, write_record

with rule_log(snakemake):
    settings, inputs, params = read_settings(snakemake), snakemake.input, snakemake.params
    manifest = quantise_variant(
        settings,
        Path(inputs.model),
        [Path(path) for path in inputs.corpora],
        Path(inputs.scores[0]) if inputs.scores else None,
        Path(params.weights),
        Path(snakemake.output.timeline),
        requested_hardware(snakemake.config.get("machine", {}), settings["hardware"]),
    )
    write_record(snakemake, snakemake.output.manifest, VARIANT, manifest)
