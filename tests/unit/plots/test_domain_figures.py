"""The figures by domain draw what the tables of domains and of comparisons by domain hold."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from codewatt.analysis.columns import DOMAIN, DOMAIN_COMPARISON
from codewatt.analysis.tables import to_rows, to_table
from codewatt.plots import domain_effects, domain_energy, domains
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

#: Domain -> number of its tasks.
TASKS = {
    "Computation": 719, "Cryptography": 54, "General": 496, "Network": 92, "System": 333,
    "Time": 111, "Visualization": 342,
}  # fmt: skip


def domain_rows(cells: Sequence[Row], names: Sequence[str] = tuple(TASKS)) -> list[Row]:
    """A row for each cell and domain, one session."""
    return [
        {
            **frames.ids(cell), "session": 1, "domain": name, "valid": cell["valid"],
            "tasks": TASKS[name], "tasks_judged": TASKS[name] - 1,
            "pass_at_1_base": 0.3 + number / 20, "pass_at_1_base_wilson95_low": 0.2 + number / 20,
            "pass_at_1_base_wilson95_high": 0.45 + number / 20,
            "j_per_task": 100.0 + 10 * number, "j_per_task_ci95_low": 95.0 + 10 * number,
            "j_per_task_ci95_high": 107.0 + 10 * number,
        }
        for cell in cells
        for number, name in enumerate(names)
    ]  # fmt: skip


def comparison_rows(cells: Sequence[Row], names: Sequence[str] = tuple(TASKS)) -> list[Row]:
    """A row for each cell that is no baseline, domain and metric."""
    return [
        {
            **frames.ids(cell), "reference_cell_id": cell["baseline_cell_id"], "domain": name,
            "metric": metric, "tasks": TASKS[name], "sessions": 1, "estimate": estimate,
            "ci95_low": estimate - 0.05, "ci95_high": estimate + 0.08,
            "p_holm": 0.01 if number % 2 else 0.2,
        }
        for cell in cells
        if cell["cell_id"] != cell["baseline_cell_id"]
        for number, name in enumerate(names)
        for metric, estimate in (
            ("pass_at_1_base", -0.02 * number),
            ("j_per_task", -0.1 - 0.02 * number),
        )
    ]  # fmt: skip


@pytest.fixture
def cells() -> list[Row]:
    return make_rows(1, ("bf16", "int8", "nf4"), (0,))


def bars(axes: object) -> list[list[float]]:
    """The ends of the error bars of a panel, in the order in which they were drawn."""
    return [
        [float(x) for x in segment[:, 0]]
        for container in axes.containers  # type: ignore[attr-defined]
        for collection in container.lines[2]
        for segment in collection.get_segments()
    ]


class TestAccuracy:
    def test_each_domain_and_variant_is_a_point_with_its_interval(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        rows = domain_rows(cells, ("Network", "Time"))
        domains.plot(to_table(rows, DOMAIN), make_labels(), Path("x"))
        (axes,) = drawn[0].axes
        assert [text.get_text() for text in axes.get_yticklabels()] == [
            "Time (110)",
            "Network (91)",
        ]
        drawn_at = {(x, round(y, 9)) for x, y in points(axes) if x in (0.3, 0.35)}
        assert drawn_at == {
            (share, place + shift)
            for share, place in ((0.35, 0), (0.3, 1))
            for shift in (0.25, 0.0, -0.25)
        }
        assert bars(axes) == [
            pytest.approx([row["pass_at_1_base_wilson95_low"], row["pass_at_1_base_wilson95_high"]])
            for row in rows
        ]
        assert legend(drawn[0]) == ["BF16", "INT8", "NF4"]
        assert_readable(drawn[0])

    @pytest.mark.parametrize("share", [None, 0.5])
    def test_a_table_without_pass_at_1_says_so(
        self, cells: list[Row], drawn: list[Figure], share: float | None
    ) -> None:
        rows = [] if share else [r | {"pass_at_1_base": None} for r in domain_rows(cells)]
        domains.plot(to_table(rows, DOMAIN), {}, Path("x"))
        assert [t.get_text() for axes in drawn[0].axes for t in axes.texts] == [
            "no pass@1 by domain"
        ]

    def test_a_panel_is_named_by_the_axes_that_differ(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        cells = [
            cell | {"batch_size": size, "cell_id": f"{cell['cell_id']}-{size}"}
            for size in (4, 16)
            for cell in cells
        ]
        domains.plot(to_table(domain_rows(cells), DOMAIN), make_labels(), Path("x"))
        titles = [axes.get_title(loc="left") for axes in drawn[0].axes]
        assert [title.split("\n")[1] for title in titles] == ["batch size 4", "batch size 16"]
        assert "Setting: benchmark" in words(drawn[0])
        assert_readable(drawn[0])


class TestEnergy:
    def plot(self, rows: Sequence[Row], cells: Sequence[Row]) -> None:
        table = to_table(rows, DOMAIN)
        domain_energy.plot(table, frames.cell_table(cells), make_labels(), Path("x"))

    def test_each_domain_and_variant_is_a_point_with_its_interval(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        rows = domain_rows(cells)
        self.plot(rows, cells)
        (axes,) = drawn[0].axes
        assert bars(axes) == [
            pytest.approx([row["j_per_task_ci95_low"], row["j_per_task_ci95_high"]]) for row in rows
        ]
        assert {x for x, _ in points(axes)} >= {row["j_per_task"] for row in rows}
        assert axes.get_xlim()[0] == 0
        assert axes.get_xlabel() == "Energy per task (J); in brackets: tasks"
        assert axes.get_yticklabels()[-1].get_text() == "Computation (719)"
        said = words(drawn[0])
        assert "with 95 % confidence interval over runs within one job" in said
        assert "CPU, DRAM modelled, not measured" in said
        assert_readable(drawn[0])

    def test_an_invalid_cell_is_a_cross_without_interval_and_modelled_energy_is_open(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        cells[1] |= {"valid": False, "energy_status": "measured"}
        cells[2] |= {"energy_status": "modelled"}
        cells[0] |= {"energy_status": "measured"}
        self.plot(domain_rows(cells, ("Time",)), cells)
        containers = drawn[0].axes[0].containers
        markers = [container.lines[0] for container in containers]
        assert [line.get_marker() for line in markers] == ["o", "x", "^"]
        assert [len(container.lines[2]) for container in containers] == [1, 0, 1]
        fills = [to_hex(line.get_markerfacecolor()) for line in markers]
        assert fills[2] == "#ffffff" != fills[0]
        assert "cross: failed a validity check, no interval of energy" in legend(drawn[0])
        assert "open marker: energy modelled, at least in part" in legend(drawn[0])

    def test_each_panel_has_its_own_scale(self, drawn: list[Figure]) -> None:
        cells = make_rows(2, ("bf16",), (0,))
        rows = domain_rows(cells, ("Time",))
        for name in ("j_per_task", "j_per_task_ci95_low", "j_per_task_ci95_high"):
            rows[1][name] *= 1000
        self.plot(rows, cells)
        limits = [axes.get_xlim()[1] for axes in drawn[0].axes]
        assert limits == pytest.approx([1.05 * 107, 1.05 * 107])
        assert [axes.get_xlabel()[:21] for axes in drawn[0].axes] == [
            "Energy per task (J); ", "Energy per task (kJ);",
        ]  # fmt: skip
        assert "Each panel has its own scale." in words(drawn[0])

    def test_a_domain_of_unknown_energy_is_omitted_and_a_table_without_any_says_so(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        rows = domain_rows(cells, ("Network", "Time"))
        for row in rows:
            if row["domain"] == "Time":
                row["j_per_task"] = None
        self.plot(rows, cells)
        assert len(drawn[0].axes[0].containers) == 3
        assert "Domains with a completion whose energy is unknown are omitted." in words(drawn[0])
        self.plot([row | {"j_per_task": None} for row in rows], cells)
        assert [t.get_text() for axes in drawn[1].axes for t in axes.texts] == [
            "no energy by domain"
        ]


class TestEffects:
    def plot(self, rows: Sequence[Row], cells: Sequence[Row]) -> None:
        table = to_table(rows, DOMAIN_COMPARISON)
        domain_effects.plot(table, frames.cell_table(cells), make_labels(), Path("x"))

    def test_estimates_and_intervals_are_those_of_the_table(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        rows = comparison_rows(cells)
        self.plot(rows, cells)
        for axes, metric in zip(drawn[0].axes, ("j_per_task", "pass_at_1_base"), strict=True):
            own = [row for row in rows if row["metric"] == metric]
            marks = [line for line in axes.lines if line.get_marker() in ("s", "^")]
            assert [float(line.get_xdata()[0]) for line in marks] == [
                pytest.approx(100 * row["estimate"]) for row in own
            ]
            fills = [to_hex(line.get_markerfacecolor()) != "#ffffff" for line in marks]
            assert fills == [row["p_holm"] < 0.05 for row in own]
            whiskers = [line for line in axes.lines if line.get_linewidth() == 1.2]
            assert [list(line.get_xdata()) for line in whiskers] == [
                pytest.approx([100 * row["ci95_low"], 100 * row["ci95_high"]]) for row in own
            ]
            assert axes.get_yticklabels()[0].get_text() == "Visualization (342)"
        assert "One session: intervals of energy and time" in words(drawn[0])
        assert_readable(drawn[0])

    def test_variants_have_the_colours_of_the_other_figures(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        domains.plot(to_table(domain_rows(cells), DOMAIN), make_labels(), Path("x"))
        self.plot(comparison_rows(cells), cells)

        def colours(figure: Figure) -> dict[str, tuple[str, object]]:
            handles = figure.legends[0].legend_handles
            kept = zip(legend(figure), handles, strict=True)
            return {name: (to_hex(h.get_color()), h.get_marker()) for name, h in kept}  # type: ignore[union-attr]

        both = colours(drawn[0]), colours(drawn[1])
        assert {name: both[0][name] for name in ("INT8", "NF4")} == {
            name: both[1][name] for name in ("INT8", "NF4")
        }
        assert "BF16" not in both[1]

    def test_a_withheld_comparison_has_no_marker_and_a_reason(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        rows = comparison_rows(cells, ("Network", "Time"))
        for row in rows:
            if row["metric"] == "j_per_task" and row["cell_id"] == cells[1]["cell_id"]:
                row |= {"estimate": None, "ci95_low": None, "note": "this cell failed"}
        self.plot(rows, cells)
        energy, accuracy = drawn[0].axes
        assert len([line for line in energy.lines if line.get_marker() in ("s", "^")]) == 2
        assert len([line for line in accuracy.lines if line.get_marker() in ("s", "^")]) == 4
        assert (
            "A comparison that is withheld has no marker (2 of 8 comparisons; 2: this cell failed)."
        ) in words(drawn[0])

    def test_a_named_reference_is_named_in_the_legend(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        rows = comparison_rows(cells)
        named = [
            row | {"reference_cell_id": cells[1]["cell_id"]}
            for row in rows
            if row["cell_id"] == cells[2]["cell_id"]
        ]
        self.plot([*rows, *named], cells)
        assert {"INT8", "NF4", "NF4 against INT8"} <= set(legend(drawn[0]))
        assert "or the variant that is named" in words(drawn[0])

    def test_a_very_wide_interval_of_energy_ends_in_an_arrow(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        rows = comparison_rows(cells, ("Time",))
        for row in rows:
            row["ci95_high"] = 9.0 if row["metric"] == "j_per_task" else 0.9
        self.plot(rows, cells)
        energy, accuracy = drawn[0].axes
        arrows = [
            [line for line in axes.lines if line.get_marker() == ">"] for axes in (energy, accuracy)
        ]
        assert [len(found) for found in arrows] == [2, 0]
        # Three times the largest change is 30 %, less than the smallest cut.
        assert float(arrows[0][0].get_xdata()[0]) == pytest.approx(60.0)
        assert "An arrow: the interval goes on beyond the panel." in words(drawn[0])

    def test_a_study_without_comparisons_says_so(
        self, cells: list[Row], drawn: list[Figure]
    ) -> None:
        self.plot([], cells)
        said = [t.get_text() for axes in drawn[0].axes for t in axes.texts]
        assert said == ["no comparisons by domain"]


def test_large_studies_have_pages_that_hold_every_point(drawn: list[Figure]) -> None:
    cells = large_rows()
    of_domain, cell_table = to_table(domain_rows(cells), DOMAIN), frames.cell_table(cells)
    comparisons = to_table(comparison_rows(cells), DOMAIN_COMPARISON)
    domains.plot(of_domain, large_labels(), Path("x"))
    domain_energy.plot(of_domain, cell_table, large_labels(), Path("x"))
    domain_effects.plot(comparisons, cell_table, large_labels(), Path("x"))
    whole = [number for number, figure in enumerate(drawn) if "Page " not in words(figure)]
    assert len(whole) == 3
    for start, end in zip(whole, [*whole[1:], len(drawn)], strict=True):
        assert_pages(drawn[start], drawn[start + 1 : end])
        assert_readable(drawn[start])


def test_a_measured_study_is_drawn(study: RawStudy, tmp_path: Path) -> None:
    tables = {
        name: pd.read_parquet(study.results / "tables" / f"{name}.parquet")
        for name in ("cell", "domain", "domain_comparison")
    }
    assert len(to_rows(tables["domain_comparison"]))
    made = domains.plot(tables["domain"], {}, tmp_path / "domains")
    made += domain_energy.plot(tables["domain"], tables["cell"], {}, tmp_path / "energy")
    comparisons = tables["domain_comparison"]
    made += domain_effects.plot(comparisons, tables["cell"], {}, tmp_path / "effects")
    assert all(path.stat().st_size > 1000 for path in made)
    assert [path.suffix for path in made] == [".png", ".pdf"] * 3
