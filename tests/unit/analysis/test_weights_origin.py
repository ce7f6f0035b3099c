"""Weights that were unpacked from GGUF are said to be so, in the tables and on the summary page."""

import html
from pathlib import Path
from typing import Any

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.summary import write_summary
from codewatt.analysis.tables import to_rows
from tests.support.records import PROVENANCE, variant_record

BASELINE = {"precision": "fp32", "prune": "none"}
LABELS = {"model": {"small": "Small <1>"}}
SAID = (
    "Small <1>: weights unpacked from GGUF Q4_1. They are as precise as that packing, in float32 "
    "too; changes are against these weights, not against the original checkpoint."
)


def test_tables_and_page_name_the_packing(study: Any, tmp_path: Path) -> None:
    base = {**variant_record()["base"], "packed_as": "Q4_1"}
    for precision in ("fp32", "int8"):
        study.variant(precision, "small", base=base)
        study.variant(precision, "nano")
        study.cell(precision, model="small")
        study.cell(precision, model="nano")
    made = aggregate(study.cells, study.variants, BASELINE, {})
    for table in ("variant", "cell"):
        rows = to_rows(made[table])
        assert {row["model"]: row["weights_origin"] for row in rows} == {
            "small": "unpacked from GGUF Q4_1",
            "nano": None,
        }
    out = tmp_path / "summary.html"
    tables = made["cell"], made["variant"], made["check"]
    write_summary(*tables, LABELS, {}, PROVENANCE, out)
    page = html.unescape(out.read_text())
    assert page.count(SAID) == 1
    # Once beside the dtype of each of the two variants, and once in the notice.
    assert page.count("unpacked from GGUF Q4_1") == 3
