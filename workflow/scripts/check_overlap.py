"""See that a text holds none of a benchmark's tasks."""

from pathlib import Path

from codewatt.files import write_json
from codewatt.logs import rule_log
from codewatt.results import read_settings
from codewatt.texts.stage import check_overlap

with rule_log(snakemake):
    settings, files = read_settings(snakemake), snakemake.input
    found = check_overlap(
        settings["text"], Path(files.documents), settings["benchmark"], Path(files.tasks)
    )
    write_json(snakemake.output.overlap, found)
