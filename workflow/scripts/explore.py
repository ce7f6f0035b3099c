"""Write the explorer."""

from pathlib import Path

from codewatt.explorer.build_explorer import write_explorer
from codewatt.logs import rule_log
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    settings = read_settings(snakemake)
    write_explorer(
        {Path(path).stem: Path(path) for path in snakemake.input.tables},
        settings["labels"],
        Path(snakemake.output.page),
        title=settings["title"],
    )
