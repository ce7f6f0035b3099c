"""The committed tables of Buis 2024 are those of the thesis, number by number and in its order."""

import csv
import gzip
import json
import re
from itertools import groupby
from pathlib import Path

import pytest

from codewatt.published.buis_2024.audited_study import STUDY
from codewatt.published.buis_2024.model.model_page import render_page
from codewatt.published.buis_2024.model.model_results import compute_results
from codewatt.published.buis_2024.printed_tables import FIGURE_FILES, read_tables

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


#: Equation -> its text in the thesis, without spaces and formatting.
EQUATIONS = {
    "3.3": "h_0=UW_e+W_p",
    "3.4": "v\\cdotm",
    "3.5": "c\\cdotm",
    "3.7": "4\\cdotm\\cdotd\\cdoth\\cdotl",
    "3.8": "max(0,xW_1+b_1)W_2+b_2",
    "3.9": "(d_{ff}\\cdotm)^2+d_{ff}+m",
    "3.12": "2\\cdotm\\cdotk",
    "3.13": "m\\cdotv+v",
    "3.14": "j=1.5\\cdotmoeintermediatesize",
    "3.15": "(m\\cdotj)+(j\\cdotm)+i+m",
    "3.16": "n_{routed_experts}+n_{shared_experts}",
    "3.18": "m\\cdotn_{routedexperts}",
    "3.19": "vm+cm+4mdhl+(d_{ff}\\cdotm)^2l+5ml+2mk+mv+v",
    "3.23": "2\\cdotn_{params}\\cdot(h_{heads}\\cdotd_{model})\\cdotp",
    "3.24": "2\\cdotb\\cdots\\cdotn_{params}\\cdoth_{heads}\\cdotd_{model}\\cdotp",
    "3.25": "n_{params}\\cdot\\frac{h_{heads}}{g}\\cdotd_{model}\\cdotp",
    "3.26": "(n_{parameters})\\cdotp_{parameters}+(KV-cache\\cdotp_{KV-cache})",
    "3.27": "Prefillcompute=2\\cdotn_{params}\\cdotb\\cdots",
    "3.28": "Prefillmemory=2\\cdotn_{params}",
    "3.29": "Decodecompute=2\\cdotn_{params}\\cdotb\\cdot1",
    "3.30": "Decodememory=2\\cdotn_{params}",
    "3.31": "\\frac{PrefillCompute}{FLOPsrate}+\\frac{PrefillMemory}{HBMrate}",
    "3.32": "\\frac{DecodeCompute}{FLOPsrate}+\\frac{DecodeMemory}{HBMrate}",
    "3.33": "TGT=TTFT+TPOT\\cdotn_{tokens}",
    "3.34": "P\\cdott",
}


def test_formulas_are_transcribed_from_the_thesis(thesis: str) -> None:
    """Each text stands before its own number; the number of one equation is missing."""
    chapter = thesis[thesis.index("3.6.1 Parameter Calculation") : thesis.index("3.10 Overview")]
    numbered = set(re.findall(r"\((3\.\d+)\)|tag\{(3\.\d+)\}", thesis))
    assert {f"3.{n}" for n in range(1, 38)} - {a or b for a, b in numbered} == {"3.20"}
    plain = re.sub(r"[\s$]|\\,|\\ |\\left|\\right|\\\\quad", "", chapter)
    for number, text in EQUATIONS.items():
        found = re.search(re.escape(text) + r".{0,20}?(\(|tag\{)" + re.escape(number), plain)
        assert found, number


def test_the_page_on_the_analytical_model_quotes_the_thesis(thesis: str) -> None:
    page = render_page(compute_results(read_tables(FOLDER)))
    quotes = re.findall("“([^”]*)”", " ".join(page.split()))
    assert len(quotes) >= 3
    flat = " ".join(thesis.split())
    assert [quote for quote in quotes if quote not in flat] == []


def test_searched_libraries_are_those_of_table_5_1(thesis: str) -> None:
    lines = thesis[: thesis.index("Table 5.1: Occurrence")].rpartition("Domain\t")[2].splitlines()
    listed = {cells[0]: cells[2] for line in lines if len(cells := line.split("\t")) == 4}
    for row in rows_of("bigcodebench_domains.csv"):
        names = listed[row["domain"]].replace("- ", "").split(",")
        assert row["libraries"].split() == [name.strip() for name in names]
