"""Effects show every comparison with its interval."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from codewatt.analysis.tables import to_rows
from codewatt.plots import (
    effects,
)
from tests.support.raw_study import RawStudy
from tests.unit.plots import frames
from tests.unit.plots.conftest import make_labels, make_rows
from tests.unit.plots.readable import (
    Row,
    assert_pages,
    assert_readable,
    large_labels,
    large_rows,
    legend,
    points,
    words,
)


class TestEffects:
    @pytest.fixture
    def cells(self) -> list[Row]:
        return make_rows(1, ("bf16", "int8", "nf4", "awq"), (0,))

    def plot(self, comparisons: Sequence[Row], cells: Sequence[Row]) -> None:
        table = frames.comparison_table(comparisons)
        effects.plot(table, frames.cell_table(cells), make_labels(), Path("x"))

    def test_estimates_and_intervals_are_those_of_the_table(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        rows = frames.comparison_rows(cells)
        self.plot(rows, cells)
        metrics = ("energy_j", "duration_s", "j_per_token", "pass_at_1_plus")
        for axes, metric in zip(drawn[0].axes, metrics, strict=True):
            own = [row for row in rows if row["metric"] == metric]
            assert points(axes) == [
                (pytest.approx(100 * row["estimate"]), place) for place, row in enumerate(own)
            ]
            bars = [line for line in axes.lines if line.get_linewidth() == 1.8]
            assert [list(bar.get_xdata()) for bar in bars] == [
                pytest.approx([100 * row["ci95_low"], 100 * row["ci95_high"]]) for row in own
            ]
            fills = [to_hex(line.get_markerfacecolor()) for line in axes.lines[1:]][1::2]
            assert [fill != "#ffffff" for fill in fills] == [row["p_holm"] < 0.05 for row in own]
            assert list(axes.lines[0].get_xdata()) == [0, 0], "the line of no change"
        assert [t.get_text() for t in drawn[0].axes[0].get_yticklabels()] == ["INT8", "NF4", "AWQ"]
        assert "One session: intervals of energy and time describe" in words(drawn[0])
        assert_readable(drawn[0])

    def test_the_margins_of_energy_and_of_accuracy_are_shaded(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        rows = frames.comparison_rows(cells)
        rows[0]["equivalence_margin"] = None
        self.plot(rows, cells)
        *others, accuracy = drawn[0].axes
        for axes, margin, lines in (*((a, 5, 3) for a in others), (accuracy, 3, 3)):
            shades = [shade.get_paths()[0].vertices for shade in axes.collections]
            assert len(shades) == lines - (axes is others[0])
            for shade in shades:
                ends = shade[:, 0].min(), shade[:, 0].max()
                assert ends == (pytest.approx(-margin), pytest.approx(margin))
        said = "shaded: equivalence margin (energy and time \N{PLUS-MINUS SIGN}5 %; pass@1 "
        assert f"{said}\N{PLUS-MINUS SIGN}3 points)" in legend(drawn[0])

    def test_simultaneous_intervals_are_those_of_the_cell_table(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        rows = frames.comparison_rows(cells)
        self.plot(rows, cells)
        named = {**rows[0], "reference_cell_id": cells[2]["cell_id"]}
        ends = ("energy_j_change_simultaneous95_low", "energy_j_change_simultaneous95_high")
        for place, cell in enumerate(cells[1:]):
            cell |= {ends[0]: -0.1 - place / 10, ends[1]: 0.2 + place / 10}
        self.plot([*rows, named], cells)
        thin = [
            [[line for line in a.lines if line.get_linewidth() == 0.5] for a in figure.axes]
            for figure in drawn
        ]
        assert thin[0] == [[], [], [], []]
        energy, *others = thin[1]
        assert others == [[], [], []]
        assert [list(line.get_xdata()) for line in energy] == [
            pytest.approx([-10 - 10 * place, 20 + 10 * place]) for place in range(3)
        ]
        simultaneous = "thin: simultaneous 95 % interval (Bonferroni)"
        assert [simultaneous in legend(figure) for figure in drawn] == [False, True]
        assert_readable(drawn[1])

    def test_a_wide_interval_ends_in_an_arrow(self, cells: list[Row], drawn: list[Figure]) -> None:
        rows = [row for row in frames.comparison_rows(cells) if row["metric"] == "energy_j"]
        rows[1]["ci95_high"] = 900.0
        largest = max(abs(row["estimate"]) for row in rows)
        self.plot(rows, cells)
        (axes,) = drawn[0].axes
        (arrow,) = [line for line in axes.lines if line.get_marker() == ">"]
        assert list(arrow.get_xdata()) == [pytest.approx(300 * largest)]
        assert list(arrow.get_ydata()) == [1]
        ends = [line.get_xdata()[1] for line in axes.lines if line.get_linewidth() == 1.8]
        assert ends[1] == pytest.approx(300 * largest)
        assert ends[0] == pytest.approx(100 * rows[0]["ci95_high"])
        assert "An arrow: the interval goes on beyond the panel." in words(drawn[0])
        rows[1]["ci95_high"] = rows[1]["estimate"] + 0.1
        self.plot(rows, cells)
        assert "arrow" not in words(drawn[1])

    def test_withheld_comparisons_keep_their_line_and_the_reasons_are_counted(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        rows = frames.comparison_rows(cells)
        none = dict.fromkeys(("estimate", "ci95_low", "ci95_high", "p", "p_holm"))
        for row in rows:
            if row["precision"] == "int8" or row["metric"].startswith("pass"):
                row |= none
            if row["precision"] == "int8":
                row["note"] = "this cell failed a validity check"
        self.plot(rows, cells)
        assert len(drawn[0].axes) == 3, "no panel without an estimate"
        assert [y for _, y in points(drawn[0].axes[0])] == [1, 2]
        assert [t.get_text() for t in drawn[0].axes[0].get_yticklabels()] == ["INT8", "NF4", "AWQ"]
        said = words(drawn[0])
        assert "a line without a marker (3 of 3 lines; " in said
        assert "1: this cell failed a validity check" in said
        assert "2: no estimate" in said
        assert_readable(drawn[0])

    def test_metrics_of_single_tasks_are_not_drawn(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        rows = frames.comparison_rows(cells)
        self.plot([*rows, {**rows[0], "metric": "task_energy_j", "estimate": 9.0}], cells)
        assert len(drawn[0].axes) == 4
        assert max(x for axes in drawn[0].axes for x, _ in points(axes)) < 900

    def test_a_setting_without_plus_tests_shows_the_base_tests(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        other = [
            {**cell, "benchmark": "bcb", "cell_id": f"{cell['cell_id']}--bcb",
             "baseline_cell_id": f"{cell['baseline_cell_id']}--bcb"}
            for cell in cells
        ]  # fmt: skip
        based = frames.comparison_rows(other)
        for row in based:
            row["metric"] = row["metric"].replace("_plus", "_base")
        self.plot([*frames.comparison_rows(cells), *based], [*cells, *other])
        first, second = drawn[0].axes[3], drawn[0].axes[7]
        assert first.get_xlabel().startswith("pass@1 (base and plus")
        assert second.get_xlabel().startswith("pass@1 (base tests)")
        assert len(points(first)) == len(points(second)) == 3

    def test_the_comparison_table_of_a_study_is_drawn(
        self, study: RawStudy, drawn: list[Figure]
    ) -> None:
        tables = study.results / "tables"
        compared = pd.read_parquet(tables / "comparison.parquet")
        cells = pd.read_parquet(tables / "cell.parquet")
        effects.plot(compared, cells, {}, Path("x"))
        rows = [row for row in to_rows(compared) if row["estimate"] is not None]
        for metric, word in (("energy_j", "energy"), ("pass_at_1_plus", "pass@1 (base and plus")):
            panels = [axes for axes in drawn[0].axes if word in axes.get_xlabel()]
            found = sorted(x for axes in panels for x, _ in points(axes))
            own = sorted(100 * row["estimate"] for row in rows if row["metric"] == metric)
            assert found == pytest.approx(own)
        assert_readable(drawn[0])

    def test_other_references_are_named(self, cells: list[Row], drawn: list[Figure]) -> None:
        rows = frames.comparison_rows(cells)
        other = {**rows[0], "reference_cell_id": cells[2]["cell_id"], "estimate": 0.5}
        self.plot([*rows, other], cells)
        lines = [t.get_text() for t in drawn[0].axes[0].get_yticklabels()]
        named = [line for line in lines if "against" in line]
        assert len(lines) == 4
        assert named == ["INT8 against NF4"]

    def test_a_large_study_is_readable_and_none_says_so(self, drawn: list[Figure]) -> None:
        rows = large_rows()
        comparisons = frames.comparison_rows(rows, sessions=3)
        table, cells = frames.comparison_table(comparisons), frames.cell_table(rows)
        effects.plot(table, cells, large_labels(), Path("x"))
        effects.plot(table.head(0), cells, large_labels(), Path("x"))
        whole, *pages, none = drawn
        assert len(whole.axes) == 8 * 4
        assert "Sessions: 3." in words(whole)
        for figure in (whole, *pages):
            assert_readable(figure)
        assert_pages(whole, pages)
        for page in pages:
            for axes, other in zip(page.axes[:4], whole.axes, strict=False):
                assert axes.get_xlim() == other.get_xlim()
        assert "no comparisons" in words(none)
