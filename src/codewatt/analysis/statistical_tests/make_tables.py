"""Make the tables `statistical_test` and `regression` from the tables of a study."""

from collections.abc import Mapping
from os import PathLike

import pandas as pd

from codewatt.analysis.statistical_tests.columns import REGRESSION, STATISTICAL_TEST
from codewatt.analysis.statistical_tests.observations import read_observations
from codewatt.analysis.statistical_tests.regression_rows import regression_rows
from codewatt.analysis.statistical_tests.statistical_test_rows import statistical_test_rows
from codewatt.analysis.tables import to_table, write_csv, write_parquet


def make_statistical_tests(
    cells: str | PathLike[str],
    runs: str | PathLike[str],
    tasks: str | PathLike[str],
    out: Mapping[str, str | PathLike[str]],
) -> dict[str, pd.DataFrame]:
    """Run all tests and regressions of a study and write both tables.

    Args:
        cells, runs, tasks: the Parquet files of these tables.
        out: paths of "statistical_test" and "regression" (Parquet), "statistical_test_csv" and
            "regression_csv"; each may be absent.

    Returns:
        The tables by name.
    """
    observations = read_observations(cells, runs, tasks)
    tables = {
        "statistical_test": to_table(statistical_test_rows(observations), STATISTICAL_TEST),
        "regression": to_table(regression_rows(observations), REGRESSION),
    }
    for name, table in tables.items():
        if name in out:
            write_parquet(table, out[name])
        if f"{name}_csv" in out:
            write_csv(table, out[f"{name}_csv"])
    return tables
