"""The tables against an independent computation of each column from the raw files.

tools/recompute_tables.py shares no code with codewatt. Here it must agree with the tables of
studies that exercise every column, and must notice a wrong value in any of them.
"""

import ast
import math
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from scipy import optimize, stats

from codewatt.analysis.columns import TABLES, cell_columns
from codewatt.analysis.statistical_tests.columns import REGRESSION, STATISTICAL_TEST
from codewatt.files import read_json, write_json
from tests.support.raw_study import BATCH, RawStudy

GRAPH = f"--nano--stripped--t24--b{BATCH}--graph"
CONFOUNDED = f"one--cut1--fp32--nano--stripped--t24--b{BATCH}--transformers"
#: Studies in which, taken together, every column has a value somewhere.
STUDIES = {
    "greedy": {
        "elsewhere": ("one--cut1--fp32" + GRAPH,),
        "judged_elsewhere": ("one--full--int8" + GRAPH,),
    },
    "sampled": {
        "samples": 6,
        "infeasible": ("one--full--int8" + GRAPH,),
        "untimed": ("one--cut1--fp32" + GRAPH,),
        "boundary": "job",
    },
    "gpu": {"samples": 2, "boundary": "gpu"},
    "sessions": {
        "sessions": 3,
        "elsewhere": (
            "one--full--fp32" + GRAPH + "--s2",
            "one--cut1--fp32" + GRAPH + "--s3",
            # Never on a board of its baseline: variant and board are confounded.
            *(CONFOUNDED + session for session in ("", "--s2", "--s3")),
        ),
        "infeasible": ("one--full--int8" + GRAPH + "--s3",),
        "untimed": ("one--cut1--fp32" + GRAPH + "--s2",),
        "pairs": ({"cell": {"engine": "transformers"}, "reference": {"engine": "graph"}},),
    },
}
CHECKED = (
    "task",
    "run",
    "session",
    "cell",
    "comparison",
    "variant",
    "domain",
    "domain_comparison",
    "statistical_test",
    "regression",
)
#: The studies with several samples also ask for pass@2.
TYPES = {
    **TABLES,
    "cell": cell_columns([2]),
    "statistical_test": STATISTICAL_TEST,
    "regression": REGRESSION,
}
COLUMNS = [
    pytest.param(level, column, id=f"{level}-{column}")
    for level in CHECKED
    for column in TYPES[level]
]


@pytest.fixture(scope="session")
def drawn(script, tmp_path_factory, worker_id):
    """The studies, written, and what is recomputed of them: once for all processes of xdist."""
    if worker_id == "master":
        return _draw(script, tmp_path_factory.mktemp("drawn"))
    shared = tmp_path_factory.getbasetemp().parent
    with FileLock(shared / "drawn.lock"):
        if not (shared / "drawn.pickle").exists():
            made = pickle.dumps(_draw(script, shared / "drawn"))
            (shared / "drawn.pickle").write_bytes(made)
    return pickle.loads((shared / "drawn.pickle").read_bytes())


def _draw(script, root):
    studies = {name: RawStudy(root / name, **options).write() for name, options in STUDIES.items()}
    recomputed = {
        name: (_tables(study), *script.recompute(study.yaml, study.results))
        for name, study in studies.items()
    }
    return studies, recomputed


@pytest.fixture(scope="session")
def studies(drawn) -> dict[str, RawStudy]:
    """The studies, written; tests do not change their files."""
    return drawn[0]


@pytest.fixture(scope="session")
def recomputed(drawn):
    """Study -> (its tables, the recomputed rows, what is wrong with its raw files)."""
    return drawn[1]


def _tables(study: RawStudy) -> dict[str, pd.DataFrame]:
    return {
        level: pd.read_parquet(study.results / "tables" / f"{level}.parquet") for level in CHECKED
    }


@pytest.mark.parametrize("name", STUDIES)
def test_tables_and_raw_files_agree(script, recomputed, name):
    tables, rows, problems = recomputed[name]
    assert not problems
    for level in CHECKED:
        assert not list(script.differences(level, tables[level], rows[level]))


def _narrowed(script, found, level, column):
    """(table, rows) of one column, and those that name a row."""
    tables, rows, _ = found
    wanted = list(dict.fromkeys((*script.KEYS[level], column)))
    narrow = {key: {name: row[name] for name in wanted} for key, row in rows[level].items()}
    return tables[level][wanted].copy(), narrow


def _spoilt(value: object, dtype: str) -> object:
    """Another value that the column could hold."""
    if dtype == "string":
        return "wrong" if pd.isna(value) else f"{value}!"
    if dtype == "boolean":
        return True if pd.isna(value) else not value
    if dtype == "Int64":
        return 1 if pd.isna(value) else value + 1
    return 1.0 if pd.isna(value) else value * (1 + 1e-5) + 1e-9


@pytest.mark.parametrize(("level", "column"), COLUMNS)
def test_a_wrong_value_in_any_column_is_reported(script, recomputed, level, column):
    # The first study in which the column has a value; where none has, a value is too many.
    having = [
        s
        for s in recomputed.values()
        if column in s[0][level].columns and s[0][level][column].notna().any()
    ]
    table, rows = _narrowed(script, (having or list(recomputed.values()))[0], level, column)
    known = table[column].notna().to_numpy().nonzero()[0]
    row, dtype = known[-1] if len(known) else 0, TYPES[level][column]
    position = table.columns.get_loc(column)
    for value in (_spoilt(table.iloc[row, position], dtype), *([pd.NA] if having else [])):
        spoilt = table.copy()
        spoilt.iloc[row, position] = value
        found = list(script.differences(level, spoilt, rows))
        if column in script.KEYS[level]:
            assert {difference[2] for difference in found} >= {"a row that the table lacks"}
        else:
            assert [difference[1] for difference in found] == [column]


#: Empty in all of these studies: no hardware axis, no failed check, and notes on what went wrong.
EMPTY = {
    "task": {"hardware", "energy_note"},
    "run": {"hardware"},
    "session": {"hardware"},
    "domain": {"hardware"},
    "domain_comparison": {"hardware"},
    "cell": {
        "hardware", "failed_checks", "accuracy_note", "pass_at_10_base", "pass_at_10_plus",
        "pass_at_100_base", "pass_at_100_plus",
    },
    "comparison": {"hardware"},
    "variant": {
        "status_reason", "fidelity_note", "quantise_energy_note", "score_layers_energy_note",
    },
    "statistical_test": set(),
    "regression": {"hardware"},
}  # fmt: skip


@pytest.mark.parametrize("level", CHECKED)
def test_the_studies_have_a_value_in_every_column(recomputed, level):
    tables = [tables[level] for tables, _, _ in recomputed.values()]
    empty = {c for c in tables[0].columns if all(table[c].isna().all() for table in tables)}
    assert empty == EMPTY[level]


def test_a_table_without_rows_on_both_sides_is_no_difference(script, recomputed):
    tables, rows, _ = recomputed["greedy"]
    assert not list(script.differences("domain", tables["domain"].head(0), {}))
    assert list(script.differences("domain", tables["domain"].head(0), rows["domain"]))
    assert list(script.differences("domain", tables["domain"], {}))


@pytest.mark.parametrize("level", CHECKED)
def test_columns_and_rows_that_one_side_lacks_are_reported(script, recomputed, level):
    tables, rows, _ = recomputed["greedy"]
    table = tables[level]
    new = script.differences(level, table.assign(new_column=1.0), rows[level])
    assert [d[1:3] for d in new] == [("new_column", "a column that is not recomputed")]
    column = table.columns[-1]
    gone = script.differences(level, table.drop(columns=column), rows[level])
    assert [d[1:3] for d in gone] == [(column, "a column that the table lacks")]
    short = list(script.differences(level, table.iloc[1:], rows[level]))
    assert [d[2] for d in short] == ["a row that the table lacks"]
    double = list(script.differences(level, pd.concat([table, table.iloc[:1]]), rows[level]))
    assert [d[2] for d in double] == ["rows with the same key"]


@pytest.mark.parametrize("level", CHECKED)
def test_a_csv_file_that_holds_something_else_is_reported(script, studies, level):
    tables = studies["greedy"].results / "tables"
    table = pd.read_parquet(tables / f"{level}.parquet")
    texts = pd.read_csv(tables / f"{level}.csv", dtype=str, keep_default_na=False)
    assert not list(script.csv_differences(table, texts))
    for column in table.columns:
        of_type = {"boolean": "False" if texts[column][1] == "True" else "True", "string": "no"}
        texts.loc[1, column] = of_type.get(str(table[column].dtype), "77")
    found = [difference[:2] for difference in script.csv_differences(table, texts)]
    assert found == [("line 3", column) for column in table.columns]
    assert list(script.csv_differences(table, texts.iloc[1:]))


def test_the_command_fails_where_something_differs(script, repository, studies, tmp_path):
    study = studies["greedy"]
    assert script.main([str(study.yaml), str(study.results)]) == 0
    shutil.copytree(study.root, tmp_path / "copy")
    copy = RawStudy(tmp_path / "copy")
    (verdicts,) = (copy.results / "cells").glob(f"one--cut1--fp32{GRAPH}/evaluate.json")
    evaluated = read_json(verdicts)
    first = evaluated["verdicts"][0]
    first["base"] = "fail" if first["base"] == "pass" else "pass"
    write_json(verdicts, evaluated)
    command = ["tools/recompute_tables.py", str(copy.yaml), str(copy.results)]
    done = subprocess.run(
        [sys.executable, *command], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "eval_results.json.gz and evaluate.json differ" in done.stdout
    assert "pass_at_1_base" in done.stdout


def test_it_shares_no_code_with_what_it_checks(repository):
    for path in [
        *(repository / "tools/recomputed").glob("*.py"),
        repository / "tools/recompute_tables.py",
    ]:
        names = [
            name
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        ]
        assert not [name for name in names if name.split(".")[0] == "codewatt"], path


def test_its_tango_statistic_is_the_score_test_of_the_likelihood(script):
    """The restricted estimate by maximising the likelihood, not by Tango's closed form."""
    from recomputed.statistics import tango_z

    for gained, lost, n, difference in ((3, 9, 60, -0.02), (0, 4, 40, 0.1), (5, 1, 30, -0.2)):

        def unlikely(q, gained=gained, lost=lost, n=n, d=difference):
            parts = (gained, q + d), (lost, q), (n - gained - lost, 1 - 2 * q - d)
            return -sum(count * math.log(p) for count, p in parts if count)

        ends = max(0.0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12
        q = optimize.minimize_scalar(
            unlikely, bounds=ends, method="bounded", options={"xatol": 1e-12}
        ).x
        score = (gained - lost - n * difference) / math.sqrt(
            n * (2 * q + difference - difference**2)
        )
        assert tango_z(gained, lost, n, difference) == pytest.approx(score, rel=1e-4)


def test_its_welch_test_is_that_of_scipy(script):
    from recomputed.statistics import Welch

    draw = np.random.default_rng(3)
    first, second = draw.normal(1.0, 0.1, 4), draw.normal(1.2, 0.3, 6)
    ours, theirs = Welch(first, second), stats.ttest_ind(second, first, equal_var=False)
    assert ours.p() == pytest.approx(theirs.pvalue)
    assert ours.ends() == pytest.approx(tuple(theirs.confidence_interval(0.95)))
