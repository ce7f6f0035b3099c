"""Generate a cell's completions and record telemetry for its energy."""

from pathlib import Path

from codewatt.energy.placement_check import requested_hardware
from codewatt.generate.generate_cell import CellFiles, generate_cell
from codewatt.generate.generate_record import GENERATE
from codewatt.logs import rule_log
from codewatt.rule_io import read_settings, write_record

with rule_log(snakemake):
    settings, out = read_settings(snakemake), snakemake.output
    manifest = generate_cell(
        settings,
        Path(snakemake.input.variant),
        Path(snakemake.input.benchmark),
        Path(snakemake.input.tasks),
        CellFiles(Path(out.completions), Path(out.tasks), Path(out.timeline)),
        snakemake.threads,
        requested_hardware(snakemake.config.get("machine", {}), settings["cell"]["hardware"]),
    )
    write_record(snakemake, out.manifest, GENERATE, manifest)
