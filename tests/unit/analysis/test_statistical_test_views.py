"""The summary page names the pairs of cells that differ, and not every pair."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.statistical_tests.columns import STATISTICAL_TEST
from codewatt.analysis.statistical_tests.summary_views import statistical_test_views
from codewatt.analysis.summary import write_summary

WHERE = "in the table <code>statistical_test</code> (<code>tables/statistical_test.csv</code>"


def dunn(number: int, p_holm: float | None) -> dict[str, Any]:
    """A row of Dunn's test of the pair (first, number)."""
    return {
        **dict.fromkeys(STATISTICAL_TEST),
        "test": "Dunn",
        "level": "task",
        "metric": "energy_j",
        "factor": "variant",
        "group": "the group",
        "cell_id": "first",
        "other_cell_id": f"cell-{number:03}",
        "n": 20,
        "statistic_name": "z",
        "statistic": 2.5,
        "p_holm": p_holm,
        "effect_name": "Cliff's delta",
        "effect": 0.5,
        "conclusion": "They differ.",
    }


def text_of(study: Any, tmp_path: Path, rows: list[dict[str, Any]]) -> str:
    """The summary page's lines on statistical tests."""
    study.cell("fp32")
    made = aggregate(study.cells, study.variants, {"precision": "fp32", "prune": "none"}, {})
    out = tmp_path / "summary.html"
    shown = (made["cell"], made["variant"], made["check"])
    write_summary(*shown, {}, {}, {}, out, tests=pd.DataFrame(rows).astype(object))
    return re.sub(r"\s+", " ", out.read_text())


def test_only_significant_pairs_are_shown_the_smallest_p_first(study: Any, tmp_path: Path) -> None:
    rows = [dunn(1, 0.04), dunn(2, 0.05), dunn(3, 1.0), dunn(4, 0.001), dunn(5, None)]
    pairs = statistical_test_views(rows)["pairs"]
    assert [row["other"] for row in pairs["rows"]] == ["cell-004", "cell-001"]
    assert (pairs["tests"], pairs["significant"], pairs["left_out"]) == (5, 2, 0)
    text = text_of(study, tmp_path, rows)
    assert "Pairs of cells that differ: 2 of 5 tests by Dunn have p (Holm) below 0.05<" in text
    assert f"All other pairs are {WHERE}" in text
    assert "cell-002" not in text
    assert "cell-003" not in text


def test_at_most_fifty_pairs_are_shown_and_the_others_counted(study: Any, tmp_path: Path) -> None:
    rows = [dunn(number, 0.04 - number / 10_000) for number in range(120)] + [dunn(500, 0.5)]
    pairs = statistical_test_views(rows)["pairs"]
    assert [row["other"] for row in pairs["rows"]] == [f"cell-{n:03}" for n in range(119, 69, -1)]
    text = text_of(study, tmp_path, rows)
    assert "Pairs of cells that differ: 120 of 121 tests by Dunn" in text
    assert (
        f"Shown are the 50 with the smallest p. 70 more, and all other pairs, are {WHERE}" in text
    )
    assert len(re.findall(r"and cell-\d+", text)) == 50


def test_no_pair_that_differs_is_said_without_a_table(study: Any, tmp_path: Path) -> None:
    text = text_of(study, tmp_path, [dunn(1, 0.5)])
    assert "Pairs of cells that differ: 0 of 1 tests by Dunn" in text
    assert "and cell-001" not in text


@pytest.mark.parametrize("factor", ["variant", None])
def test_without_tests_by_dunn_nothing_is_said_of_pairs(
    study: Any, tmp_path: Path, factor: str | None
) -> None:
    other = dunn(1, 0.01) | {"test": "Levene", "other_cell_id": None, "factor": factor}
    assert statistical_test_views([other])["pairs"] is None
    assert "Pairs of cells" not in text_of(study, tmp_path, [other])
