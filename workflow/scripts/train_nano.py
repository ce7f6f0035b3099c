"""Train a nano model."""

from pathlib import Path

from codewatt.logs import rule_log
from codewatt.models.model_record import MODEL
from codewatt.nano.train_nano import train_nano_model
from codewatt.rule_io import read_settings, write_record

with rule_log(snakemake):
    settings = read_settings(snakemake)
    manifest = train_nano_model(settings, Path(snakemake.params.weights), snakemake.threads)
    write_record(snakemake, snakemake.output.manifest, MODEL, manifest)
