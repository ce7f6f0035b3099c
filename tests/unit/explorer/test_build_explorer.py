"""The page contains the tables byte for byte, and nothing of a study can break out of its place."""

import base64
import hashlib
import io
import json
import re
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import codewatt.explorer
from codewatt.analysis.columns import TABLES as AGGREGATED
from codewatt.analysis.statistical_tests.columns import TEST_TABLES
from codewatt.errors import CodewattError
from codewatt.explorer.build_explorer import MAX_PARQUET_BYTES, ordered, write_explorer
from codewatt.explorer.column_views import (
    DEFAULT_COLUMNS,
    GROUPS,
    column_views,
    default_columns,
    group_of,
)
from codewatt.explorer.page_assets import MODULES, asset_files
from tests.unit.explorer.conftest import HOSTILE

PACKAGE = Path(codewatt.explorer.__file__).parent
#: SHA-256 of the bundle that tools/vendor_hyparquet.sh makes.
HYPARQUET = "5c59324d99ab16294cbd7c2fe1513c7bd1f7a02ed1b6e25c5fd2255578951f1b"

TABLES = {**AGGREGATED, **TEST_TABLES}


class Page(HTMLParser):
    """Elements of a page: (tag, attributes), and the content of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self.elements.append(("/script", {}))

    def script(self, **wanted: str) -> str:
        """The content of the script with these attributes."""
        wanted = {name.replace("_", "-"): value for name, value in wanted.items()}
        (found,) = (text for attrs, text in self.scripts if wanted.items() <= attrs.items())
        return found


@pytest.fixture(scope="module")
def page(page_file: Path) -> Page:
    return Page(page_file.read_text(encoding="utf-8"))


def test_each_table_is_in_the_page_byte_for_byte(page: Page, tables: dict[str, Path]) -> None:
    assert set(tables) == set(TABLES)
    for name, path in tables.items():
        content = base64.b64decode(page.script(data_table=name), validate=True)
        assert content == path.read_bytes()
        pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(content)), pd.read_parquet(path))
    study = json.loads(page.script(id="study"))
    for view in study["tables"]:
        path = tables[view["name"]]
        assert view["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert view["rows"] == len(pd.read_parquet(path))
        assert [column["name"] for column in view["columns"]] == list(pd.read_parquet(path))


def test_hostile_texts_stay_texts(page: Page, page_file: Path) -> None:
    study = json.loads(page.script(id="study"))
    assert study["title"] == HOSTILE[0]
    assert study["labels"]["precision"] == {"fp32": HOSTILE[1], "int8": HOSTILE[2]}
    assert not {tag for tag, _ in page.elements} & {"img", "svg", "iframe"}
    # The page's own: the study, its tables, the reader and the page's script.
    assert len(page.scripts) == 3 + len(TABLES)
    assert "harmed = 1</script>" not in page_file.read_text().split("</title>")[1]


def test_the_policy_allows_the_two_scripts_and_nothing_else(page: Page) -> None:
    (policy,) = (
        attrs["content"] or ""
        for tag, attrs in page.elements
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert set(rules) == {"default-src", "script-src", "style-src", "base-uri", "form-action"}
    run = [text for attrs, text in page.scripts if attrs.get("type") in (None, "module")]
    digests = [hashlib.sha256(text.encode()).digest() for text in run]
    hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    assert rules["script-src"].split() == hashes
    links = {attrs.get("href") for _, attrs in page.elements if attrs.get("href")}
    assert links == {"summary.html"}
    assert not any("src" in attrs for _, attrs in page.elements)


def test_the_same_tables_give_the_same_page(
    tables: dict[str, Path], page_file: Path, tmp_path: Path
) -> None:
    written = [tmp_path / "a.html", tmp_path / "b.html"]
    for out in written:
        write_explorer(tables, {}, out, title="one")
    assert written[0].read_bytes() == written[1].read_bytes() != page_file.read_bytes()


def test_a_table_that_is_too_large_is_left_out_and_named(
    tables: dict[str, Path], tmp_path: Path
) -> None:
    limit = sum(path.stat().st_size for name, path in tables.items() if name != "task")
    write_explorer(tables, {}, tmp_path / "page.html", max_parquet_bytes=limit)
    found = Page((tmp_path / "page.html").read_text())
    views = {view["name"]: view for view in json.loads(found.script(id="study"))["tables"]}
    assert {name for name, view in views.items() if not view["embedded"]} == {"task"}
    assert views["task"]["file"] == "tables/task.parquet"
    held = {attrs["data-table"] for attrs, _ in found.scripts if "data-table" in attrs}
    assert held == set(tables) - {"task"}


def test_a_table_that_is_left_out_is_not_read_into_memory(
    tables: dict[str, Path], tmp_path: Path
) -> None:
    """Its digest is that of the whole file all the same."""
    numbers = np.random.default_rng(1).random(4_000_000)
    large = tmp_path / "task.parquet"
    pd.DataFrame({"energy_j": numbers}).to_parquet(large, index=False)
    size = large.stat().st_size
    assert size > 30e6
    tracemalloc.start()
    try:
        write_explorer({"cell": tables["cell"], "task": large}, {}, tmp_path / "page.html")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 15e6
    text = (tmp_path / "page.html").read_text()
    views = {view["name"]: view for view in json.loads(Page(text).script(id="study"))["tables"]}
    assert views["cell"]["embedded"]
    left_out = views["task"]
    assert not left_out["embedded"]
    assert (left_out["rows"], left_out["bytes"]) == (4_000_000, size)
    assert left_out["sha256"] == hashlib.sha256(large.read_bytes()).hexdigest()


def test_a_page_of_500_cells_has_less_than_10_mb(tables: dict[str, Path], tmp_path: Path) -> None:
    """Each cell has other values: the drawn study's, times random numbers."""
    draw = np.random.default_rng(1)
    many = {}
    for name, path in tables.items():
        table = pd.read_parquet(path)
        copies = [table] * (500 // 6 + 1) if name != "variant" else [table]
        grown = pd.concat(copies, ignore_index=True)
        for column in grown.select_dtypes("Float64"):
            grown[column] *= pd.array(draw.uniform(0.5, 2, len(grown)), dtype="Float64")
        many[name] = tmp_path / f"{name}.parquet"
        grown.to_parquet(many[name], index=False)
    write_explorer(many, {}, tmp_path / "page.html")
    assert MAX_PARQUET_BYTES * 4 / 3 < 9.5e6
    assert (tmp_path / "page.html").stat().st_size < 10e6
    text = (tmp_path / "page.html").read_text()
    views = json.loads(Page(text).script(id="study"))["tables"]
    assert all(view["embedded"] for view in views if view["name"] in ("cell", "variant", "domain"))


def test_a_missing_table_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CodewattError, match=r"cell\.parquet: no such file"):
        write_explorer({"cell": tmp_path / "cell.parquet"}, {}, tmp_path / "page.html")


def test_a_table_that_the_reference_does_not_know_is_shown_too(tmp_path: Path) -> None:
    table = pd.DataFrame({"metric": ["energy_j"], "estimate": [0.9], "ci95_low": [0.8]})
    table["ci95_high"] = 1.0
    table.to_parquet(tmp_path / "effect.parquet", index=False)
    write_explorer({"effect": tmp_path / "effect.parquet"}, {}, tmp_path / "page.html")
    (view,) = json.loads(Page((tmp_path / "page.html").read_text()).script(id="study"))["tables"]
    assert view["default_columns"] == ["metric", "estimate", "ci95_low", "ci95_high"]
    estimate: dict[str, Any] = view["columns"][1]
    assert estimate["interval"] == ["ci95_low", "ci95_high"]
    assert (estimate["type"], estimate["unit"], estimate["meaning"]) == ("real", "", "")


def test_every_interval_belongs_to_one_column() -> None:
    """Except those of simultaneous comparisons and of the spread of runs."""
    for name, columns in TABLES.items():
        claimed = [view["interval"] for view in column_views(name, columns) if view["interval"]]
        ends = [end for pair in claimed for end in pair]
        wanted = [column for column in columns if re.search(r"(ci|wilson)95_(low|high)$", column)]
        assert set(wanted) <= set(ends), name
        assert len(ends) == len(set(ends)), name
    views = {view["name"]: view for view in column_views("cell", TABLES["cell"])}
    assert views["energy_j_geomean"]["interval"] == ("energy_j_ci95_low", "energy_j_ci95_high")
    assert views["energy_j_mean"]["interval"] is None, "the interval is that of the geometric mean"
    assert views["net_gpu_j_mean"]["interval"] == ("net_gpu_j_ci95_low", "net_gpu_j_ci95_high")


def test_every_column_has_a_group_a_unit_and_a_meaning() -> None:
    for name, columns in TABLES.items():
        for view in column_views(name, columns):
            assert view["group"] in GROUPS
            assert view["meaning"], view["name"]
            assert not view["unit"].startswith("unit of"), view["name"]
    units = {view["name"]: view["unit"] for view in column_views("cell", TABLES["cell"])}
    assert units["energy_j_geomean"] == units["net_energy_j_difference"] == "J"
    assert units["tokens_per_s_sd"] == "tokens/s"
    assert units["energy_j_change"] == "fraction"
    assert group_of("j_per_correct_task_base_change") == "Energy for accuracy"
    assert group_of("energy_j_change_p_holm") == "Energy"


def test_the_columns_at_first_are_columns_of_the_tables() -> None:
    for name, columns in TABLES.items():
        shown = default_columns(name, list(columns))
        assert set(DEFAULT_COLUMNS[name]) - set(shown) <= {"session", "sessions"}
        assert 5 <= len(shown) <= 22


def test_tabs_begin_with_cells_and_end_with_unknown_tables() -> None:
    assert ordered(["zebra", "task", "run", "comparison", "cell"]) == [
        "cell", "comparison", "run", "task", "zebra",
    ]  # fmt: skip


def test_the_parquet_reader_is_the_pinned_one() -> None:
    reader = PACKAGE / "vendor" / "hyparquet.js"
    assert hashlib.sha256(reader.read_bytes()).hexdigest() == HYPARQUET
    assert "1.33.0" in reader.read_text().splitlines()[0]
    assert "hyparquet=1.33.0" in (PACKAGE.parents[2] / "tools/vendor_hyparquet.sh").read_text()
    assert "MIT" in (PACKAGE / "vendor" / "hyparquet.LICENSE").read_text()


def test_every_script_of_the_page_is_in_it_once(repository: Path) -> None:
    scripts = {path.name for path in (PACKAGE / "page").glob("*.js")}
    assert scripts == set(MODULES)
    assert all(path.is_file() for path in asset_files())
    for path in (PACKAGE / "page").glob("*.js"):
        text = path.read_text()
        assert len(text.splitlines()) < 400, path
        # What makes markup or code of a text, or asks for something.
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write", text), path
        assert not re.search(r"\beval\b|new Function|fetch\(|XMLHttp|\bimport\(", text), path
        for imported in re.findall(r'from "\./([\w.]+)"', text):
            assert MODULES.index(imported) < MODULES.index(path.name), path
