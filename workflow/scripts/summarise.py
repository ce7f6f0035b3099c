"""Write the summary page."""

from pathlib import Path

import pandas as pd

from codewatt.analysis.summary import write_summary
from codewatt.generate.generate_record import GENERATE
from codewatt.logs import rule_log
from codewatt.provenance import provenance
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    settings = read_settings(snakemake)
    write_summary(
        pd.read_parquet(snakemake.input.cells),
        pd.read_parquet(snakemake.input.variants),
        pd.read_parquet(snakemake.input.checks),
        settings["labels"],
        {Path(path).stem: Path(path) for path in snakemake.input.figures},
        provenance(),
        Path(snakemake.output.summary),
        sessions=pd.read_parquet(snakemake.input.sessions),
        tests=pd.read_parquet(snakemake.input.tests),
        regressions=pd.read_parquet(snakemake.input.regressions),
        domains=pd.read_parquet(snakemake.input.domains),
        domain_comparisons=pd.read_parquet(snakemake.input.domain_comparisons),
        prompts=[GENERATE.read(path) for path in snakemake.input.generate],
        title=settings["title"],
    )
