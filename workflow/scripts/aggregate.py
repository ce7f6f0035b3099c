"""Make the tables of tasks, runs, sessions, cells, variants, domains and checks from all files."""

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.aggregate_inputs import cell_entries, variant_entries
from codewatt.analysis.changes import ComparisonSettings
from codewatt.logs import rule_log
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    settings = read_settings(snakemake)
    given = snakemake.input
    cells = cell_entries(settings, dict(given.items()))
    variants = variant_entries(settings, given.variants, given.making_energy, given.fidelity)
    out = dict(snakemake.output.items())
    comparisons = ComparisonSettings(**settings["comparisons"])
    aggregate(
        cells,
        variants,
        settings["baseline"],
        out,
        settings["boundary"],
        comparisons,
        settings["order_seed"],
    )
