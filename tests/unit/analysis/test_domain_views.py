"""The summary page's tables of results by domain say what the tables hold."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from codewatt.analysis.columns import DOMAIN, DOMAIN_COMPARISON
from codewatt.analysis.domain_views import domain_views
from codewatt.analysis.summary import write_summary
from tests.support.raw_study import RawStudy

LABELS = {"model": {"m": "Model"}, "precision": {"int8": "INT8"}}
BASELINES = {"m-fp16": "m-fp16", "m-int8": "m-fp16"}
IDS = {
    "model": "m", "prune": "full", "prune_layers": 0, "benchmark": "b", "prompt": "chat",
    "token_limit": 64, "batch_size": 1, "engine": "graph", "hardware": None,
}  # fmt: skip


def domain_row(precision: str, domain: str, **changes: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(DOMAIN), **IDS, "cell_id": f"m-{precision}", "precision": precision,
        "domain": domain, "valid": True, "tasks_judged": 12, "pass_at_1_base": 0.25,
        "pass_at_1_base_wilson95_low": 0.1, "pass_at_1_base_wilson95_high": 0.5,
        "j_per_task": 1234.0, "j_per_task_ci95_low": 1200.0, "j_per_task_ci95_high": 1270.0,
        **changes,
    }  # fmt: skip


def comparison(metric: str, **changes: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(DOMAIN_COMPARISON), "cell_id": "m-int8", "reference_cell_id": "m-fp16",
        "domain": "Time", "metric": metric, "scale": "ratio" if "j_" in metric else "difference",
        **changes,
    }  # fmt: skip


def views(
    domains: list[dict[str, Any]], comparisons: list[dict[str, Any]]
) -> dict[tuple[str, str], dict[str, Any]]:
    (group,) = domain_views(domains, comparisons, BASELINES, LABELS)
    assert group["heading"].startswith("Model, b, prompt style chat")
    return {(view["domain"], view["variant"]): view for view in group["rows"]}


def test_figures_and_changes_are_those_of_the_tables() -> None:
    domains = [domain_row(p, d) for p in ("fp16", "int8") for d in ("Time", "Network")]
    changes = [
        comparison("pass_at_1_base", estimate=-0.125, ci95_low=-0.3, ci95_high=0.05, p_holm=0.4),
        comparison("j_per_task", estimate=-0.2, ci95_low=-0.25, ci95_high=-0.15, p_holm=0.0012),
        comparison("j_per_task", reference_cell_id="m-awq", estimate=9.0),
    ]
    found = views(domains, changes)
    assert list(found) == [(d, v) for d in ("Network", "Time") for v in ("fp16", "INT8")]
    row = found["Time", "INT8"]
    assert (row["tasks"], row["score"], row["score_interval"]) == (12, "0.250", "[0.100, 0.500]")
    assert (row["energy"], row["energy_interval"]) == ("1.23 kJ", "[1.20 kJ, 1.27 kJ]")
    minus = "\N{MINUS SIGN}"
    assert row["score_change"] == f"{minus}0.125"
    assert row["score_change_interval"] == f"[{minus}0.300, +0.050]"
    assert row["energy_change"] == f"{minus}20.0 %"
    assert row["energy_change_interval"] == f"[{minus}25.0 %, {minus}15.0 %]"
    assert (row["score_change_p"], row["energy_change_p"]) == ("0.4", "0.0012")
    assert found["Time", "fp16"]["baseline"] is True
    assert found["Network", "INT8"]["energy_change"] is None


def test_what_is_withheld_is_absent_and_has_its_reason() -> None:
    domains = [
        domain_row("fp16", "Time"),
        domain_row("int8", "Time", valid=False, pass_at_1_base=None, j_per_task=None),
    ]
    found = views(domains, [comparison("j_per_task", note="this cell failed a validity check")])
    row = found["Time", "INT8"]
    assert row["energy_change"] is row["score"] is row["energy"] is row["energy_interval"] is None
    assert row["energy_change_note"] == "this cell failed a validity check"


def test_tasks_without_domains_have_no_view() -> None:
    assert domain_views([], [], BASELINES, LABELS) == []


@pytest.mark.parametrize("given", [True, False])
def test_the_page_has_the_results_by_domain(tmp_path: Path, given: bool) -> None:
    study = RawStudy(tmp_path / "study").write()
    names = ("cell", "variant", "check", "domain", "domain_comparison")
    tables = {n: pd.read_parquet(study.results / "tables" / f"{n}.parquet") for n in names}
    more = {"domains": tables["domain"], "domain_comparisons": tables["domain_comparison"]}
    shown = [tables[name] for name in names[:3]]
    out = tmp_path / "summary.html"
    write_summary(*shown, {}, {}, {}, out, **(more if given else {}))
    page = out.read_text()
    assert ("<h2>Results by domain</h2>" in page) is given
    assert ("<td>Network</td><td>int8</td>" in page) is given
