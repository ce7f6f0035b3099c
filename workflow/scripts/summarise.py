"""Write the summary page."""

from pathlib import Path

import pandas as pd

from codewatt.analysis.summary import write_summary
from codewatt.analysis.tables import to_rows
from codewatt.generate.generate_record import GENERATE
from codewatt.logs import rule_log
from codewatt.provenance import provenance
from codewatt.published.study_section import StudyTables, study_section
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    settings = read_settings(snakemake)
    page = Path(snakemake.output.summary)
    cells = pd.read_parquet(snakemake.input.cells)
    variants = pd.read_parquet(snakemake.input.variants)
    domains = pd.read_parquet(snakemake.input.domains)
    comparisons = pd.read_parquet(snakemake.input.comparisons)
    write_summary(
        cells,
        variants,
        pd.read_parquet(snakemake.input.checks),
        settings["labels"],
        {Path(path).stem: Path(path) for path in snakemake.input.figures},
        provenance(),
        page,
        sessions=pd.read_parquet(snakemake.input.sessions),
        tests=pd.read_parquet(snakemake.input.tests),
        regressions=pd.read_parquet(snakemake.input.regressions),
        domains=domains,
        domain_comparisons=pd.read_parquet(snakemake.input.domain_comparisons),
        prompts=[GENERATE.read(path) for path in snakemake.input.generate],
        published=study_section(
            page.parent.name,
            StudyTables.of(*map(to_rows, (cells, comparisons, variants, domains))),
            snakemake.params.published or "",
        ),
        title=settings["title"],
    )
