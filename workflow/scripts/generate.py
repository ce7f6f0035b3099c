"""Generate a cell's completions, metered."""

from pathlib import Path

from codewatt.generate.stage import CellFiles, generate_cell
from codewatt.logs import rule_log
from codewatt.results import finish, read_settings

with rule_log(snakemake):
    out = snakemake.output
    manifest = generate_cell(
        read_settings(snakemake),
        Path(snakemake.input.variant),
        Path(snakemake.input.benchmark),
        Path(snakemake.input.tasks),
        CellFiles(Path(out.completions), Path(out.tasks), Path(out.timeline)),
        snakemake.threads,
    )
    finish(snakemake, out.manifest, manifest)
