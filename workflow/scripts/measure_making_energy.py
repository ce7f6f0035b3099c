"""Compute the energy of making a variant from its raw telemetry."""

from codewatt.energy.energy_record import MAKING_ENERGY
from codewatt.energy.making_energy import measure_making
from codewatt.logs import rule_log
from codewatt.quantise.variant_record import VARIANT
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    files = snakemake.input
    record = measure_making(
        VARIANT.read(files.manifest),
        files.timeline,
        files.scores[0] if files.scores else None,
        files.scores_timeline[0] if files.scores_timeline else None,
        read_settings(snakemake),
    )
    MAKING_ENERGY.write(snakemake.output.energy, {**record, "code": list(snakemake.params.code)})
