"""The committed numbers of de Reus et al. 2024 are the printed ones, and those of the raw files."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from codewatt.published.de_reus_2024 import count_files
from codewatt.published.de_reus_2024.audited_study import STUDY
from codewatt.published.de_reus_2024.paper_audit import PaperAudit
from codewatt.published.de_reus_2024.printed_tables import FOLDER, read_tables
from codewatt.published.de_reus_2024.statements import STATEMENTS

pytestmark = pytest.mark.data

SEEDS = {
    "paper": "de_reus_2024_paper.txt",
    "readme": "de_reus_2024_repository_readme.txt",
}
Row = dict[str, str]


@pytest.fixture(scope="module")
def texts(test_data: Path) -> dict[str, str]:
    """Paper and README, from the folder `seeds` beside the benchmark data."""
    found = {}
    for source, name in SEEDS.items():
        path = test_data.parent / "seeds" / name
        if not path.is_file():
            pytest.skip(f"the text is absent: {path}")
        found[source] = path.read_text(encoding="utf-8")
    return found


def rows_of(name: str) -> list[Row]:
    with open(FOLDER / name, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def flat(text: str) -> str:
    """A text in one line, without the mark-up of links, formulas and headings."""
    plain = re.sub(r"\[([^\]]*)\]\([^)\s]*\)", r"\1", text.replace(r"\[", "[").replace(r"\]", "]"))
    return " ".join(plain.replace("\\%", "%").replace("*", "").split())


def test_table_iv_is_the_printed_one(texts: dict[str, str]) -> None:
    """The text has it as lines of tabs: (configuration), precision, three numbers."""
    lines = [line.split("\t") for line in texts["paper"].splitlines() if line.count("\t") == 4]
    printed, section = [], ""
    for first, row, *numbers in lines[1:]:
        section = first or section
        printed.append((f"StarCoder2-{section}", row, numbers))
    rows = rows_of("runtimes.csv")
    typed = [
        (cells[0]["section"], cells[0]["row"], [cell["printed"] for cell in cells])
        for cells in (rows[i : i + 3] for i in range(0, len(rows), 3))
    ]
    assert len(typed) == 12
    assert typed == printed


def test_the_cache_misses_are_the_printed_ones(texts: dict[str, str]) -> None:
    printed = [
        re.findall(r"\d+%", line)
        for line in texts["readme"].splitlines()
        if line.startswith("|") and "%" in line
    ]
    rows = rows_of("cache_misses.csv")
    typed = [[row["printed"] for row in rows[i : i + 4]] for i in range(0, len(rows), 4)]
    assert len(typed) == 6
    assert typed == printed


def test_claims_are_quoted_from_their_text(texts: dict[str, str]) -> None:
    plain = {source: " ".join(text.split()) for source, text in texts.items()}
    claims = rows_of("claims.csv")
    assert len(claims) > 50
    for row in claims:
        assert row["quote"] in plain[row["source"]], row
        assert row["printed"] in row["quote"], row


def test_captions_are_the_printed_ones(texts: dict[str, str]) -> None:
    plain = {source: re.sub(r"\s", "", flat(text)) for source, text in texts.items()}
    for row in rows_of("tables.csv"):
        if row["source"] in plain:
            assert re.sub(r"\s", "", row["caption"]) in plain[row["source"]], row
        assert any(one["table"] == row["table"] for one in rows_of(row["file"])), row


def test_pass_at_1_of_the_text_is_in_the_tables(texts: dict[str, str]) -> None:
    """The text that was read lacks the cells of tables II and III; its sentences repeat eight."""
    tables = read_tables()
    stated = [claim for claim in tables.claims.values() if claim.name.startswith("pass_")]
    printed = {
        (figure.section, figure.row): figure.number.text
        for figure in tables.of("II", "III")
        if figure.column == "HumanEval+"
    }
    for claim in stated:
        _, model, limit, *precision = claim.name.split("_")
        name = f"StarCoder2-{model.upper()}"
        key = (name, f"{limit} tokens")
        if precision:
            key = (f"{name}, {limit} tokens", f"{precision[0][0]}-bit")
        assert printed[key] == claim.number.text, claim
    assert len(stated) == 8


def test_findings_and_statements_quote_the_texts(texts: dict[str, str]) -> None:
    plain = " ".join(map(flat, texts.values()))
    audit = STUDY.audit(STUDY.data)
    assert isinstance(audit, PaperAudit)
    quotes = [
        quote
        for finding in audit.findings
        for quote in re.findall("“([^”]*)”", f"{finding.says} {finding.shows}")
    ]
    quotes += [statement.quote for statement in STATEMENTS]
    assert len(quotes) > 40
    assert [quote for quote in quotes if quote not in plain] == []


def test_counts_of_completions_are_those_of_the_raw_files(test_data: Path) -> None:
    """Of the runs whose files are there; what is lost and gained needs those of the original."""
    prompts = test_data / "humaneval_plus" / "HumanEvalPlus-v0.1.10.jsonl.gz"
    committed = {
        tuple(row[name] for name in count_files.CONFIG): row for row in rows_of("sample_counts.csv")
    }
    counted = count_files.count_samples(test_data / "greenllms", prompts)
    assert len(counted) >= 4
    for row in counted:
        found: dict[str, Any] = {name: str(value) for name, value in row.items()}
        expected = committed[tuple(found[name] for name in count_files.CONFIG)]
        unknown = {name for name in found if found[name] == ""} | {"samples"}
        assert {k: v for k, v in found.items() if k not in unknown} == {
            k: v for k, v in expected.items() if k not in unknown
        }


def test_counts_of_ear_are_those_of_its_log(test_data: Path) -> None:
    counted = count_files.count_ear(test_data / "greenllms")
    assert [{k: str(v) for k, v in row.items()} for row in counted] == rows_of("ear_counts.csv")


def test_each_printed_cache_miss_follows_from_ears_log(test_data: Path) -> None:
    """Run by run: step n of the quantised model over step n of the original one."""
    with open(test_data / "greenllms" / "ear_summary.csv", encoding="utf-8", newline="") as stream:
        steps = {(row["source"], row["stepid"]): row for row in csv.DictReader(stream)}
    original, quantised = "ear/7b_128_256.gcn25.time.csv", "ear/7b_128_quantised.gcn49.time.csv"
    for row in rows_of("cache_misses.csv"):
        if row["row"].startswith("Avg"):
            continue
        number, level = int(row["row"][-1]) - 1, row["column"].split()[1].lower()
        first = 0 if row["column"].startswith("4-bit") else 5
        after = float(steps[(quantised, str(first + number))][f"{level}_misses"])
        before = float(steps[(original, str(number))][f"{level}_misses"])
        assert f"{100 * (after / before - 1):.0f}%" == row["printed"], row
