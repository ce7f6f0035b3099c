"""The measured column as the page shows it, beside the printed numbers."""

import csv
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path

import pytest

from codewatt.published.page.page_data import compute_page
from codewatt.published.page.write_page import render_page, write_page
from tests.support.measured_tables import study_cells, write_cells

CELL = "starcoder2-7b--full--int8--humaneval-plus--as_is--t256--b1--transformers"
LLAMA = "llama-8b--full--bf16--bigcodebench--chat--t1280--b8--vllm"
CODER = "qwen-coder-7b--full--bf16--bigcodebench--chat--t1280--b8--vllm"


class Tables(HTMLParser):
    """The rows of the tables of the texts: id of the table -> rows of cells, lines joined by |."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = defaultdict(list)
        self.table = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "details":
            self.table = dict(attrs).get("id") or ""
        elif tag == "tr" and self.table:
            self.rows[self.table].append([])
        elif tag in ("td", "th") and self.table and self.rows[self.table]:
            self.rows[self.table][-1].append("")
        elif tag == "span" and self.table and self.rows[self.table]:
            self.rows[self.table][-1][-1] += "|"

    def handle_data(self, data: str) -> None:
        if self.table and self.rows[self.table] and self.rows[self.table][-1]:
            self.rows[self.table][-1][-1] += data.strip()

    def row(self, table: str, label: str) -> list[str]:
        (found,) = (row for row in self.rows[table] if row and row[0] == label)
        return found


def page(results: Path) -> tuple[str, Tables]:
    html = render_page(compute_page(results), defaultdict(str))
    tables = Tables()
    tables.feed(html)
    return html, tables


def test_measured_values_stand_below_the_printed_ones(tmp_path: Path) -> None:
    run = {"duration_s_geomean": 4000.0, "tokens_per_s_geomean": 10.5}
    run |= {"duration_s_ci95_low": 3900.0, "duration_s_ci95_high": 4100.0}
    write_cells(tmp_path, "de-reus-2024", {CELL: run})
    html, tables = page(tmp_path)
    row = tables.row("paper-IV", "StarCoder2-7B, 256 tokens, 8-bit")
    printed = ["Avg. time", "Std. deviation", "Throughput"]
    assert [head.split(" (")[0] for head in tables.rows["paper-IV"][0][1:]] == printed
    time, spread, throughput = row[1:]
    assert time.split("|")[0] == "4696.0"
    assert time.split("|")[-1] == "a: 4,000 [3,900, 4,100]"
    assert spread.split("|")[-1] == "a: not measured"
    assert throughput.split("|")[-1] == "a: 10.5"
    other = tables.row("paper-IV", "StarCoder2-3B, 128 tokens, 4-bit")
    assert all(cell.split("|")[-1] == "not measured" for cell in other[1:])
    # No study file of the thesis was run.
    assert not any("measured" in cell for row in tables.rows["thesis-5.18"] for cell in row)
    # The study and its hardware.
    assert "<code>de-reus-2024</code>" in html
    assert "NVIDIA A100-SXM4-40GB; Intel Xeon Platinum 8360Y" in html
    assert "2 of 218 comparable numbers" in html


def test_two_studies_are_told_apart_by_their_letters(tmp_path: Path) -> None:
    write_cells(tmp_path, "buis-2024", {LLAMA: {"net_gpu_j_mean": 0.25 * 3.6e6}})
    cells = {LLAMA: {"net_gpu_j_mean": 0.5 * 3.6e6}, CODER: {"valid": False, "failed_checks": "x"}}
    write_cells(tmp_path, "buis-2024-improved", cells)
    html, tables = page(tmp_path)
    energy = tables.row("thesis-5.18", "Meta Llama3.1-8B-Instruct, Batch size 8")[1]
    assert energy.split("|")[0] == "0.91"
    assert energy.split("|")[-2:] == ["a: 0.25", "b: 0.5"]
    withheld = tables.row("thesis-5.18", "Qwen-Coder2.5-7B-Instruct, Batch size 8")[1]
    assert withheld.split("|")[-1] == "b: withheld"
    assert f'title="{CODER}; engine vllm, prompt style chat; withheld: failed x"' in html
    assert html.count("the GPU above its idle power, as in the thesis") == 1


def test_a_smoke_study_is_named_and_has_no_value(tmp_path: Path) -> None:
    name = "de-reus-2024-smoke"
    cells = {cell.design_id: {"node_j_geomean": 7.77 * 3600} for cell in study_cells(name)}
    write_cells(tmp_path, name, cells)
    html, tables = page(tmp_path)
    assert f"<code>{name}</code>" in html
    assert "6 of 6 cells ran. The models are tiny and have random weights" in html
    assert "7.77" not in html
    assert not any("measured" in cell for row in tables.rows["paper-IV"] for cell in row)


def test_without_results_the_page_says_so(tmp_path: Path) -> None:
    html, tables = page(tmp_path / "absent")
    assert "No study file of the two studies was run here" in html
    cells = [cell for rows in tables.rows.values() for row in rows for cell in row]
    assert len(cells) > 1000
    assert not any("not measured" in cell for cell in cells)


def test_the_csv_file_has_every_comparable_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codewatt.published.page.write_page.draw_figures", lambda data, folder: [])
    monkeypatch.setattr(
        "codewatt.published.page.write_page.render_page", lambda data, images: "not rendered"
    )
    write_cells(tmp_path, "de-reus-2024", {CELL: {"duration_s_geomean": 4000.0}})
    write_page(tmp_path / "published", tmp_path)
    with open(tmp_path / "published" / "measured_values.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 218
    (one,) = (row for row in rows if row["value"])
    assert one == {
        "published": "de Reus et al. 2024",
        "table": "IV",
        "row": "8-bit",
        "unit": "s",
        "section": "StarCoder2-7B, 256 tokens",
        "column": "Avg. time",
        "study": "de-reus-2024",
        "cell_id": CELL,
        "value": "4000.0",
        "low": "",
        "high": "",
        "conditions": "engine transformers, prompt style as_is",
        "note": "",
    }
