"""Fidelity is asked for, measured and gone stale on its own: what was measured before stays."""

import copy

import pandas as pd
import pytest

from codewatt.files import read_json
from tests.support.workbench import SMALL

pytestmark = pytest.mark.dag

VARIANTS = ["one--full--fp32", "one--full--int8"]
CELL = "--nano--stripped--t24--b2--transformers"
TEXT = {("prepare_corpus", "held"), ("check_contamination", "held")}
RECOVERIES = {("measure_fidelity", variant) for variant in VARIANTS}
DISPLAY = {(rule, "") for rule in ("plot", "plot_power", "summarise", "explore")}
TABLES = {("aggregate", ""), ("statistical_tests", "")} | DISPLAY
HELD = {"id": "held", "source": "nano", "part": "held_out", "samples": 8, "tokens": 128}
#: The small study's first model, unpruned: its cells have run.
STUDY = {
    **SMALL,
    "models": SMALL["models"][:1],
    "exclude": [{"prune": "last1"}],
    "corpora": [HELD],
    "fidelity": {"corpus": "held"},
}


@pytest.fixture(scope="module")
def recovered(finished_study, tmp_path_factory):
    """A copy of the finished study to which fidelity was added, run to its end for real."""
    bench = finished_study.copied(tmp_path_factory.mktemp("recovered") / "study")
    bench.write_study(STUDY)
    assert bench.would_run() == TEXT | RECOVERIES | TABLES
    bench.snakemake("--cores", "all")
    return bench


@pytest.fixture
def bench(recovered):
    yield recovered
    recovered.write_study(STUDY)


def _with(bench, change):
    study = copy.deepcopy(STUDY)
    change(study)
    bench.write_study(study)


def test_nothing_changed_since_fidelity(bench):
    assert bench.would_run() == set()
    assert bench.would_run("fidelity_all") == set()


def test_the_tables_and_the_page_show_fidelity(bench):
    results = bench.root / "results/small"
    table = pd.read_parquet(results / "tables/variant.parquet").set_index("variant_id")
    base, int8 = (table.loc[variant] for variant in VARIANTS)
    assert base["logits_cosine_min"] == 1
    assert base["kl_nats_per_token"] == 0
    assert base["perplexity_change"] == 0
    assert 0.99 < int8["logits_cosine_min"] < int8["logits_cosine_mean"] < 1
    assert int8["perplexity"] == pytest.approx(base["perplexity"], rel=0.05)
    assert int8["fidelity_corpus"] == "held"
    record = read_json(results / "variants" / VARIANTS[1] / "fidelity.json")
    assert record["positions"] == int8["fidelity_positions"]
    assert record["baseline"] == VARIANTS[0]
    assert record["provenance"]["versions"]["torch"]
    assert "<h2>Fidelity</h2>" in (results / "summary.html").read_text()


def test_the_fidelity_text_changed(bench):
    _with(bench, lambda study: study["corpora"][0].update(seed=1))
    assert bench.would_run() == TEXT | RECOVERIES | TABLES


def test_a_label_changed_since_fidelity(bench):
    _with(bench, lambda study: study["corpora"][0].update(label="Held-out functions"))
    assert bench.would_run() == DISPLAY
    _with(bench, lambda study: study["precisions"][1].update(label="8 bits"))
    assert bench.would_run() == DISPLAY


def test_fidelity_is_no_longer_asked_for(bench):
    _with(bench, lambda study: study.update(fidelity=None))
    assert bench.would_run() == TABLES
    assert bench.would_run("fidelity_all") == set()


def test_a_module_of_fidelity_edited(bench):
    with bench.appended("src/codewatt/fidelity/fidelity_metrics.py"):
        assert bench.would_run() == RECOVERIES | TABLES


def test_a_variant_made_again_is_measured_again(bench):
    _with(bench, lambda study: study["precisions"][1].update(outlier_threshold=0.0))
    again = {
        (rule, VARIANTS[1]) for rule in ("quantise", "measure_making_energy", "measure_fidelity")
    }
    cell = {(rule, VARIANTS[1] + CELL) for rule in ("generate", "evaluate", "measure_energy")}
    assert bench.would_run() == again | cell | TABLES


def test_a_baseline_made_again_is_compared_again(bench):
    _with(bench, lambda study: study["models"][0].update(seed=5))
    stale = bench.would_run()
    assert stale >= RECOVERIES | TABLES
    assert not stale & TEXT
