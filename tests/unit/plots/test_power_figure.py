"""Power over time shows what the timeline holds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from codewatt.plots import (
    power_over_time,
)
from tests.support.raw_study import RawStudy
from tests.unit.plots.readable import (
    LONG,
    assert_readable,
    legend,
    metered_cells,
    words,
)


def cell_table(study: RawStudy) -> pd.DataFrame:
    return pd.read_parquet(study.results / "tables" / "cell.parquet")


class TestPower:
    def test_the_line_integrates_to_the_energy_of_the_run(
        self, study: RawStudy, drawn: list[Figure]
    ) -> None:
        power_over_time.plot(metered_cells(study), cell_table(study), {}, Path("x"))
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
        power_over_time.plot(metered_cells(study), cell_table(study), {}, Path("x"))
        axes = drawn[0].axes[0]
        windows = metered_cells(study)[0].generate["windows"]
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
        cells = metered_cells(study)[:2]
        power_over_time.plot(cells, cell_table(study), {}, Path("x"))
        titles = [axes.get_title(loc="left") for axes in drawn[0].axes]
        assert titles[0].replace("\n", " ") == "fp32, engine transformers (baseline)"
        assert "The first 2 of 6 cells, baselines first." in words(drawn[0])
        assert "GPU: NVML total-energy counter (measured)" in words(drawn[0])

    def test_a_cell_without_power_says_so(self, study: RawStudy, drawn: list[Figure]) -> None:
        (cell, *_) = metered_cells(study)
        bare = power_over_time.MeteredCell(
            cell.generate, type(cell.timeline)({}, cell.timeline.meters)
        )
        power_over_time.plot([bare], cell_table(study), {}, Path("x"))
        assert "no power data" in words(drawn[0])

    def test_long_names_are_readable(self, study: RawStudy, drawn: list[Figure]) -> None:
        labels = {"precision": {"fp32": LONG, "int8": f"{LONG} int8"}, "model": {"one": LONG}}
        power_over_time.plot(metered_cells(study) * 2, cell_table(study), labels, Path("x"))
        assert len(drawn[0].axes) == 12
        assert_readable(drawn[0])
