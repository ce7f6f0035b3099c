"""Make a variant."""

import importlib
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
    # By name, so that the weights do not go stale when the computation of joules changes: the
    # telemetry is kept, and the figure can be computed from it anew.
    cost = importlib.import_module("codewatt.energy.measure").cost_of(manifest)
    finish(snakemake, snakemake.output.manifest, {**manifest, **cost})
