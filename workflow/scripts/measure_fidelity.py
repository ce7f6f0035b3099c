"""Compare a variant with the baseline of its model."""

from pathlib import Path

from codewatt.energy.placement_check import requested_hardware
from codewatt.fidelity.fidelity_record import FIDELITY
from codewatt.fidelity.measure_fidelity import FidelityFiles, measure_fidelity
from codewatt.logs import rule_log
from codewatt.rule_io import read_settings, write_record

with rule_log(snakemake):
    settings, files = read_settings(snakemake), snakemake.input
    found = measure_fidelity(
        settings,
        FidelityFiles(
            Path(files.variant),
            next(map(Path, files.baseline), None),
            Path(files.documents),
            [Path(path) for path in files.calibration],
        ),
        snakemake.threads,
        requested_hardware(snakemake.config.get("machine", {}), settings["hardware"]),
    )
    write_record(snakemake, snakemake.output.fidelity, FIDELITY, found)
