"""Run the A/A test: halves of the repeats, and baseline cells that ran twice."""

from codewatt.analysis.aa_test import aa_test
from codewatt.logs import rule_log
from codewatt.rule_io import read_settings

with rule_log(snakemake):
    settings = read_settings(snakemake)
    names = [*settings["cells"], *(twin for _, twin in settings["twins"])]
    files = [*snakemake.input.energy, *snakemake.input.again]
    energies = dict(zip(names, files, strict=True))
    twins = dict(settings["twins"])
    aa_test(settings["cells"], twins, energies, settings["margin"], snakemake.output.table)
