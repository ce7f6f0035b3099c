"""Figures draw what the table holds, say what they leave out, and are the same at each run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from codewatt.analysis.columns import REPETITION
from codewatt.plots import (
    energy_by_precision,
    figure_style,
    frontier,
    prompts,
    prune_depth,
    repetition,
)

MODULES = [energy_by_precision, prune_depth, repetition, frontier, prompts]
Build = Callable[..., pd.DataFrame]
LONG_NAMES = {f"m{i}": f"DeepSeek-Coder-V2-Lite {i}" for i in range(8)}
UNAVAILABLE = dict.fromkeys(("gpu", "cpu", "dram"), "unavailable")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that a plot function saves, kept instead of written; not laid out."""
    kept: list[Figure] = []
    monkeypatch.setattr(figure_style, "save", lambda figure, out_stem: kept.append(figure) or [])
    return kept


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that a plot function saves, laid out and kept instead of written."""
    kept: list[Figure] = []

    def keep(figure: Figure, out_stem: Path) -> list[Path]:
        figure.draw_without_rendering()
        kept.append(figure)
        return []

    monkeypatch.setattr(figure_style, "save", keep)
    return kept


def texts(figure: Figure) -> list[str]:
    """All words of a figure that are not empty."""
    return [t.get_text() for t in figure.findobj(Text) if t.get_text().strip()]


def words(figure: Figure) -> str:
    return " ".join(" ".join(texts(figure)).split())


def bars(axes: Any) -> list[Any]:
    return [bar for container in axes.containers for bar in container if hasattr(bar, "get_hatch")]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__.rpartition(".")[2])
def test_equal_tables_give_equal_files(
    module: Any,
    cell_table: Build,
    labels: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(figure_style._RC, "savefig.dpi", 40)
    table = cell_table(precisions=("bf16",), depths=(0, 1))
    first = module.plot(table, labels, tmp_path / "a")
    second = module.plot(table, labels, tmp_path / "b")
    assert [path.name for path in first] == ["a.png", "a.pdf"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert b"CreationDate" not in one.read_bytes()


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__.rpartition(".")[2])
@pytest.mark.parametrize("cells", [0, 1])
def test_few_cells_still_make_a_figure(
    module: Any, cells: int, cell_table: Build, labels: Any, drawn: list[Figure]
) -> None:
    table = cell_table(models=1, precisions=("bf16",), depths=(0,)).head(cells)
    module.plot(table, labels, Path("x"))
    assert texts(drawn[0])


@pytest.mark.parametrize("module", [energy_by_precision, prune_depth, frontier])
def test_absent_energy_is_said_and_not_drawn_as_zero(
    module: Any, cell_table: Build, labels: Any, drawn: list[Figure]
) -> None:
    module.plot(cell_table(status=UNAVAILABLE), labels, Path("x"))
    assert "no energy data" in texts(drawn[0])
    assert "No energy data." in words(drawn[0])


def test_bars_stack_to_the_total_and_modelled_parts_are_hatched(
    cell_table: Build, labels: Any, drawn: list[Figure]
) -> None:
    table = cell_table(models=1, precisions=("bf16", "int8"), depths=(0,))
    energy_by_precision.plot(table, labels, Path("x"))
    axes = drawn[0].axes[0]
    rectangles = bars(axes)
    assert [bar.get_hatch() for bar in rectangles] == [None, *[figure_style.MODELLED_HATCH] * 2] * 2
    ends = [rectangles[i].get_x() + rectangles[i].get_width() for i in (2, 5)]
    assert ends == pytest.approx([joules / 1000 for joules in table["energy_j_mean"]])
    assert "GPU measured; CPU, DRAM modelled, not measured" in words(drawn[0])
    assert "hatched: modelled, not measured" in words(drawn[0])


def test_the_interval_is_that_of_the_geometric_mean(
    cell_table: Build, labels: Any, drawn: list[Figure]
) -> None:
    def edit(rows: list[dict[str, Any]]) -> None:
        rows[0]["energy_j_geomean"] = 0.97 * rows[0]["energy_j_mean"]

    table = cell_table(edit, models=1, precisions=("bf16",), depths=(0,))
    energy_by_precision.plot(table, labels, Path("x"))
    (container,) = [c for c in drawn[0].axes[0].containers if isinstance(c, ErrorbarContainer)]
    assert container.lines[0].get_xdata() == pytest.approx(table["energy_j_geomean"] / 1000)
    ends = container.lines[2][0].get_segments()[0][:, 0]
    columns = table[["energy_j_ci95_low", "energy_j_ci95_high"]]
    assert ends == pytest.approx(columns.to_numpy()[0] / 1000)
    assert "geometric mean, 95 % confidence interval" in words(drawn[0])


@pytest.mark.parametrize("module", [energy_by_precision, prune_depth, frontier])
def test_invalid_cells_have_no_interval_of_energy_and_the_legend_shows_what_is_drawn(
    module: Any, cell_table: Build, labels: Any, made: list[Figure]
) -> None:
    def edit(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["valid"] = False

    module.plot(cell_table(edit, precisions=("bf16",)), labels, Path("x"))
    legend = [text.get_text() for text in made[0].legends[0].get_texts()]
    assert any("failed a validity check" in text for text in legend)
    assert not any("frontier" in text and "not on" not in text for text in legend)
    assert not any("open marker" in text or "confidence interval" in text for text in legend)
    panel = made[0].axes[1] if module is prune_depth else made[0].axes[0]
    for container in panel.containers:
        if isinstance(container, ErrorbarContainer):
            assert not (container.has_yerr if module is prune_depth else container.has_xerr)


def test_cells_without_a_bar_give_the_reason(
    cell_table: Build, labels: Any, drawn: list[Figure]
) -> None:
    def edit(rows: list[dict[str, Any]]) -> None:
        rows[1]["valid"] = False
        rows[2] = {
            **rows[2],
            "status": "infeasible",
            "valid": None,
            "energy_j_mean": None,
            "energy_j_geomean": None,
        }
        del rows[5]

    table = cell_table(edit, precisions=("bf16", "int8", "nf4"), depths=(0,))
    energy_by_precision.plot(table, labels, Path("x"))
    first, second = drawn[0].axes[:2]
    assert [t.get_text().strip() for t in first.texts] == ["invalid", "infeasible"]
    assert [t.get_text().strip() for t in second.texts] == ["not in the study"]


def test_what_is_filtered_out_is_named(cell_table: Build, labels: Any, made: list[Figure]) -> None:
    table = cell_table(precisions=("bf16", "int8"), prompts=("stripped", "as_is"))
    for module in MODULES:
        module.plot(table, labels, Path("x"))
    energy, prune, repeated, front, prompt = (words(figure) for figure in made)
    assert "Not shown: prune setting last layer, last 2 layers; prompt style as_is." in energy
    assert "Not shown: precision INT8; prompt style as_is." in prune
    assert "Not shown: precision INT8; prompt style as_is." in repeated
    assert "Not shown: prompt style as_is." in front
    assert "Not shown: prune setting last layer, last 2 layers." in prompt


def test_token_limits_stand_in_panels_of_their_own(
    cell_table: Build, labels: Any, made: list[Figure]
) -> None:
    table = cell_table(models=1, precisions=("bf16",), depths=(0, 1), token_limits=(64, 256))
    for module in MODULES:
        module.plot(table, labels, Path("x"))
    for figure in made:
        titles = " ".join(axes.get_title(loc="left") for axes in figure.axes)
        assert "token limit 64" in titles
        assert "token limit 256" in titles


def test_depth_lines_go_through_the_means(
    cell_table: Build, labels: Any, made: list[Figure]
) -> None:
    table = cell_table(models=1, precisions=("bf16",))
    prune_depth.plot(table, labels, Path("x"))
    accuracy, energy = made[0].axes
    assert list(accuracy.lines[0].get_ydata()) == pytest.approx(list(table["pass_at_1_plus"]))
    assert list(energy.lines[0].get_ydata()) == pytest.approx(list(table["energy_j_mean"] / 1000))
    assert list(energy.lines[0].get_xdata()) == [0, 1, 2]


def test_repetition_is_drawn_through_the_means_with_its_intervals(
    cell_table: Build, labels: Any, drawn: list[Figure]
) -> None:
    table = cell_table(models=1, precisions=("bf16",))
    repetition.plot(table, labels, Path("x"))
    assert len(drawn[0].axes) == 3
    for axes, (name, kind) in zip(drawn[0].axes, REPETITION.items(), strict=True):
        assert list(axes.lines[0].get_xdata()) == [0, 1, 2]
        assert list(axes.lines[0].get_ydata()) == pytest.approx(list(table[name]))
        (whiskers,) = axes.containers[0].lines[2]
        ends = [(low, high) for (_, low), (_, high) in whiskers.get_segments()]
        known = zip(table[f"{name}_{kind}_low"], table[f"{name}_{kind}_high"], strict=True)
        assert ends == [pytest.approx(pair) for pair in known]
        assert axes.get_ylim()[1] >= max(table[name])


def test_a_study_without_pruning_says_so(
    cell_table: Build, labels: Any, drawn: list[Figure]
) -> None:
    repetition.plot(cell_table(depths=(0,)), labels, Path("x"))
    assert "The study has no pruned variant." in words(drawn[0])
    assert list(drawn[0].axes[0].get_xticks()) == [0]


def test_cells_of_before_tokens_were_kept_say_so(
    cell_table: Build, labels: Any, drawn: list[Figure]
) -> None:
    def edit(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row |= {"repeated_4grams_share": None, "loops_share": None}

    repetition.plot(cell_table(edit), labels, Path("x"))
    assert [axes.axison for axes in drawn[0].axes] == [False, True, False]
    assert "Share of repeated 4-grams: unknown" in words(drawn[0])


def test_random_weights_repeat_nothing_that_says_anything(
    cell_table: Build, labels: Any, drawn: list[Figure]
) -> None:
    def edit(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["model"] == "m0":
                row["accuracy_note"] = "random weights"

    repetition.plot(cell_table(edit), labels, Path("x"))
    assert "Not shown here: StarCoder2-3B (random weights)." in words(drawn[0])
    for axes in drawn[0].axes:
        assert len(axes.containers) == 1
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["Phi-2"]
    colour = drawn[0].axes[0].containers[0].lines[0].get_color()
    assert colour == figure_style.model_style(1)["color"], "the same in every figure"


@pytest.mark.parametrize("models", [2, 8])
def test_labels_of_repetition_do_not_cover_each_other(
    models: int, cell_table: Build, labels: Any, drawn: list[Figure]
) -> None:
    labels = labels | {"model": LONG_NAMES}
    table = cell_table(models=models, precisions=("bf16",), token_limits=(64, 256))
    repetition.plot(table, labels, Path("x"))
    figure = drawn[0]
    renderer = figure.canvas.get_renderer()
    outer = [*figure.texts, figure._suptitle, *figure.legends]
    own = [t for a in figure.axes for t in (a.xaxis.label, a.yaxis.label, a._left_title)]
    shown = [t for t in (*outer, *own) if not isinstance(t, Text) or t.get_text()]
    boxes = [item.get_window_extent(renderer) for item in dict.fromkeys(shown)]
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_ways_of_pruning_are_lines_of_a_panel_a_model(
    cell_table: Build, labels: Any, made: list[Figure]
) -> None:
    def edit(rows: list[dict[str, Any]]) -> None:
        other = [dict(row) for row in rows if row["prune_layers"]]
        for row in other:
            row |= {"prune": f"sleb{row['prune_layers']}", "pass_at_1_plus": 0.5}
            row["cell_id"] = row["cell_id"].replace("--last", "--sleb")
        rows += other

    # Labels are sorted by id, as a rule's params are; lines stand in the table's order.
    ways = {"sleb1": "SLEB", "sleb2": "SLEB", "last1": "last layers", "last2": "last layers"}
    labels = {**labels, "prune_line": ways}
    table = cell_table(edit, precisions=("bf16",))
    for module in (prune_depth, repetition):
        module.plot(table, labels, Path("x"))
    titles = [axes.get_title(loc="left") for axes in made[0].axes]
    assert titles == [name for name in labels["model"].values() for _ in range(2)]
    accuracy = made[0].axes[0]
    whole = table[(table["model"] == "m0") & (table["prune"] == "none")]["pass_at_1_plus"].item()
    lines = [container.lines[0] for container in accuracy.containers]
    assert [list(line.get_ydata()[1:]) for line in lines][1] == [0.5, 0.5]
    assert [line.get_ydata()[0] for line in lines] == [whole, whole]
    assert len({line.get_color() for line in lines}) == 2
    for figure in made:
        legend = [text.get_text() for text in figure.legends[0].get_texts()]
        assert legend[:2] == ["last layers", "SLEB"]
    frontier.plot(table, labels, Path("x"))
    assert any("layers (SLEB)" in text for text in texts(made[2]))


def test_one_way_of_pruning_is_a_line_a_model(
    cell_table: Build, labels: Any, made: list[Figure]
) -> None:
    labels = {**labels, "prune_line": {"last1": "last layers", "last2": "last layers"}}
    prune_depth.plot(cell_table(precisions=("bf16",)), labels, Path("x"))
    assert len(made[0].axes) == 2
    legend = [text.get_text() for text in made[0].legends[0].get_texts()]
    assert legend[:2] == list(labels["model"].values())


def test_random_weights_have_no_pass_at_1_and_the_figure_says_why(
    cell_table: Build, labels: Any, made: list[Figure]
) -> None:
    def edit(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["model"] == "m1":
                row |= {"accuracy_note": "random weights", "pass_at_1_plus": None}
                row |= {"pass_at_1_base": None}

    frontier.plot(cell_table(edit), labels, Path("x"))
    assert "Not shown in pass@1: Phi-2 (random weights)." in words(made[0])


@pytest.mark.parametrize("models", [1, 8])
def test_labels_of_the_frontier_do_not_cover_each_other(
    models: int, cell_table: Build, labels: Any, drawn: list[Figure]
) -> None:
    precisions = ("fp32", "bf16", "int8", "fp4", "nf4", "gptq4", "awq")
    frontier.plot(cell_table(models=models, precisions=precisions), labels, Path("x"))
    axes = drawn[0].axes[0]
    renderer = drawn[0].canvas.get_renderer()
    # An annotation's own extent includes the line to its point; Text's is that of the words.
    boxes = [Text.get_window_extent(note, renderer) for note in axes.texts]
    assert len(boxes) >= 3
    panel = axes.get_window_extent(renderer)
    for number, box in enumerate(boxes):
        assert panel.x0 <= box.x0
        assert box.x1 <= panel.x1
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_dominated_points_are_pale_and_members_are_not(
    cell_table: Build, labels: Any, made: list[Figure]
) -> None:
    table = cell_table(models=1, precisions=("bf16", "int8"), depths=(0,))
    frontier.plot(table, labels, Path("x"))
    colours = [container.lines[0].get_color() for container in made[0].axes[0].containers]
    strong = figure_style.model_style(0)["color"]
    assert colours == [strong, figure_style.lighten(strong)]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__.rpartition(".")[2])
def test_a_large_study_fits_its_page(
    module: Any, cell_table: Build, labels: Any, drawn: list[Figure]
) -> None:
    labels = labels | {"model": LONG_NAMES}
    precisions = ("fp32", "bf16", "int8", "fp4", "nf4", "gptq4", "awq")
    styles = ("stripped", "as_is")
    table = cell_table(models=8, precisions=precisions, depths=(0,), prompts=styles)
    module.plot(table, labels, Path("x"))
    figure = drawn[0]
    renderer = figure.canvas.get_renderer()
    page = figure.bbox
    assert figure.get_figwidth() == figure_style.TWO_COLUMNS
    outer = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for text in [*outer, *(axes._left_title for axes in figure.axes)]:
        box = text.get_window_extent(renderer)
        assert page.x0 - 1 <= box.x0, text.get_text()
        assert box.x1 <= page.x1 + 1, text.get_text()
        assert page.y0 - 1 <= box.y0, text.get_text()
        assert box.y1 <= page.y1 + 1, text.get_text()


@pytest.mark.parametrize(
    ("joules", "unit"), [(0.5, "mJ"), (1, "J"), (999, "J"), (1000, "kJ"), (3e6, "MJ")]
)
def test_energy_is_scaled_to_a_readable_unit(joules: float, unit: str) -> None:
    assert figure_style.energy_scale(joules)[1] == unit
