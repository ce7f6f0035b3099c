"""Write a corpus's documents."""

from pathlib import Path

from codewatt.corpora.prepare_corpus import prepare_corpus
from codewatt.files import write_json
from codewatt.logs import rule_log
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    out = snakemake.output
    manifest = prepare_corpus(read_settings(snakemake), Path(out.documents))
    # Without host and time: if the same documents are prepared again, no variant becomes stale.
    write_json(out.manifest, manifest)
