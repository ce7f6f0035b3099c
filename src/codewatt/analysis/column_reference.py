"""The reference page of the tables: one line for every column or pattern of columns."""

from collections.abc import Iterator

from codewatt.analysis.column_descriptions import DESCRIPTIONS, ROWS
from codewatt.analysis.column_patterns import PLACEHOLDER_MEANINGS, PLACEHOLDERS, Description
from codewatt.analysis.columns import AA_TEST, BOOLEAN, INTEGER, REAL, STRING, TABLES, Columns
from codewatt.analysis.statistical_tests.columns import TEST_TABLES

_TYPES = {STRING: "string", INTEGER: "integer", REAL: "real", BOOLEAN: "boolean"}
_INTRODUCTION = """\
# Tables and columns

<!-- Written by `make reference`; do not edit. -->

A study's tables are in `results/STUDY/tables`, each as Parquet and as CSV. An empty field means
that the value is absent; it never means zero. Units are part of the column names: `_s` seconds,
`_j` joules, `_w` watts, `_bytes` bytes, `_kg` kilograms. A share, a change or a pass@1 is a
fraction, not a percentage. [How variants are compared](../explanation/statistics.md) defines the
statistics.
"""


def all_tables() -> dict[str, Columns]:
    """Table -> columns; the table of the A/A test is not part of every study."""
    return {**TABLES, **TEST_TABLES, "aa_test": AA_TEST}


def describe_column(table: str, column: str) -> Description:
    """The description of a column.

    Raises:
        KeyError: the column has none.
    """
    for description in DESCRIPTIONS[table]:
        if description.matches(column):
            return description
    raise KeyError(f"table {table}: column {column} has no description")


def tables_page() -> str:
    """The reference page as Markdown.

    Raises:
        KeyError: a column has no description.
    """
    lines = [_INTRODUCTION, "## Placeholders", ""]
    lines += ["A pattern such as `<part>_j` stands for one column for each value.", ""]
    lines += ["| placeholder | stands for | values |", "| --- | --- | --- |"]
    for name, values in PLACEHOLDERS.items():
        listed = ", ".join(f"`{value}`" for value in values)
        lines.append(f"| `<{name}>` | {PLACEHOLDER_MEANINGS[name]} | {listed} |")
    for table, columns in all_tables().items():
        lines += ["", f"## Table `{table}`", "", ROWS[table], ""]
        lines += ["| column | type | unit | meaning |", "| --- | --- | --- | --- |"]
        lines += _table_lines(table, columns)
    return "\n".join(lines) + "\n"


def _table_lines(table: str, columns: Columns) -> Iterator[str]:
    """A line for each description, where its first column stands in the table."""
    written: set[str] = set()
    for column, dtype in columns.items():
        found = describe_column(table, column)
        if found.pattern not in written:
            written.add(found.pattern)
            yield f"| `{found.pattern}` | {_TYPES[dtype]} | {found.unit} | {found.meaning} |"
