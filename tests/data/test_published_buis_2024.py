"""The committed tables of Buis 2024 are those of the thesis, number by number and in its order."""

import csv
import gzip
import json
import re
from itertools import groupby
from pathlib import Path

import pytest

from codewatt.published.buis_2024.audited_study import STUDY
from codewatt.published.buis_2024.printed_tables import FIGURE_FILES

pytestmark = pytest.mark.data

FOLDER = STUDY.data
NUMBER = re.compile(r"(< ?)?-?[\d.,]*\d(e-?\d+)?[%B]?")
Row = dict[str, str]


@pytest.fixture(scope="module")
def thesis(test_data: Path) -> str:
    """The text of the thesis, in the folder `seeds` beside the benchmark data."""
    path = test_data.parent / "seeds" / "buis_2024_thesis.txt"
    if not path.is_file():
        pytest.skip(f"the text of the thesis is absent: {path}")
    return path.read_text(encoding="utf-8").replace("\N{MULTIPLICATION SIGN}10^{12}", "e12")


def rows_of(name: str) -> list[Row]:
    with open(FOLDER / name, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def table_number(row: Row) -> tuple[int, ...]:
    return tuple(int(part) for part in row["table"].split("."))


def typed_lines() -> list[list[str]]:
    """The committed rows as lines of the thesis: label, numbers; two statistics make a line."""
    figures = [
        row for name in FIGURE_FILES for row in rows_of(name) if "listing" not in row["table"]
    ]
    lines = []
    figures.sort(key=table_number)  # stable
    for (_, section, _), found in groupby(
        figures, lambda row: (row["table"], row["section"], line_label(row))
    ):
        cells = list(found)
        if section == "Model Statistics":
            pairs = [cells[i : i + 2] for i in range(0, len(cells), 2)]
            lines += [[p[0]["row"], p[0]["printed"], p[1]["row"], p[1]["printed"]] for p in pairs]
        else:
            lines.append([cells[0]["row"], *(cell["printed"] for cell in cells)])
    return lines


def line_label(row: Row) -> str:
    return "" if row["section"] == "Model Statistics" else row["row"]


def printed_lines(thesis: str) -> list[list[str]]:
    """Lines of the thesis's tables that have numbers, without empty cells.

    The head of table 5.12, in which the text has a 7 for z, is none.
    """
    start = thesis.index("Table 4.1: LLM characteristics")
    lines = [
        [cell.strip() for cell in line.split("\t") if cell.strip()]
        for line in thesis[start:].split("\n")
        if "\t" in line
    ]
    return [
        cells
        for cells in lines
        if cells[0] != "Coef." and any(NUMBER.fullmatch(cell) for cell in cells[1:])
    ]


def test_every_number_of_every_table_is_the_printed_one(thesis: str) -> None:
    """Both lists are equal, so no line of a table is missing either.

    The text lacks the labels of tables 5.12 and 5.16, cuts those of table 5.31, and lists the
    libraries of table 5.1 beside the numbers.
    """
    typed, printed = typed_lines(), printed_lines(thesis)
    assert len(typed) == len(printed)
    for expected, found in zip(typed, printed, strict=True):
        numbers = [cell for cell in expected if NUMBER.fullmatch(cell)]
        if found == expected or found == expected[1:] or found[:2] == expected:
            continue
        assert [cell for cell in found if NUMBER.fullmatch(cell)] == numbers, (expected, found)
        assert not any(cell == expected[0] for cell in found), (expected, found)


def test_sections_of_a_table_are_the_subheadings_above_its_rows(thesis: str) -> None:
    squeezed = re.sub(r"\s", "", thesis[thesis.index("Table 5.1:") :]).replace(
        "Insstruct", "Instruct"
    )
    for name in ("tests.csv", "runs.csv"):
        for (table, section), found in groupby(
            rows_of(name), lambda row: (row["table"], row["section"])
        ):
            if section:
                first = [cell["printed"] for cell in found if cell["row"] == "Batch size 1"]
                line = f"{section}Batchsize1{''.join(first)}".replace(" ", "")
                assert line in squeezed, table


def test_captions_are_the_printed_ones(thesis: str) -> None:
    flat = re.sub(r"[\s*]", "", thesis)
    for row in rows_of("tables.csv"):
        kind = "" if row["table"].startswith("listing") else "Table"
        assert f"{kind}{row['table']}: {row['caption']}".lower().replace(" ", "") in flat.lower()
        assert any(one["table"] == row["table"] for one in rows_of(row["file"]))


def test_pages_are_those_of_the_list_of_tables(thesis: str) -> None:
    contents = thesis[thesis.index("List of Tables") : thesis.index("Acknowledgements")]
    pages = dict(re.findall(r"^(5\.\d+)\t.*\t(\d+)$", contents, re.MULTILINE))
    given = {row["table"]: row["page"] for row in rows_of("tables.csv")}
    assert len(pages) > 30
    assert {table: given[table] for table in pages} == pages


def test_listed_settings_are_the_printed_ones(thesis: str) -> None:
    parts = re.split(r"Listing 5\.\d:", thesis)
    for row in rows_of("model_configs.csv"):
        part = parts[int(row["table"][-1])]
        assert re.search(rf'"{row["column"]}": {re.escape(row["printed"])},?\n', part), row


def test_claims_are_quoted_from_their_section(thesis: str) -> None:
    flat = " ".join(thesis.split())
    for row in rows_of("claims.csv"):
        assert row["quote"] in flat, row
        assert row["printed"] in row["quote"], row


def test_counts_of_domains_are_bigcodebenchs_own(test_data: Path) -> None:
    """Domains of a task by its libraries; and by names of libraries as parts of any word."""
    folder = test_data / "bigcodebench"
    domains = json.loads((folder / "task2domain.json").read_text(encoding="utf-8"))
    with gzip.open(
        folder / "BigCodeBench-v0.1.4-rebuilt.jsonl.gz", "rt", encoding="utf-8"
    ) as lines:
        tasks = [json.loads(line) for line in lines]
    texts = [task["complete_prompt"] + task["canonical_solution"] for task in tasks]
    for row in rows_of("bigcodebench_domains.csv"):
        names = row["libraries"].split()
        assert int(row["all_tasks"]) == len(domains) == len(tasks) == 1140
        assert int(row["tasks"]) == sum(row["domain"] in found for found in domains.values())
        assert int(row["substring_tasks"]) == sum(any(n in text for n in names) for text in texts)


def test_findings_quote_the_thesis(thesis: str) -> None:
    flat = " ".join(thesis.split()).replace("*", "")
    quotes = [
        quote
        for finding in STUDY.audit(FOLDER).findings
        for quote in re.findall("“([^”]*)”", f"{finding.says} {finding.consequence}")
    ]
    assert len(quotes) > 30
    assert [quote for quote in quotes if quote not in flat] == []


def test_searched_libraries_are_those_of_table_5_1(thesis: str) -> None:
    lines = thesis[: thesis.index("Table 5.1: Occurrence")].rpartition("Domain\t")[2].splitlines()
    listed = {cells[0]: cells[2] for line in lines if len(cells := line.split("\t")) == 4}
    for row in rows_of("bigcodebench_domains.csv"):
        names = listed[row["domain"]].replace("- ", "").split(",")
        assert row["libraries"].split() == [name.strip() for name in names]
