"""Recompute every column of a finished study's tables from its raw files.

    python tools/recompute_tables.py config/studies/nano.yaml results/nano

The tables are those of tasks, runs, sessions, cells, comparisons, variants, domains, comparisons by
domain, statistical tests and regressions (not that of checks). This shares no code with codewatt,
only the names and formats of files: what the tables hold is derived anew from
docs/explanation/energy.md, docs/explanation/statistics.md, docs/explanation/fidelity.md and
docs/explanation/statistical-tests.md (tools/recomputed).
Printed are values that differ (reals by more than 1e-6 of themselves), rows and columns that only
one side has, what the CSV files hold otherwise, and raw files that contradict each other. A
column that is not recomputed is a difference too, so that a new one cannot slip by. Exit status:
0 without any, else 1.

Where figures come from: tokens, times and repetition from tasks.parquet and completions.jsonl.gz;
verdicts from evaluate.json, compared with eval_results.json.gz; joules and their statuses from
timeline.parquet, evaluate_timeline.parquet and the timelines of variants and layer scores, over
the windows in the manifests; the energy of judging a task from the times of programs in
evaluate.json; sizes from the weights' files, where they are still there; perplexity
from fidelity.json's sums per sequence; grid intensities from CodeCarbon's table; the grid of cells
and all settings from the study's YAML.

Bootstrap intervals and frontier probabilities rest on random draws: generator, seed and order are
those that the documentation of the draws states, so that figures agree to all their digits.

Taken as given, and not recomputed:

- energy.json: checks (name, severity, outcome, figures), and the bounds on the error of a
  window that its edges leave open (`uncertainty_j`, and those of prefill and decode);
- task_energy.parquet: those bounds of a task, and the note why it has no energy; the same of
  judging it (`evaluate_*`), there and in energy.json's "evaluate";
- generate.json: what the machine can do and the model asks for (`roofline`), host, processor,
  boards, the sampler's own cost, and of a cell's start: temperature, power, whether the rest met
  its conditions, the number of warm-up batches and the times of the repeated one;
- fidelity.json: cosines, divergence and top-1 agreement, as logits are not kept;
- a variant's manifest: dtype, `parameters` of packed weights, and sizes of deleted weights;
- wording: notes and reasons are recomputed word by word, but their words are not documented.
"""

import argparse
import math
import numbers
import sys
from pathlib import Path

import pandas as pd
from recomputed.tables import KEYS, recompute

RELATIVE, ABSOLUTE = 1e-6, 1e-12


def main(arguments=None):
    """Print the differences; 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="the study's YAML")
    parser.add_argument("results", type=Path, help="its folder, results/STUDY")
    given = parser.parse_args(arguments)
    for path in (given.study, given.results / "tables" / "cell.parquet"):
        if not path.is_file():
            parser.error(f"{path}: no such file; run the study first")
    recomputed, problems = recompute(given.study, given.results)
    found = [("raw files", problem) for problem in problems]
    compared = 0
    for name, rows in recomputed.items():
        path = given.results / "tables" / f"{name}.parquet"
        table = pd.read_parquet(path)
        found += [(name, *difference) for difference in differences(name, table, rows)]
        texts = pd.read_csv(path.with_suffix(".csv"), dtype=str, keep_default_na=False)
        found += [(f"{name}.csv", *difference) for difference in csv_differences(table, texts)]
        compared += table.size
    for difference in found:
        print(*difference, sep="\t")
    print(f"{compared} values compared, {len(found)} differences", file=sys.stderr)
    return 1 if found else 0


def differences(name, table, rows):
    """(row, column, table's value, recomputed value) of all that differs.

    Args:
        table: the table as it was written. rows: key -> column -> value.
    """
    if table.empty and not rows:  # the tables of domains, where tasks have none
        return
    key = list(KEYS[name])
    columns = next(iter(rows.values()), {})
    for column in table.columns:
        if column not in columns:
            yield "", column, "a column that is not recomputed", ""
    for column in columns:
        if column not in table.columns:
            yield "", column, "a column that the table lacks", ""
    absent = [column for column in key if column not in table.columns]
    if absent:
        return
    written = {
        tuple(None if pd.isna(row[column]) else row[column] for column in key): row
        for row in table.to_dict("records")
    }
    if len(written) != len(table):
        yield "", ", ".join(key), "rows with the same key", ""
    for row in written.keys() - rows.keys():
        yield _named(row), "", "a row that no raw file explains", ""
    for row, ours in rows.items():
        if row not in written:
            yield _named(row), "", "a row that the table lacks", ""
            continue
        for column in ours.keys() & set(table.columns):
            if not same(written[row][column], ours[column]):
                yield _named(row), column, written[row][column], ours[column]


def csv_differences(table, texts):
    """(row, column, value in the CSV, value in the Parquet file) of all that differs.

    Args:
        texts: the CSV, every value as it stands there.
    """
    if list(texts.columns) != list(table.columns) or len(texts) != len(table):
        yield "", "", f"{texts.shape[0]} rows, {texts.shape[1]} columns", f"{table.shape}"
        return
    for column in table.columns:
        read = {"Float64": float, "Int64": int, "boolean": {"True": True, "False": False}.get}
        as_value = read.get(str(table[column].dtype), str)
        for row, (text, value) in enumerate(zip(texts[column], table[column], strict=True)):
            if not same(as_value(text) if text else None, value):
                yield f"line {row + 2}", column, text, value


def same(one, other):
    """Whether two values are equal, reals to RELATIVE; absent equals absent only."""
    absent = one is None or pd.isna(one), other is None or pd.isna(other)
    if any(absent):
        return all(absent)
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and one == other
    if isinstance(one, numbers.Integral) and isinstance(other, numbers.Integral):
        return one == other
    return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def _named(row):
    return " repeat ".join(map(str, row))


if __name__ == "__main__":
    sys.exit(main())
