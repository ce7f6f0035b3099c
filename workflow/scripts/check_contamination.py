"""Check that a corpus contains no task of a benchmark."""

from pathlib import Path

from codewatt.corpora.prepare_corpus import check_contamination
from codewatt.files import write_json
from codewatt.logs import rule_log
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    settings, files = read_settings(snakemake), snakemake.input
    found = check_contamination(
        settings["corpus"], Path(files.documents), settings["benchmark"], Path(files.tasks)
    )
    write_json(snakemake.output.contamination, found)
