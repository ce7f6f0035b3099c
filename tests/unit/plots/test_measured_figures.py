"""Figures of runs, effects, power, roofline and scaling draw what the tables hold, and fit."""

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import stats

from codewatt.analysis.columns import CELL, RUN
from codewatt.analysis.tables import to_rows, to_table
from codewatt.energy.timeline_reader import read_timeline
from codewatt.generate.generate_record import GENERATE
from codewatt.plots import (
    distributions,
    effects,
    figure_style,
    frontier,
    power_over_time,
    roofline,
    scaling,
)
from tests.support.raw_study import RawStudy
from tests.unit.plots import frames
from tests.unit.plots.conftest import make_labels, make_rows

Row = dict[str, Any]
LONG = "GPTQ 4-bit, group size 128, activation order, symmetric"
PROBABILITY = {"frontier_probability_base": "Float64", "frontier_probability_plus": "Float64"}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that a plot function saves, laid out and kept instead of written."""
    kept: list[Figure] = []

    def keep(figure: Figure, out_stem: Path) -> list[Path]:
        figure.draw_without_rendering()
        kept.append(figure)
        return []

    def keep_all(figure: Figure, pages: Sequence[Figure], out_stem: Path) -> list[Path]:
        for one in (figure, *pages):
            keep(one, out_stem)
        return []

    monkeypatch.setattr(figure_style, "save", keep)
    monkeypatch.setattr(figure_style, "save_pages", keep_all)
    return kept


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> RawStudy:
    return RawStudy(tmp_path_factory.mktemp("study")).write()


def words(figure: Figure) -> str:
    found = [t.get_text() for t in figure.findobj(Text) if t.get_visible()]
    return " ".join(" ".join(found).split())


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for one in figure.legends for text in one.get_texts()]


def tick_texts(axes: Any) -> list[Text]:
    """The tick labels that are drawn: those inside the limits of their axis."""
    texts = []
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            inside = low - 1e-9 <= tick.get_loc() <= high + 1e-9
            if inside and tick.label1.get_visible() and tick.label1.get_text():
                texts.append(tick.label1)
    return texts


def assert_readable(figure: Figure) -> None:
    """Every text is at least 7 points, on the page, and covers no other text or panel."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    assert figure.get_figwidth() in (figure_style.COLUMN, figure_style.TWO_COLUMNS)
    shown: list[Text] = [figure._suptitle] if figure._suptitle.get_text() else []  # type: ignore[attr-defined]
    shown += [text for one in figure.legends for text in one.get_texts()]
    panels = [axes for axes in figure.axes if axes.axison]
    for axes in panels:
        shown += [*tick_texts(axes), axes.xaxis.label, axes.yaxis.label, axes._left_title]
    shown = [text for text in shown if text.get_text().strip()]
    boxes = [text.get_window_extent(renderer) for text in shown]
    inner = [axes.get_window_extent(renderer) for axes in panels]
    for number, (text, box) in enumerate(zip(shown, boxes, strict=True)):
        assert text.get_fontsize() >= 7, text.get_text()
        assert box.x0 >= figure.bbox.x0 - 1, text.get_text()
        assert box.x1 <= figure.bbox.x1 + 1, text.get_text()
        assert box.y0 >= figure.bbox.y0 - 1, text.get_text()
        assert box.y1 <= figure.bbox.y1 + 1, text.get_text()
        for other, box_of_other in zip(shown[:number], boxes, strict=False):
            assert not box.overlaps(box_of_other), f"{text.get_text()!r} on {other.get_text()!r}"
        for panel in inner:
            width = min(box.x1, panel.x1) - max(box.x0, panel.x0)
            height = min(box.y1, panel.y1) - max(box.y0, panel.y0)
            assert min(width, height) < 1, f"{text.get_text()!r} is inside a panel"


def large_labels() -> dict[str, dict[str, str]]:
    labels = make_labels(8)
    labels["model"] = {f"m{i}": f"DeepSeek-Coder-V2-Lite-Instruct {i}" for i in range(8)}
    labels["precision"] = {**labels["precision"], "gptq4": LONG}
    return labels


def large_rows() -> list[Row]:
    return make_rows(8, ("fp32", "bf16", "int8", "nf4", "gptq4"), (0,))


def points(axes: Any) -> list[tuple[float, float]]:
    """Coordinates of all markers of a panel, in the order in which they were drawn."""
    return [
        (float(x), float(y))
        for line in axes.lines
        if line.get_marker() not in ("None", None, "")
        for x, y in zip(*line.get_data(), strict=True)
    ]


def assert_pages(whole: Figure, pages: Sequence[Figure]) -> None:
    """The pages are at most 9.5 inches tall and hold every point of the whole figure."""
    assert len(pages) > 1
    for number, page in enumerate(pages, start=1):
        assert page.get_figheight() <= 9.5
        assert f"Page {number} of {len(pages)}." in words(page)
    drawn_whole, drawn_pages = (
        sorted(round(x, 9) for figure in figures for axes in figure.axes for x, _ in points(axes))
        for figures in ((whole,), pages)
    )
    assert drawn_pages == drawn_whole


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


class TestPower:
    def cells(self, study: RawStudy) -> list[power_over_time.MeteredCell]:
        return [
            power_over_time.MeteredCell(
                GENERATE.read(cell["generate"]),
                read_timeline(cell["generate"].with_name("timeline.parquet")),
            )
            for cell in study.cells
        ]

    def table(self, study: RawStudy) -> pd.DataFrame:
        return pd.read_parquet(study.results / "tables" / "cell.parquet")

    def test_the_line_integrates_to_the_energy_of_the_run(
        self, study: RawStudy, drawn: list[Figure]
    ) -> None:
        power_over_time.plot(self.cells(study), self.table(study), {}, Path("x"))
        axes = drawn[0].axes[0]
        folder = study.cells[0]["generate"].parent
        windows = json.loads((folder / "generate.json").read_text())["windows"]
        zero_s = min(w["start_s"] for w in windows if w["phase"] == "repeat")
        runs = json.loads((folder / "energy.json").read_text())["runs"]
        steps = [p for p in axes.patches if type(p).__name__ == "StepPatch"]
        assert len(steps) == 2
        for step, part in zip(steps, ("gpu", "cpu"), strict=True):
            watts, edges, _ = step.get_data()
            joules = np.concatenate(([0.0], np.cumsum(watts * np.diff(edges))))
            for run in runs:
                own = next(
                    w for w in windows if (w["phase"], w["repeat"]) == ("repeat", run["repeat"])
                )
                at = np.array([own["start_s"], own["end_s"]]) - zero_s
                # Its ends lie inside bins, so the first and the last one count in part.
                found = float(np.diff(np.interp(at, edges, joules))[0])
                assert found == pytest.approx(run["energy_j"][part], rel=0.02)

    def test_phases_are_shaded_where_they_were(self, study: RawStudy, drawn: list[Figure]) -> None:
        power_over_time.plot(self.cells(study), self.table(study), {}, Path("x"))
        axes = drawn[0].axes[0]
        windows = self.cells(study)[0].generate["windows"]
        zero_s = min(w["start_s"] for w in windows if w["phase"] == "repeat")
        spans = [p for p in axes.patches if type(p).__name__ == "Rectangle"]
        drawn_as = {
            (round(s.get_x(), 6), round(s.get_x() + s.get_width(), 6), to_hex(s.get_facecolor()))
            for s in spans
        }
        for window in windows:
            shade = power_over_time.SHADES.get(window["phase"])
            if shade is not None:
                ends = [round(window[e] - zero_s, 6) for e in ("start_s", "end_s")]
                assert (*ends, shade.colour.lower()) in drawn_as, window["phase"]
        names = ["GPU", "CPU", "rest", "idle", "loading", "warm-up", "repeat"]
        assert legend(drawn[0]) == [*names, "prefill (strip)", "decode (strip)"]
        assert_readable(drawn[0])

    def test_shares_of_a_phase_are_its_time_in_each_bin(self) -> None:
        draw = np.random.default_rng(4)
        cuts = np.sort(draw.uniform(0, 100, 60))
        windows: Any = [
            {"phase": "decode", "start_s": a, "end_s": b}
            for a, b in zip(cuts[::2], cuts[1::2], strict=True)
        ]
        edges = np.linspace(-3, 104, 41)
        shares = power_over_time.time_shares(windows, "decode", edges)
        width = edges[1] - edges[0]
        for share, low in zip(shares, edges, strict=False):
            inside = sum(
                max(0.0, min(w["end_s"], low + width) - max(w["start_s"], low)) for w in windows
            )
            assert share == pytest.approx(inside / width, abs=1e-12)
        assert not power_over_time.time_shares(windows, "prefill", edges).any()

    def test_panels_are_named_and_counted(self, study: RawStudy, drawn: list[Figure]) -> None:
        cells = self.cells(study)[:2]
        power_over_time.plot(cells, self.table(study), {}, Path("x"))
        titles = [axes.get_title(loc="left") for axes in drawn[0].axes]
        assert titles[0].replace("\n", " ") == "fp32, engine transformers (baseline)"
        assert "The first 2 of 6 cells, baselines first." in words(drawn[0])
        assert "GPU: NVML total-energy counter (measured)" in words(drawn[0])

    def test_a_cell_without_power_says_so(self, study: RawStudy, drawn: list[Figure]) -> None:
        (cell, *_) = self.cells(study)
        bare = power_over_time.MeteredCell(
            cell.generate, type(cell.timeline)({}, cell.timeline.meters)
        )
        power_over_time.plot([bare], self.table(study), {}, Path("x"))
        assert "no power data" in words(drawn[0])

    def test_long_names_are_readable(self, study: RawStudy, drawn: list[Figure]) -> None:
        labels = {"precision": {"fp32": LONG, "int8": f"{LONG} int8"}, "model": {"one": LONG}}
        power_over_time.plot(self.cells(study) * 2, self.table(study), labels, Path("x"))
        assert len(drawn[0].axes) == 12
        assert_readable(drawn[0])


class TestRoofline:
    @pytest.fixture
    def table(self, study: RawStudy) -> pd.DataFrame:
        return pd.read_parquet(study.results / "tables" / "cell.parquet")

    def test_points_lie_below_the_roof_by_their_share(
        self, table: pd.DataFrame, drawn: list[Figure]
    ) -> None:
        roofline.plot(table, {}, Path("x"))
        (axes,) = drawn[0].axes
        rows = to_rows(table)
        found = iter(points(axes))
        for row in rows:
            for phase in ("prefill", "decode"):
                intensity, rate = next(found)
                flops, moved = row[f"{phase}_flops_mean"], row[f"{phase}_bytes_mean"]
                assert intensity == pytest.approx(flops / moved)
                roof = min(row["bandwidth_bytes_per_s"] * intensity, row["matmul_flops_per_s"])
                share = row[f"{phase}_roofline_share_geomean"]
                assert rate * 1e12 / roof == pytest.approx(share, rel=0.02)
        (line,) = [line for line in axes.lines if line.get_marker() == "None"]
        x, y = line.get_data()
        assert y * 1e12 == pytest.approx(np.minimum(2e12 * x, 3e14))
        assert_readable(drawn[0])

    def test_a_rate_that_other_load_lowered_does_not_lower_the_roof(
        self, table: pd.DataFrame, drawn: list[Figure]
    ) -> None:
        table.loc[0, ["matmul_flops_per_s", "bandwidth_bytes_per_s"]] = 3e13, 1e11
        roofline.plot(table, {}, Path("x"))
        (line,) = [one for one in drawn[0].axes[0].lines if one.get_marker() == "None"]
        x, y = line.get_data()
        assert y * 1e12 == pytest.approx(np.minimum(2e12 * x, 3e14))
        assert "1 of 6 cells measured less than half of its rate" in words(drawn[0])
        rows = to_rows(table)
        shares = []
        for row in rows:
            intensity = row["decode_flops_mean"] / row["decode_bytes_mean"]
            rate = row["decode_flops_mean"] / row["decode_s_geomean"]
            shares.append(100 * rate / min(2e12 * intensity, 3e14))
        said = f"Decoding reached {min(shares):.2g} to {max(shares):.2g} % of the roof."
        assert said in words(drawn[0])
        assert_readable(drawn[0])

    def test_each_device_has_a_roof(self, table: pd.DataFrame, drawn: list[Figure]) -> None:
        table.loc[0, "gpu_names"] = "Other GPU"
        table.loc[0, "matmul_flops_per_s"] = 3e13
        table.loc[1, "matmul_flops_per_s"] = 3.3e14
        roofline.plot(table, {}, Path("x"))
        axes = drawn[0].axes[0]
        tops = [line.get_ydata().max() for line in axes.lines if line.get_marker() == "None"]
        assert sorted(tops) == pytest.approx([30, 330])
        assert "(2 devices: Other GPU, " in words(drawn[0])

    def test_an_invalid_cell_shows_its_phases_with_open_markers(
        self, table: pd.DataFrame, drawn: list[Figure]
    ) -> None:
        table.loc[0, "valid"] = False
        roofline.plot(table, {}, Path("x"))
        lines = [one for one in drawn[0].axes[0].lines if one.get_marker() != "None"]
        first, second, *others = lines
        assert (first.get_marker(), second.get_marker()) == ("^", "o")
        fills = [to_hex(line.get_markerfacecolor()) for line in lines]
        assert fills[:2] == ["#ffffff", "#ffffff"]
        assert "#ffffff" not in fills[2:]
        assert {line.get_marker() for line in others[::2]} <= set("^v<>")
        assert {line.get_marker() for line in others[1::2]} <= set("osDh")
        assert "open: failed a validity check" in legend(drawn[0])

    def test_without_roofline_columns_it_says_so(self, drawn: list[Figure]) -> None:
        roofline.plot(frames.cell_table(make_rows()), make_labels(), Path("x"))
        assert "no roofline data" in words(drawn[0])
        assert "Cells without known FLOPs or rates are omitted." in words(drawn[0])

    def test_a_large_study_is_readable(self, drawn: list[Figure]) -> None:
        rows = large_rows()
        draw = random.Random(1)
        for row in rows:
            row |= {"bandwidth_bytes_per_s": 2e12, "matmul_flops_per_s": draw.uniform(2e14, 6e14)}
            for phase, bytes_ in (("prefill", 1e10), ("decode", 5e11)):
                row |= {
                    f"{phase}_flops_mean": draw.uniform(1e12, 9e12),
                    f"{phase}_bytes_mean": bytes_,
                    f"{phase}_s_geomean": draw.uniform(0.5, 5),
                }
        roofline.plot(frames.cell_table(rows), large_labels(), Path("x"))
        assert len(drawn[0].axes) == 8
        assert_readable(drawn[0])


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


Plot = Callable[[Path], list[Path]]


def test_equal_tables_give_equal_files(
    study: RawStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(figure_style._RC, "savefig.dpi", 40)
    rows = make_rows(1, ("bf16", "int8"), (0,))
    cells = TestPower().cells(study)[:1]
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
