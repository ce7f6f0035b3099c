"""Fidelity in the variant table and on the summary page: measured figures, or the reason."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import sem, t

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.columns import FIDELITY
from codewatt.analysis.fidelity_columns import perplexity_interval
from codewatt.analysis.summary import write_summary
from codewatt.analysis.tables import to_rows
from codewatt.errors import CodewattError
from codewatt.files import write_json
from tests.support.records import fidelity_record

CODE = ["stage.py aaaa", "codewatt.files bbbb"]
BASELINE = {"precision": "fp32", "prune": "none"}
COMPARED = {
    "logits_cosine_mean": 0.98,
    "logits_cosine_min": 0.61,
    "logits_cosine_quantiles": {"0.5": 0.99},
    "kl_nats_per_token": 0.034,
    "top1_agreement_share": 0.875,
    "identical": False,
}


#: Negative log-likelihood (nats) of eight sequences of 50 positions: ln 2 and ln 1.6 a token on
#: average.
OURS = [50 * math.log(2.0) + noise for noise in (1, -1, 2, -2, 0.5, -0.5, 3, -3)]
THEIRS = [50 * math.log(1.6) + noise for noise in (1, -1, 1, -1, 1, -1, 2, -2)]


def _model(perplexity: float, nats: list[float]) -> dict[str, Any]:
    return {
        **fidelity_record()["model"],
        "nats_per_token": math.log(perplexity),
        "perplexity": perplexity,
        "sequence_nats": nats,
        "sequence_positions": [50] * 8,
    }


def _record(precision: str, **changes: Any) -> dict[str, Any]:
    record = fidelity_record(
        variant={"model": "nano", "prune": "none", "precision": precision},
        sequences=8,
        positions=400,
        model=_model(2.0, OURS),
        baseline_model=_model(1.6, THEIRS),
        comparison=COMPARED,
        code=CODE,
    )
    return record | changes


def _variant(study: Any, precision: str, record: dict[str, Any], **manifest: Any) -> Path:
    study.variant(precision, **manifest)
    path = study.folder / f"{precision}-fidelity.json"
    write_json(path, record)
    study.variants[-1]["fidelity"] = path
    return path


def _tables(study: Any) -> dict[str, Any]:
    return aggregate(study.cells, study.variants, BASELINE, {})


def _rows(study: Any) -> list[dict[str, Any]]:
    return to_rows(_tables(study)["variant"])


def test_a_measured_fidelity_stands_in_the_table(study: Any) -> None:
    _variant(study, "int8", _record("int8"))
    (row,) = _rows(study)
    # Sequences of equal length: the ratio of sums is the mean of the sequences' own differences.
    per_token = (np.array(OURS) - np.array(THEIRS)) / 50
    half = t.ppf(0.975, 7) * sem(per_token)
    low, high = np.expm1([per_token.mean() - half, per_token.mean() + half])
    assert {name: row[name] for name in FIDELITY} == {
        "fidelity_corpus": "held",
        "fidelity_positions": 400,
        "logits_cosine_mean": 0.98,
        "logits_cosine_min": 0.61,
        "kl_nats_per_token": 0.034,
        "top1_agreement_share": 0.875,
        "perplexity": 2.0,
        "perplexity_change": pytest.approx(0.25),
        "perplexity_change_ci95_low": pytest.approx(low),
        "perplexity_change_ci95_high": pytest.approx(high),
        "fidelity_note": None,
    }


def test_the_interval_of_a_perplexity_change_covers_the_truth() -> None:
    """Sequences of unequal length whose tokens share a sequence's own difficulty."""
    generator = np.random.default_rng(0)
    truth, covered, draws = 0.05, 0, 3000
    for _ in range(draws):
        positions = generator.integers(20, 80, size=30)
        base = positions * (1.0 + generator.normal(0, 0.3, size=30))
        ours = base + positions * (math.log1p(truth) + generator.normal(0, 0.04, size=30))
        low, high = perplexity_interval(
            {"sequence_nats": list(ours), "sequence_positions": [int(n) for n in positions]},
            {"sequence_nats": list(base)},
        )
        covered += low <= truth <= high
    assert 0.935 <= covered / draws <= 0.96


def test_a_single_sequence_has_no_interval() -> None:
    model = {"sequence_nats": [3.0], "sequence_positions": [4]}
    assert perplexity_interval(model, {"sequence_nats": [2.0]}) is None


def test_a_study_without_fidelity_has_empty_columns(study: Any) -> None:
    study.variant("int8")
    (row,) = _rows(study)
    assert [row[name] for name in FIDELITY] == [None] * len(FIDELITY)


def test_what_could_not_be_measured_has_its_reason(study: Any) -> None:
    _variant(
        study, "int8", _record("int8", baseline=None, baseline_model=None, comparison=None,
        reason="the study has no baseline variant of this model"),
    )  # fmt: skip
    infeasible = {"status": "infeasible", "reason": "fp32: out of memory"}
    kept = {k: v for k, v in _record("nf4").items() if k not in ("model", "comparison")}
    _variant(study, "nf4", {**kept, **infeasible})
    alone, full = _rows(study)
    assert (alone["perplexity"], alone["perplexity_change"]) == (2.0, None)
    assert alone["logits_cosine_mean"] is None
    assert alone["fidelity_note"] == "the study has no baseline variant of this model"
    assert (full["fidelity_note"], full["perplexity"]) == ("fp32: out of memory", None)


def test_random_weights_are_said_to_be_random(study: Any) -> None:
    _variant(study, "int8", _record("int8"), meaningful_accuracy=False)
    assert _rows(study)[0]["fidelity_note"].startswith("random weights")


def test_a_fidelity_of_another_variant_or_version_is_refused(study: Any) -> None:
    path = _variant(study, "int8", _record("nf4"))
    with pytest.raises(CodewattError, match="another variant: precision is nf4; expected: int8"):
        _tables(study)
    write_json(path, _record("int8", code=["stage.py aaaa", "codewatt.files cccc"]))
    _variant(study, "fp32", _record("fp32"))
    with pytest.raises(CodewattError, match=r"measure_fidelity: results of different versions"):
        _tables(study)


def test_the_page_shows_fidelity_only_where_there_is_some(study: Any, tmp_path: Path) -> None:
    study.cell("fp32")

    def page() -> str:
        tables = _tables(study)
        frames = (tables["cell"], tables["variant"], tables["check"])
        write_summary(*frames, {"precision": {"int8": "8 <bits>"}}, {}, {}, tmp_path / "s.html")
        return (tmp_path / "s.html").read_text()

    study.variant("fp32")
    assert "<h2>Fidelity</h2>" not in page()
    _variant(study, "int8", _record("int8"))
    shown = page().split("<h2>Fidelity</h2>")[1]
    for text in ("8 &lt;bits&gt;", "0.98000", "0.61000", "0.034", "87.5%", "+25.0 %", "400"):
        assert text in shown
