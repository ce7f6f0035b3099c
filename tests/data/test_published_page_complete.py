"""The checklist of the published page has every table, figure and formula of both texts."""

import re
from pathlib import Path

import pytest

from codewatt.published.buis_2024.statements import STATEMENTS as THESIS_STATEMENTS
from codewatt.published.de_reus_2024.statements import STATEMENTS as PAPER_STATEMENTS
from codewatt.published.page.checklist import ChecklistItem
from codewatt.published.page.page_data import compute_page
from codewatt.published.study_files import BUIS, DE_REUS

pytestmark = pytest.mark.data

TEXTS = {DE_REUS: "de_reus_2024_paper.txt", BUIS: "buis_2024_thesis.txt"}


@pytest.fixture(scope="module")
def texts(test_data: Path) -> dict[str, str]:
    """Both texts, in the folder `seeds` beside the benchmark data."""
    paths = {study: test_data.parent / "seeds" / name for study, name in TEXTS.items()}
    for path in paths.values():
        if not path.is_file():
            pytest.skip(f"the text of the study is absent: {path}")
    return {study: path.read_text(encoding="utf-8") for study, path in paths.items()}


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[ChecklistItem]:
    return compute_page(tmp_path_factory.mktemp("no_results")).items


def listed(items: list[ChecklistItem], study: str, kind: str) -> set[str]:
    return {one.number for one in items if (one.study, one.kind) == (study, kind)}


def test_paper(texts: dict[str, str], items: list[ChecklistItem]) -> None:
    text = texts[DE_REUS]
    figures = set(re.findall(r"^Fig\. (\d+):", text, re.MULTILINE))
    tables = set(re.findall(r"TABLE ([IVX]+)", text)) | set(re.findall(r"Table \[?([IVX]+)", text))
    assert figures == listed(items, DE_REUS, "figure")
    assert {*tables, "I"} == listed(items, DE_REUS, "table")  # numbering begins with I
    assert not re.search(r"\\tag\{", text)  # the paper numbers no formula


def test_thesis(texts: dict[str, str], items: list[ChecklistItem]) -> None:
    text = texts[BUIS]
    start, middle = text.index("\nList of Figures"), text.index("\nList of Tables")
    end = text.index("\nAcknowledgements", middle)
    contents = re.compile(r"^(\d\.\d+)\t", re.MULTILINE)
    figures = contents.findall(text[start:middle]) + re.findall(r"\bFigures? (\d+\.\d+)", text)
    tables = contents.findall(text[middle:end]) + re.findall(r"\bTables? (\d+\.\d+)", text)
    assert len(contents.findall(text[start:middle])) == 16
    assert len(contents.findall(text[middle:end])) >= 40
    assert set(tables) == listed(items, BUIS, "table")
    assert set(figures) == listed(items, BUIS, "figure")
    tagged = set(re.findall(r"\\tag\{(3\.\d+)\}", text)) | set(re.findall(r"\((3\.\d+)\)", text))
    assert tagged <= listed(items, BUIS, "formula")
    # 3.20 is missing from the text that was read, or its number is; see its row.
    assert len(tagged) >= 33


@pytest.mark.parametrize("study", list(TEXTS))
def test_statements_are_quotations(texts: dict[str, str], study: str) -> None:
    statements = {DE_REUS: PAPER_STATEMENTS, BUIS: THESIS_STATEMENTS}[study]
    text = re.sub(r"\s+", " ", texts[study])
    for one in statements:
        assert one.quote in text, one.quote
