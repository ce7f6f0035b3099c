"""Write a text's documents."""

from pathlib import Path

from codewatt.files import write_json
from codewatt.logs import rule_log
from codewatt.results import read_settings
from codewatt.texts.stage import prepare_text

with rule_log(snakemake):
    out = snakemake.output
    manifest = prepare_text(read_settings(snakemake), Path(out.documents))
    # Without where and when: prepared again with the same documents, no variant goes stale.
    write_json(out.manifest, manifest)
