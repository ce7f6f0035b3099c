"""Distributions show every run."""

import random
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from codewatt.analysis.columns import RUN
from codewatt.analysis.tables import to_table
from codewatt.plots import (
    distributions,
    figure_style,
)
from tests.unit.plots import frames
from tests.unit.plots.conftest import make_labels, make_rows
from tests.unit.plots.readable import (
    assert_pages,
    assert_readable,
    large_labels,
    large_rows,
    legend,
    points,
    tick_texts,
    words,
)


class TestDistributions:
    def test_every_run_is_a_point_on_its_line(self, drawn: list[Figure]) -> None:
        rows = frames.run_rows(make_rows(1, ("bf16", "int8"), (0, 1)), repeats=3)
        distributions.plot(frames.run_table(rows), make_labels(), Path("x"))
        energy, duration = drawn[0].axes
        lines = ["BF16", "BF16 (pruned: last layer)", "INT8", "INT8 (pruned: last layer)"]
        assert [t.get_text() for t in energy.get_yticklabels()] == lines
        for axes, metric, divisor in ((energy, "energy_j", 1e3), (duration, "duration_s", 1)):
            assert [x for x, _ in points(axes)] == pytest.approx(
                [row[metric] / divisor for row in rows]
            )
            assert [round(y) for _, y in points(axes)] == [n // 3 for n in range(12)]
        assert "No violins: no variant has 5 runs." in words(drawn[0])
        assert not energy.collections
        assert_readable(drawn[0])

    def test_sessions_have_their_own_markers(self, drawn: list[Figure]) -> None:
        rows = frames.run_rows(make_rows(1, ("bf16",), (0,)), repeats=2, sessions=3)
        random.Random(0).shuffle(rows)
        distributions.plot(frames.run_table(rows), make_labels(), Path("x"))
        axes = drawn[0].axes[0]
        styles = [(line.get_color(), line.get_marker()) for line in axes.lines]
        expected = [figure_style.model_style(n) for n in (0, 0, 1, 1, 2, 2)]
        assert styles == [(s["color"], s["marker"]) for s in expected]
        assert legend(drawn[0]) == ["session 1", "session 2", "session 3"]
        ordered = sorted(rows, key=lambda row: (row["session"], row["repeat"]))
        assert [x for x, _ in points(axes)] == pytest.approx([r["energy_j"] / 1e3 for r in ordered])

    def test_a_violin_is_the_kernel_density_of_the_runs(self, drawn: list[Figure]) -> None:
        rows = frames.run_rows(make_rows(1, ("bf16",), (0,)), repeats=8)
        distributions.plot(frames.run_table(rows), make_labels(), Path("x"))
        (violin,) = drawn[0].axes[0].collections
        outline = violin.get_paths()[0].vertices
        values = np.array([row["energy_j"] / 1e3 for row in rows])
        known = stats.gaussian_kde(values)
        upper = outline[outline[:, 1] > 0.01]
        peak = known(np.linspace(values.min(), values.max(), 200)).max()
        assert upper[:, 1] == pytest.approx(0.42 * known(upper[:, 0]) / peak, rel=1e-3)
        assert outline[:, 0].min() == pytest.approx(values.min())
        assert outline[:, 0].max() == pytest.approx(values.max())

    def test_equal_runs_have_no_density(self) -> None:
        assert distributions.density(np.full(6, 3.0), np.array([3.0])) is None

    def test_a_wide_range_is_logarithmic_and_has_plain_numbers(self, drawn: list[Figure]) -> None:
        rows = frames.run_rows(make_rows(1, ("bf16", "int8"), (0,)), repeats=6)
        for row in rows[6:]:
            row["energy_j"] *= 40
        distributions.plot(frames.run_table(rows), make_labels(), Path("x"))
        energy, duration = drawn[0].axes
        assert (energy.get_xscale(), duration.get_xscale()) == ("log", "linear")
        assert "logarithmic" in energy.get_xlabel()
        ticks = [t for t in tick_texts(energy) if t.get_text().replace(".", "").isdigit()]
        assert len(ticks) >= 3
        values = np.log10([row["energy_j"] / 1e6 for row in rows[6:]])
        outline = energy.collections[1].get_paths()[0].vertices
        upper = outline[outline[:, 1] > 1.01]
        known = stats.gaussian_kde(values)
        peak = known(np.linspace(values.min(), values.max(), 200)).max()
        expected = 1 + 0.42 * known(np.log10(upper[:, 0])) / peak
        assert upper[:, 1] == pytest.approx(expected, rel=1e-3)
        assert_readable(drawn[0])

    def test_invalid_runs_are_crosses_outside_the_violin(self, drawn: list[Figure]) -> None:
        rows = frames.run_rows(make_rows(1, ("bf16",), (0,)), repeats=6)
        for row in rows[:2]:
            row["valid"] = False
        distributions.plot(frames.run_table(rows), make_labels(), Path("x"))
        axes = drawn[0].axes[0]
        assert [line.get_marker() for line in axes.lines] == ["x", "x", *"oooo"]
        assert not axes.collections, "4 valid runs are too few"
        assert any("failed a validity check" in text for text in legend(drawn[0]))

    def test_a_large_study_and_a_small_one_are_readable(self, drawn: list[Figure]) -> None:
        for rows, runs in ((large_rows(), 6), (make_rows(1, ("bf16",), (0,)), 1)):
            table = frames.run_table(frames.run_rows(rows, runs, sessions=2))
            distributions.plot(table, large_labels(), Path("x"))
        distributions.plot(to_table([], RUN), {}, Path("x"))
        whole, *pages, small, none = drawn
        for figure in (whole, *pages, small):
            assert_readable(figure)
        assert_pages(whole, pages)
        assert "no runs" in words(none)

    def test_a_block_that_is_taller_than_a_page_is_divided(self, drawn: list[Figure]) -> None:
        rows = [
            {**row, "prune": f"cut{n}", "cell_id": f"{row['cell_id']}--{n}"}
            for n in range(45)
            for row in make_rows(1, ("bf16",), (0,))
        ]
        table = frames.run_table(frames.run_rows(rows, 2))
        distributions.plot(table, make_labels(), Path("x"))
        whole, *pages = drawn
        assert_pages(whole, pages)
        assert pages[1].axes[0].get_title(loc="left").endswith("(continued)")

    def test_without_energy_the_durations_are_drawn(self, drawn: list[Figure]) -> None:
        rows = frames.run_rows(make_rows(1, ("bf16",), (0,)), repeats=3)
        table = frames.run_table([{**row, "energy_j": None} for row in rows])
        distributions.plot(table, make_labels(), Path("x"))
        energy, duration = drawn[0].axes
        assert energy.get_xlabel() == "no energy data"
        assert len(points(duration)) == 3
