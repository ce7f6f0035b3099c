"""Compare a variant with the baseline of its model."""

from pathlib import Path

from codewatt.energy.placement import asked_hardware
from codewatt.logs import rule_log
from codewatt.recovery.stage import RecoveryFiles, measure_recovery
from codewatt.results import finish, read_settings

with rule_log(snakemake):
    settings, files = read_settings(snakemake), snakemake.input
    found = measure_recovery(
        settings,
        RecoveryFiles(
            Path(files.variant),
            next(map(Path, files.baseline), None),
            Path(files.documents),
            [Path(path) for path in files.calibration],
        ),
        snakemake.threads,
        asked_hardware(snakemake.config.get("machine", {}), settings["hardware"]),
    )
    finish(snakemake, snakemake.output.recovery, found)
