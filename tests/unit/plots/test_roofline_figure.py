"""The roofline shows achieved and possible rates."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from codewatt.analysis.tables import to_rows
from codewatt.plots import (
    roofline,
)
from tests.support.raw_study import RawStudy
from tests.unit.plots import frames
from tests.unit.plots.conftest import make_labels, make_rows
from tests.unit.plots.readable import (
    assert_readable,
    large_labels,
    large_rows,
    legend,
    points,
    words,
)


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
