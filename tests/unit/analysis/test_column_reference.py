"""Every column of every table is described, and the reference page is that of the code."""

import itertools
import re
from pathlib import Path

import pytest

from codewatt.analysis.column_descriptions import DESCRIPTIONS, ROWS
from codewatt.analysis.column_patterns import PLACEHOLDER_MEANINGS, PLACEHOLDERS
from codewatt.analysis.column_reference import all_tables, describe_column, tables_page
from codewatt.cli import main

COLUMNS = [(table, column) for table, columns in all_tables().items() for column in columns]


def expanded(pattern: str) -> set[str]:
    """All columns that a pattern stands for, written out one by one."""
    names = re.findall(r"<(\w+)>", pattern)
    choices = itertools.product(*(PLACEHOLDERS[name] for name in names))
    found = set()
    for choice in choices:
        column = pattern
        for name, value in zip(names, choice, strict=True):
            column = column.replace(f"<{name}>", value, 1)
        found.add(column)
    return found


def test_every_column_has_a_description_in_plain_sentences() -> None:
    missing = []
    for table, column in COLUMNS:
        try:
            found = describe_column(table, column)
        except KeyError:
            missing.append(f"{table}.{column}")
            continue
        assert found.unit
        assert found.meaning.endswith("."), found
        assert "|" not in found.meaning
    assert missing == []


def test_a_column_is_among_those_that_its_pattern_stands_for() -> None:
    for table, column in COLUMNS:
        assert column in expanded(describe_column(table, column).pattern)


def test_a_column_without_a_description_is_named() -> None:
    with pytest.raises(KeyError, match="table run: column speed has no description"):
        describe_column("run", "speed")


def test_placeholders_are_explained() -> None:
    assert PLACEHOLDERS.keys() == PLACEHOLDER_MEANINGS.keys()
    used = {
        name
        for descriptions in DESCRIPTIONS.values()
        for description in descriptions
        for name in re.findall(r"<(\w+)>", description.pattern)
    }
    assert used == PLACEHOLDERS.keys()


@pytest.mark.parametrize("table", list(all_tables()))
def test_patterns_of_the_page_make_up_the_table(table: str) -> None:
    """The lines of a table's section stand for its columns, and for no column that it lacks."""
    assert table in ROWS
    section = tables_page().split(f"## Table `{table}`\n")[1].split("\n## ")[0]
    patterns = re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)
    assert len(patterns) == len(set(patterns))
    stood_for = set().union(*(expanded(pattern) for pattern in patterns))
    assert stood_for == set(all_tables()[table])


def test_units_agree_with_the_ends_of_names() -> None:
    units = {"_j": "J", "_s": "s", "_w": "W", "_bytes": "bytes", "_per_kwh": "1/kWh"}
    for table, column in COLUMNS:
        unit = describe_column(table, column).unit
        for end, expected in units.items():
            if column.endswith(end) and "_per_s" not in column and column != "grid_gco2e_per_kwh":
                assert unit == expected, (table, column)


def test_the_page_is_that_of_the_code(repository: Path) -> None:
    """On failure: make reference."""
    page = repository / "docs" / "reference" / "tables.md"
    assert page.read_text(encoding="utf-8") == tables_page()


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    out = tmp_path / "tables.md"
    assert main(["reference", "--tables", str(out)]) == 0
    assert out.read_text(encoding="utf-8") == tables_page()
