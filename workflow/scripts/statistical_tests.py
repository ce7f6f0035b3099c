"""Run the statistical tests of the reproduced studies on the tables of this study."""

from codewatt.analysis.statistical_tests.make_tables import make_statistical_tests
from codewatt.logs import rule_log

with rule_log(snakemake):
    make_statistical_tests(
        snakemake.input.cells,
        snakemake.input.runs,
        snakemake.input.tasks,
        dict(snakemake.output.items()),
    )
