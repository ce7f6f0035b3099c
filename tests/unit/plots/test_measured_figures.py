"""Figures of measurements: probabilities on the frontier, equal files, pages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from codewatt.analysis.columns import CELL
from codewatt.analysis.tables import to_table
from codewatt.plots import (
    distributions,
    effects,
    figure_style,
    frontier,
    power_over_time,
    prune_depth,
    roofline,
    scaling,
)
from tests.support.raw_study import RawStudy
from tests.unit.plots import frames
from tests.unit.plots.conftest import make_labels, make_rows
from tests.unit.plots.readable import PROBABILITY, large_labels, large_rows, metered_cells, words


class TestFrontierProbabilities:
    @pytest.mark.parametrize(
        ("value", "text"),
        [(0.82, "82"), (1.0, "100"), (0.999, "> 99"), (0.001, "< 1"), (0.0, "0"), (None, None)],
    )
    def test_the_probability_stands_behind_the_name(
        self, value: float | None, text: str | None, drawn: list[Figure]
    ) -> None:
        rows = make_rows(1, ("bf16",), (0,))
        for row in rows:
            row |= {"frontier_probability_plus": value, "frontier_probability_base": 0.5}
        columns = {**CELL, **PROBABILITY}
        frontier.plot(to_table(rows, columns), make_labels(), Path("x"))
        (named,) = drawn[0].axes[0].texts
        shown = named.get_text().replace("\N{NO-BREAK SPACE}", " ")
        assert shown == ("BF16" if text is None else f"BF16 ({text} %)")

    def test_a_table_without_probabilities_has_no_note(self, drawn: list[Figure]) -> None:
        table = frames.cell_table(make_rows(1, ("bf16",), (0,)))
        present = [name for name in PROBABILITY if name in table]
        frontier.plot(table.drop(columns=present), make_labels(), Path("x"))
        assert "probability" not in words(drawn[0])


@pytest.mark.parametrize("module", [frontier, prune_depth])
@pytest.mark.parametrize(
    ("sessions", "scope", "text"),
    [(1, "within one job", "over runs within one job"), (3, "between sessions", "over sessions")],
)
def test_the_note_says_what_the_intervals_of_energy_are_over(
    module: Any, sessions: int, scope: str, text: str, drawn: list[Figure]
) -> None:
    rows = make_rows(1, ("bf16",), (0, 1))
    for row in rows:
        row |= {"sessions": sessions, "interval_scope": scope}
    module.plot(frames.cell_table(rows), make_labels(), Path("x"))
    shown = words(drawn[0])
    assert f"geometric mean, {text}" in shown
    assert ("within one job" in shown) == (sessions == 1)


Plot = Callable[[Path], list[Path]]


def test_equal_tables_give_equal_files(
    study: RawStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(figure_style._RC, "savefig.dpi", 40)
    rows = make_rows(1, ("bf16", "int8"), (0,))
    cells = metered_cells(study)[:1]
    table = pd.read_parquet(study.results / "tables" / "cell.parquet")
    runs = frames.run_table(frames.run_rows(rows, 6))
    compared = frames.comparison_table(frames.comparison_rows(rows))
    scaled = frames.cell_table(frames.scaled_rows({"int8": (0.7, 0.9, 1.3)}))
    plots: dict[str, Plot] = {
        "distributions": lambda stem: distributions.plot(runs, make_labels(), stem),
        "effects": lambda stem: effects.plot(
            compared, frames.cell_table(rows), make_labels(), stem
        ),
        "power": lambda stem: power_over_time.plot(cells, table, {}, stem),
        "roofline": lambda stem: roofline.plot(table, {}, stem),
        "scaling": lambda stem: scaling.plot(scaled, make_labels(), stem),
    }
    for name, plot in plots.items():
        first, second = (plot(tmp_path / f"{name}{run}") for run in "ab")
        assert [path.suffix for path in first] == [".png", ".pdf"]
        for one, other in zip(first, second, strict=True):
            assert one.read_bytes() == other.read_bytes(), name


def test_a_tall_figure_is_one_picture_and_a_document_with_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(figure_style._RC, "savefig.dpi", 40)
    table = frames.run_table(frames.run_rows(large_rows(), 1))
    first, second = (distributions.plot(table, large_labels(), tmp_path / f"{run}") for run in "ab")
    assert [path.name for path in first] == ["a.png", "a.pdf"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    pages = first[1].read_bytes().count(b"/Type /Page\n") + first[1].read_bytes().count(
        b"/Type /Page "
    )
    assert pages > 1
