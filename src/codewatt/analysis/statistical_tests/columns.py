"""Names and types of the columns of the tables `statistical_test` and `regression`."""

from codewatt.analysis.columns import BOOLEAN, CELL_IDS, INTEGER, REAL, STRING, Columns

STATISTICAL_TEST: Columns = {
    "test": STRING,
    "level": STRING,
    "metric": STRING,
    "factor": STRING,
    "group": STRING,
    "cell_id": STRING,
    "other_cell_id": STRING,
    "cells": INTEGER,
    "n": INTEGER,
    "statistic_name": STRING,
    "statistic": REAL,
    "df": REAL,
    "df_residual": REAL,
    "p": REAL,
    "p_holm": REAL,
    "family": STRING,
    "family_tests": INTEGER,
    "effect_name": STRING,
    "effect": REAL,
    "conclusion": STRING,
    "note": STRING,
}

REGRESSION: Columns = {
    **CELL_IDS,
    "model_name": STRING,
    "errors": STRING,
    "outcome": STRING,
    "term": STRING,
    "coefficient": REAL,
    "std_error": REAL,
    "ci95_low": REAL,
    "ci95_high": REAL,
    "statistic_name": STRING,
    "statistic": REAL,
    "df": REAL,
    "p": REAL,
    "p_holm": REAL,
    "family": STRING,
    "family_tests": INTEGER,
    "n": INTEGER,
    "tasks": INTEGER,
    "series": INTEGER,
    "lags": INTEGER,
    "r_squared_uncentred": REAL,
    "r_squared_centred": REAL,
    "residual_durbin_watson": REAL,
    "thesis_coefficient": REAL,
    "thesis_p": REAL,
    "conclusion_changes": BOOLEAN,
    "conclusion": STRING,
    "note": STRING,
}

#: Table of rule statistical_tests -> its columns.
TEST_TABLES: dict[str, Columns] = {"statistical_test": STATISTICAL_TEST, "regression": REGRESSION}
