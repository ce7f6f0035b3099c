"""The explorer in a real browser: what it shows equals what pandas finds in the same tables."""

import io
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest

from codewatt.analysis.columns import TABLES as AGGREGATED
from codewatt.analysis.statistical_tests.columns import TEST_TABLES
from codewatt.explorer.column_views import TABLE_ORDER, column_views, interval_columns
from tests.unit.explorer.conftest import HOSTILE, Opened

PAGE_ROWS = 200
MINUS, NARROW_SPACE = "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}"
ABSENT, TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"

TABLES = {**AGGREGATED, **TEST_TABLES}


@pytest.fixture(scope="module")
def frames(tables: dict[str, Path]) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(path) for name, path in tables.items()}


def is_equal(shown: str | None, value: Any) -> bool:
    """Whether the exact value of a table cell is the value that pandas reads."""
    if pd.isna(value):
        return shown is None
    if shown is None:
        return False
    if isinstance(value, str):
        return shown == value
    if str(value) in ("True", "False"):
        return shown == str(value).lower()
    return float(shown) == float(value)


def state(**parts: str) -> str:
    return "#" + "&".join(f"{name}={quote(text)}" for name, text in parts.items())


@pytest.mark.parametrize("name", TABLES)
def test_every_value_of_every_column_is_that_of_the_table(
    explorer: Opened, frames: dict[str, pd.DataFrame], name: str
) -> None:
    frame = frames[name].head(PAGE_ROWS)
    page = explorer.go(state(table=name, columns=",".join(frame)))
    assert page.eval_on_selector_all("#grid th", "all => all.map(th => th.dataset.column)") == list(
        frame
    )
    shown = explorer.values()
    assert len(shown) == len(frame)
    for values, (_, row) in zip(shown, frame.iterrows(), strict=True):
        wrong = [c for c, value in zip(frame, values, strict=True) if not is_equal(value, row[c])]
        assert wrong == []
    rows = len(frames[name])
    grouped = f"{rows:,}".replace(",", NARROW_SPACE if rows > 9999 else "")
    assert page.inner_text("#count") == f"{grouped} of {grouped} rows"
    assert explorer.rows() == list(range(rows))


def test_numbers_are_shown_with_four_digits_and_absent_values_as_absent(
    explorer: Opened, frames: dict[str, pd.DataFrame]
) -> None:
    frame = frames["cell"]
    numbers = [c for c, kind in TABLES["cell"].items() if kind in ("Float64", "Int64")]
    page = explorer.go(state(table="cell", columns=",".join(numbers), intervals="no"))
    texts = page.eval_on_selector_all(
        "#grid tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
    )
    absent = 0
    for row, shown in enumerate(texts):
        for column, text in zip(numbers, shown, strict=True):
            value = frame[column][row]
            if pd.isna(value):
                absent += 1
                assert text == ABSENT, column
                continue
            plain = text.replace(MINUS, "-").replace(NARROW_SPACE, "")
            if TIMES in plain:
                digits, _, power = plain.partition(f"{TIMES}10")
                exponent = power.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-"))
                plain = f"{digits}e{exponent}"
            assert math.isclose(float(plain), value, rel_tol=5.1e-4, abs_tol=0), column
    assert absent > 0


def test_intervals_units_and_meanings_stand_with_the_values(
    explorer: Opened, frames: dict[str, pd.DataFrame]
) -> None:
    page = explorer.go(state(table="cell", columns="energy_j_geomean,pass_at_1_base"))
    row = frames["cell"].iloc[0]
    shown = page.inner_text("#grid tbody tr:first-child td:first-child .interval")
    low, high = (float(end) for end in shown.strip("[]").split(", "))
    assert low == pytest.approx(row["energy_j_ci95_low"], rel=5e-4)
    assert high == pytest.approx(row["energy_j_ci95_high"], rel=5e-4)
    assert page.inner_text("#grid th:first-child .unit") == "J"
    page.focus("#grid th:first-child button")
    hint = page.inner_text("#tooltip")
    (view,) = (
        view for view in column_views("cell", TABLES["cell"]) if view["name"] == "energy_j_geomean"
    )
    assert view["meaning"] in hint
    assert "Unit: J" in hint


@pytest.mark.parametrize(
    ("name", "column"),
    [("cell", "energy_j_geomean"), ("cell", "energy_j_change_p_holm"), ("run", "ttft_s"),
     ("run", "duration_s"), ("task", "new_tokens"), ("cell", "precision"), ("check", "passed")],
)  # fmt: skip
def test_the_order_is_that_of_pandas(
    explorer: Opened, frames: dict[str, pd.DataFrame], name: str, column: str
) -> None:
    frame = frames[name]
    page = explorer.go(state(table=name, columns=column))
    button = page.locator("#grid th button")
    for ascending, said in ((True, "ascending"), (False, "descending")):
        button.click()
        assert page.get_attribute("#grid th", "aria-sort") == said
        wanted = frame.sort_values(
            column, ascending=ascending, kind="stable", na_position="last"
        ).index
        assert explorer.rows() == list(wanted)
    button.click()
    assert explorer.rows() == list(range(len(frame)))


def add_filter(page: Any, column: str) -> Any:
    page.select_option(".add-filter select", column)
    return page.locator(f'.filter[data-column="{column}"]')


def test_filters_keep_the_rows_that_pandas_keeps(
    explorer: Opened, frames: dict[str, pd.DataFrame]
) -> None:
    frame = frames["task"]
    low, high = (float(frame["latency_s"].quantile(q)) for q in (0.3, 0.9))
    page = explorer.go(state(table="task"))
    box = add_filter(page, "latency_s")
    box.locator("input").nth(0).fill(repr(low))
    box.locator("input").nth(1).fill(repr(high))
    kept = ((frame["latency_s"] >= low) & (frame["latency_s"] <= high)).fillna(False)
    assert 0 < kept.sum() < len(frame)
    assert explorer.rows() == list(frame.index[kept])
    box = add_filter(page, "precision")
    box.get_by_label("int8", exact=True).uncheck()
    kept &= frame["precision"] != "int8"
    assert explorer.rows() == list(frame.index[kept])
    page.fill("#search", "GRAPH")
    text = frame.select_dtypes("string").apply(lambda c: c.str.contains("graph", case=False))
    kept &= text.fillna(False).any(axis=1)
    assert kept.any()
    assert explorer.rows() == list(frame.index[kept])
    assert page.inner_text("#count") == f"{kept.sum()} of {len(frame)} rows"
    for close in page.locator(".filter .remove").all()[::-1]:
        close.click()
    page.fill("#search", "")
    assert explorer.rows() == list(range(len(frame)))


def test_a_text_filter_keeps_the_texts_that_contain_it(
    explorer: Opened, frames: dict[str, pd.DataFrame]
) -> None:
    frame = frames["check"]
    page = explorer.go(state(table="check"))
    add_filter(page, "name").locator("input").fill("Held")
    wanted = frame["name"].str.contains("held", case=False)
    assert 0 < wanted.sum() < len(frame)
    assert explorer.rows() == list(frame.index[wanted])


def test_a_scatter_has_a_point_for_each_row_with_its_interval(
    explorer: Opened, frames: dict[str, pd.DataFrame]
) -> None:
    frame = frames["cell"]
    page = explorer.go(state(table="cell"))
    page.click("#show-figure")
    x, y = "energy_j_geomean", "pass_at_1_plus"
    marks = page.locator(".drawing .mark")
    assert marks.count() == len(frame.dropna(subset=[x, y])) == len(frame)
    with_ends = 0
    for column in (x, y):
        ends = interval_columns(column, TABLES["cell"])
        assert ends is not None
        with_ends += len(frame.dropna(subset=[column, *ends]))
    assert page.locator(".drawing .whisker").count() == with_ends == 2 * len(frame)
    boxes = {int(mark.get_attribute("data-row")): mark.bounding_box() for mark in marks.all()}
    positions = pd.DataFrame(
        {row: (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
         for row, box in boxes.items()}, index=["x", "y"],
    ).T  # fmt: skip
    # Linear axes: positions are the values, scaled and moved.
    for axis, column in (("x", x), ("y", y)):
        assert abs(positions[axis].corr(frame[column].astype(float))) > 0.9999
    assert f"{len(frame)} of {len(frame)} selected rows" in page.inner_text(".figure-note")
    legend = "".join(page.locator(".drawing svg text").all_text_contents())
    for label in (HOSTILE[1], HOSTILE[2], HOSTILE[3]):
        assert label[:30] in legend, "labels are shown as they are written"


def test_a_figure_follows_the_filters_and_a_point_leads_to_its_row(
    explorer: Opened, frames: dict[str, pd.DataFrame]
) -> None:
    frame = frames["run"]
    page = explorer.go(state(table="run"))
    page.click("#show-figure")
    assert page.locator(".drawing .mark").count() == len(frame)
    add_filter(page, "repeat").get_by_label("0", exact=True).uncheck()
    assert page.locator(".drawing .mark").count() == (frame["repeat"] != 0).sum()
    page.select_option(".figure-settings select >> nth=0", "bars")
    assert page.locator(".drawing rect.mark").count() == (frame["repeat"] != 0).sum()
    page.locator(".drawing .mark").first.focus()
    page.keyboard.press("ArrowDown")
    row = page.evaluate("document.activeElement.dataset.row")
    page.keyboard.press("Enter")
    assert page.get_attribute("#grid tr.picked", "data-row") == row
    page.select_option(".figure-settings select >> nth=0", "scatter")
    page.get_by_label("log x").check()
    page.get_by_label("log y").check()
    assert page.locator(".drawing .mark").count() == (frame["repeat"] != 0).sum()


def test_lengths_of_bars_are_the_values(explorer: Opened, frames: dict[str, pd.DataFrame]) -> None:
    page = explorer.go(state(table="cell"))
    page.click("#show-figure")
    page.select_option(".figure-settings select >> nth=0", "bars")
    page.select_option(".figure-settings select >> nth=1", "energy_j_change")
    widths = page.eval_on_selector_all(
        ".drawing rect.mark",
        "bars => bars.map(bar => [bar.dataset.row, bar.getAttribute('width')])",
    )
    values = frames["cell"]["energy_j_change"]
    lengths = {int(row): float(width) for row, width in widths if values[int(row)] != 0}
    scale = {row: length / abs(values[row]) for row, length in lengths.items()}
    assert len(scale) == (values != 0).sum() > 0
    assert max(scale.values()) == pytest.approx(min(scale.values()), rel=1e-3)


def test_absent_values_are_not_drawn_and_the_note_says_so(
    explorer: Opened, frames: dict[str, pd.DataFrame]
) -> None:
    frame = frames["cell"]
    figure = '{"kind":"scatter","x":"energy_j_geomean","y":"energy_j_change_p_holm"}'
    page = explorer.go(state(table="cell", figure=figure))
    present = frame["energy_j_change_p_holm"].notna().sum()
    assert 0 < present < len(frame)
    assert page.locator(".drawing .mark").count() == present
    note = page.inner_text(".figure-note")
    assert f"{present} of {len(frame)} selected rows are drawn." in note
    assert "a value is absent" in note


def test_the_address_keeps_the_view(explorer: Opened, frames: dict[str, pd.DataFrame]) -> None:
    page = explorer.go(state(table="run"))
    page.click("#choose")
    page.fill("#column-search", "ttft_s")
    page.get_by_role("checkbox", name="ttft_s").check()
    page.keyboard.press("Escape")
    page.click('#grid th[data-column="energy_j"] button')
    add_filter(page, "precision").get_by_label("int8", exact=True).uncheck()
    page.click("#show-figure")
    page.fill("#search", "one")
    address = page.evaluate("location.href")
    rows, values = explorer.rows(), explorer.values()
    assert "#table=run" in address
    columns = page.eval_on_selector_all("#grid th", "all => all.map(th => th.dataset.column)")
    assert columns[-1] == "ttft_s"
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("#grid tbody tr")
    assert (page.evaluate("location.href"), explorer.rows(), explorer.values()) == (
        address,
        rows,
        values,
    )
    assert page.input_value("#search") == "one"
    assert page.locator(".drawing .mark").count() == len(rows)
    assert not page.locator("#filters").get_by_label("int8", exact=True).is_checked()
    page.click("#reset")
    assert explorer.rows() == list(range(len(frames["run"])))


@pytest.mark.parametrize(
    "address",
    [
        "#table=nothing&theme=<script>",
        "#table=cell&columns=nothing,<b>&sort=nothing&page=x",
        "#table=cell&figure={&filter=[1&filter=[%22nothing%22,%22range%22]&filter=null",
        '#table=cell&figure={"y":"valid","x":7,"kind":[]}',
        '#table=cell&filter=["host","values",{"values":7}]&filter=["host","other"]&page=99999',
        "#%E0%A4%A",
    ],
)
def test_an_address_that_fits_no_table_does_no_harm(
    explorer: Opened, frames: dict[str, pd.DataFrame], address: str
) -> None:
    explorer.go(address)
    assert explorer.rows() == list(range(len(frames["cell"])))


@pytest.mark.parametrize(("button", "whole"), [("#csv", False), ("#csv-all", True)])
def test_the_csv_is_the_filtered_table(
    explorer: Opened, frames: dict[str, pd.DataFrame], button: str, whole: bool
) -> None:
    frame = frames["cell"]
    columns = list(frame) if whole else ["precision", "host", "energy_j_geomean", "energy_j_change"]
    kept = frame[frame["precision"] == "fp32"].sort_values("energy_j_geomean", kind="stable")
    wanted = kept[columns].reset_index(drop=True)
    page = explorer.go(
        state(
            table="cell",
            columns=",".join(columns),
            sort="energy_j_geomean",
            filter='["precision","values",{"values":["fp32"]}]',
        )
    )
    with page.expect_download() as download:
        page.click(button)
    assert download.value.suggested_filename == "cell.csv"
    text = Path(download.value.path()).read_text(encoding="utf-8")
    read = pd.read_csv(io.StringIO(text), dtype=wanted.dtypes.to_dict())
    assert list(read) == columns
    pd.testing.assert_frame_equal(read, wanted, check_exact=True)


def test_hostile_texts_are_shown_and_do_nothing(
    explorer: Opened, frames: dict[str, pd.DataFrame]
) -> None:
    page = explorer.go(state(table="cell", columns="host,precision"))
    assert page.inner_text("h1") == HOSTILE[0]
    assert page.title() == f"{HOSTILE[0]}: explorer"
    shown = page.locator("#grid tbody td:first-child").all_inner_texts()
    assert shown == list(frames["cell"]["host"])
    add_filter(page, "host")
    page.click("#show-figure")
    page.locator(".drawing .mark").first.hover(force=True)
    assert HOSTILE[3][:10] in page.inner_text("#tooltip")
    page.click("#choose")
    page.click("#tab-run")
    page.wait_for_selector("#tab-run[aria-selected=true]")
    assert page.locator("img, iframe, object").count() == 0
    assert page.evaluate("window.harmed") is None


def test_the_policy_keeps_the_page_from_asking_for_anything(browser: Any, page_file: Path) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    page.wait_for_selector("#grid table")
    asked = "fetch('https://example.org/').then(() => 'answered', error => String(error))"
    assert "Failed to fetch" in page.evaluate(asked)
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), "
        "{textContent: 'window.harmed = 1'}))"
    )
    assert page.evaluate("window.harmed") is None
    page.close()


def test_everything_is_reached_with_the_keyboard(explorer: Opened) -> None:
    page = explorer.go()
    second = f"tab-{[name for name in TABLE_ORDER if name in TABLES][1]}"
    page.focus("#tab-cell")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"#{second}[aria-selected=true]")
    assert page.evaluate("document.activeElement.id") == second
    page.focus("#grid th button")
    page.keyboard.press("Enter")
    assert page.get_attribute("#grid th >> nth=0", "aria-sort") == "ascending"
    assert page.evaluate("document.activeElement.closest('th') !== null"), "the focus stays"
    page.focus("#choose")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "column-search"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "choose"
    unnamed = page.eval_on_selector_all(
        "button, input, select",
        """all => all.filter(node => !node.closest('[hidden]') && !node.innerText &&
           !node.getAttribute('aria-label') && !node.labels?.length).map(node => node.outerHTML)""",
    )
    assert unnamed == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_and_texts_can_be_read(
    open_page: Any, page_file: Path, scheme: str
) -> None:
    """The contrast of texts is at least 4.5 (WCAG 2.2, 1.4.3)."""
    opened = open_page(page_file, color_scheme=scheme)
    page = opened.go(state(table="cell"))
    page.click("#show-figure")
    for _ in range(2):
        colours = page.evaluate(
            """() => [...document.querySelectorAll(
                'h1, .soft, .interval, a, td, th button, .drawing text')]
              .filter(node => node.checkVisibility())
              .map(node => getComputedStyle(node)[node.matches('svg *') ? 'fill' : 'color'])"""
        )
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert min(contrast(colour, paper) for colour in set(colours)) >= 4.5
        page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (WCAG 2.2); 'rgb(1, 2, 3)'."""
    lights = sorted(map(_luminance, (one, other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_the_page_fits_windows_of_any_width(open_page: Any, page_file: Path, width: int) -> None:
    """Only the table and the figure scroll sideways, in their boxes."""
    opened = open_page(page_file, viewport={"width": width, "height": 800})
    page = opened.go(state(table="cell"))
    page.click("#show-figure")
    page.click("#choose")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_no_table_fits_is_said(open_page: Any, tables: dict[str, Path], tmp_path: Path) -> None:
    from codewatt.explorer.build_explorer import write_explorer

    write_explorer(tables, {}, tmp_path / "page.html", max_parquet_bytes=0)
    opened = open_page(tmp_path / "page.html")
    opened.page.goto((tmp_path / "page.html").as_uri())
    opened.page.wait_for_function("document.getElementById('count').textContent !== ''")
    assert "folder tables" in opened.page.inner_text("#count")
    assert opened.page.locator("#tabs button:disabled").count() == len(tables)
