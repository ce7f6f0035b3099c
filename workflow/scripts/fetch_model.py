"""Download or locate a model's weights, or make random ones."""

from pathlib import Path

from codewatt.logs import rule_log
from codewatt.models.fetch import fetch_model
from codewatt.models.model_record import MODEL
from codewatt.rule_io import read_settings, write_record

with rule_log(snakemake):
    manifest = fetch_model(read_settings(snakemake), Path(snakemake.params.weights))
    write_record(snakemake, snakemake.output.manifest, MODEL, manifest)
