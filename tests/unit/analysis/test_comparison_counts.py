"""The comparisons that `codewatt power` counts are those that the comparison table has."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.changes import ComparisonSettings
from codewatt.cells import pairs_to_compare
from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.estimate.power_report import make_power_report
from codewatt.grid import Grid
from tests.unit.analysis.conftest import BASELINE

Json = dict[str, Any]


def pair(cell: str, reference: str, axis: str = "precision") -> Json:
    return {"cell": {axis: cell}, "reference": {axis: reference}}


DESIGN: Json = {
    "study": "counted",
    "title": "Cells that are compared",
    "models": [{"id": "nano", "source": "nano", "architecture": "qwen2"}],
    "prunes": [{"id": "none", "method": "none"}],
    "precisions": [
        {"id": "fp32", "method": "none", "dtype": "float32"},
        {"id": "bf16", "method": "none", "dtype": "bfloat16"},
        {"id": "fp16", "method": "none", "dtype": "float16"},
    ],
    "benchmarks": [{"id": "held", "kind": "nano"}],
    "token_limits": [64],
    "baseline": BASELINE,
}
OF_ENGINES = pair("graph", "transformers", "engine")
ENGINES = {"engines": ["transformers", "graph"]}
#: What a design adds, and the comparisons that it has: cells with a baseline in their setting, and
#: pairs that are not among these.
DESIGNS: dict[str, tuple[Json, int]] = {
    "baseline only": ({"precisions": DESIGN["precisions"][:1]}, 0),
    "one variant": ({"precisions": DESIGN["precisions"][:2]}, 1),
    "two variants": ({}, 2),
    "a pair of variants": ({"pairs": [pair("fp16", "bf16")]}, 3),
    "a pair twice": ({"pairs": [pair("fp16", "bf16"), pair("fp16", "bf16")]}, 3),
    "a pair in both directions": ({"pairs": [pair("fp16", "bf16"), pair("bf16", "fp16")]}, 3),
    "a pair with the baseline": ({"pairs": [pair("fp16", "fp32")]}, 2),
    "the baseline with a variant": ({"pairs": [pair("fp32", "fp16")]}, 2),
    "two engines": (ENGINES, 4),
    "engines, of each precision": (ENGINES | {"pairs": [OF_ENGINES]}, 7),
    "without a baseline of one engine": (
        ENGINES | {"exclude": [{"precision": "fp32", "engine": "graph"}]},
        2,
    ),
    "a pair where the baseline is absent": (
        ENGINES
        | {
            "exclude": [{"precision": "fp32", "engine": "graph"}],
            "pairs": [pair("bf16", "fp16"), pair("bf16", "fp32")],
        },
        4,
    ),
}


@pytest.mark.parametrize(("changes", "expected"), DESIGNS.values(), ids=DESIGNS)
def test_the_count_is_that_of_the_comparison_table(
    study: Any, tmp_path: Path, changes: Json, expected: int
) -> None:
    values = {**DESIGN, **changes}
    named = values.pop("pairs", [])
    grid = Grid(validate(Study, {**values, "comparisons": {"pairs": named}}, "study.yaml"))
    for cell in grid.cells:
        study.cell(cell.precision, engine=cell.engine)
    path = tmp_path / "comparison.csv"
    settings = ComparisonSettings(pairs=grid.named_pairs)
    aggregate(study.cells, [], BASELINE, {"comparison_csv": path}, "node", settings)
    rows = pd.read_csv(path)
    pairs = set(zip(rows["cell_id"], rows["reference_cell_id"], strict=True))
    assert set(grid.compared_pairs) == pairs
    assert len(grid.compared_pairs) == len(pairs) == expected
    assert make_power_report(grid, "gpu", None).comparisons == expected


def test_pairs_that_name_an_unknown_cell_are_left_out() -> None:
    baseline_of = {"base": "base", "x": "base", "y": "gone", "z": None}
    named = [("y", "z"), ("gone", "x"), ("x", "gone"), ("z", "y"), ("base", "x")]
    assert pairs_to_compare(baseline_of, named) == [("base", "base"), ("x", "base"), ("y", "z")]
