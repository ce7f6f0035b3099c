"""Scaling shows energy against batch size and model size."""

import math
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from codewatt.analysis.columns import CELL
from codewatt.analysis.tables import to_table
from codewatt.plots import (
    scaling,
)
from tests.unit.plots import frames
from tests.unit.plots.conftest import make_labels
from tests.unit.plots.readable import assert_readable, large_labels, legend, words


class TestScaling:
    def test_lines_go_through_the_cells_and_the_crossover_is_marked(
        self, drawn: list[Figure]
    ) -> None:
        # Log ratio of int8: -0.2 at 4, 0.2 at 16; nf4 saves everywhere.
        ratios = {"int8": (0.7, math.exp(-0.2), math.exp(0.2)), "nf4": (0.7, 0.8, 0.9)}
        rows = frames.scaled_rows(ratios)
        scaling.plot(frames.cell_table(rows), make_labels(), Path("x"))
        (axes,) = drawn[0].axes
        for container, precision in zip(axes.containers, ("bf16", "int8", "nf4"), strict=True):
            own = [row for row in rows if row["precision"] == precision]
            line = container.lines[0]
            assert line.get_ydata() == pytest.approx([row["j_per_token_geomean"] for row in own])
            assert line.get_xdata() == pytest.approx([1, 4, 16], rel=0.03)
            (whiskers,) = container.lines[2]
            ends = [(low, high) for (_, low), (_, high) in whiskers.get_segments()]
            assert ends == [
                pytest.approx((row["j_per_token_ci95_low"], row["j_per_token_ci95_high"]))
                for row in own
            ]
        (mark,) = [line for line in axes.lines if line.get_linestyle() == "--" and
                   list(line.get_ydata()) == [0, 1]]  # fmt: skip
        assert mark.get_xdata() == pytest.approx([8, 8])
        (band,) = axes.patches
        assert band.get_x() < 8 < band.get_x() + band.get_width()
        said = words(drawn[0])
        assert "INT8 at batch size 8 (95 % interval" in said
        assert "No crossover in the measured range for NF4 (batch size)" in said
        assert_readable(drawn[0])

    def test_without_significance_there_is_no_crossover(self, drawn: list[Figure]) -> None:
        rows = frames.scaled_rows({"int8": (0.7, 0.8, 1.02)}, width=0.05)
        scaling.plot(frames.cell_table(rows), make_labels(), Path("x"))
        (axes,) = drawn[0].axes
        assert not axes.patches
        assert "No crossover in the measured range for INT8" in words(drawn[0])
        assert not any("crossover" in text for text in legend(drawn[0]))

    def test_models_of_several_sizes_have_a_panel(self, drawn: list[Figure]) -> None:
        rows = frames.scaled_rows({"int8": (0.7, 1.3, 1.4)}, batch_sizes=(2,), models=3)
        scaling.plot(frames.cell_table(rows), make_labels(3), Path("x"))
        (axes,) = drawn[0].axes
        assert axes.get_xlabel() == "Parameters of the baseline (billions)"
        line = axes.containers[1].lines[0]
        assert line.get_xdata() == pytest.approx([1, 3, 9], rel=0.03)
        assert "Models differ in more than their size." in words(drawn[0])
        at = 3 ** (-math.log(0.7) / (math.log(1.3) - math.log(0.7)))
        assert f"INT8 at parameters of the baseline (billions) {at:.3g}" in words(drawn[0])

    def test_one_size_says_so(self, drawn: list[Figure]) -> None:
        rows = frames.scaled_rows({"int8": (0.7,)}, batch_sizes=(2,))
        scaling.plot(frames.cell_table(rows), make_labels(), Path("x"))
        scaling.plot(to_table([], CELL), make_labels(), Path("x"))
        for figure in drawn:
            assert "no energy at several sizes" in words(figure)

    def test_invalid_cells_are_not_drawn(self, drawn: list[Figure]) -> None:
        rows = frames.scaled_rows({"int8": (0.7, 0.8, 1.3)})
        rows[-1]["valid"] = False
        scaling.plot(frames.cell_table(rows), make_labels(), Path("x"))
        (axes,) = drawn[0].axes
        assert [len(c.lines[0].get_xdata()) for c in axes.containers] == [3, 2]
        assert not axes.patches

    def test_a_large_study_is_readable(self, drawn: list[Figure]) -> None:
        ratios = dict.fromkeys(("int8", "nf4", "gptq4", "awq"), (0.7, 0.9, 1.1, 1.2, 1.3))
        rows = frames.scaled_rows(ratios, models=3)
        scaling.plot(frames.cell_table(rows), large_labels(), Path("x"))
        assert len(drawn[0].axes) == 6
        assert_readable(drawn[0])
