"""Generate a cell's completions and record telemetry for its energy."""

from pathlib import Path

from codewatt.energy.placement_check import requested_hardware
from codewatt.generate.generate_cell import CellFiles, generate_cell
from codewatt.generate.generate_record import GENERATE
from codewatt.generate.kept_cells import MadeFrom, keep_cell, restore_cell
from codewatt.logs import rule_log
from codewatt.rule_io import read_settings, write_record

with rule_log(snakemake) as log:
    settings, out = read_settings(snakemake), snakemake.output
    files = CellFiles(Path(out.completions), Path(out.tasks), Path(out.timeline))
    outputs = [files.completions, files.tasks, files.timeline, Path(out.manifest)]
    params = snakemake.params
    made_from = MadeFrom.of(params.settings, params.code, snakemake.input)
    if restore_cell(outputs, made_from):
        log.info("measured by an earlier attempt, whose job or run ended; taken over")
    else:
        manifest = generate_cell(
            settings,
            Path(snakemake.input.variant),
            Path(snakemake.input.benchmark),
            Path(snakemake.input.tasks),
            files,
            snakemake.threads,
            requested_hardware(snakemake.config.get("machine", {}), settings["cell"]["hardware"]),
        )
        write_record(snakemake, out.manifest, GENERATE, manifest)
        keep_cell(outputs, made_from)
