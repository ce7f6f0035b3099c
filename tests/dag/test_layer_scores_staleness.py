"""Layers are scored once for all depths, and again when their corpus, model or method changes."""

import copy

import pytest

from codewatt.files import read_json
from tests.support.workbench import SMALL

pytestmark = pytest.mark.dag

TEXT = {"id": "functions", "source": "nano", "samples": 8, "tokens": 64}
PRUNE = {"id": "bi1", "method": "block_influence", "layers": 1, "calibration": "functions"}
VARIANT = "one--bi1--fp32"
SCORED = {("score_layers", "one")}
PRUNED = {("quantise", VARIANT)}


def _study(*, corpus=(), prune=(), more=()):
    """The small study with one prune by scores, of model one unquantised."""
    study = copy.deepcopy(SMALL)
    study["corpora"] = [{**TEXT, **dict(corpus)}]
    study["prunes"] += [{**PRUNE, **dict(prune)}, *more]
    scored = [entry["id"] for entry in study["prunes"][2:]]
    study["exclude"] += [{"model": "two", "prune": scored}, {"precision": "int8", "prune": scored}]
    return study


@pytest.fixture(scope="module")
def scored_once(finished_study):
    """The finished study with one more variant."""
    before = finished_study.study_file.read_text()
    finished_study.write_study(_study())
    try:
        assert finished_study.would_run("quantise_all") == {
            ("prepare_corpus", "functions"),
            *SCORED,
            *PRUNED,
        }
        finished_study.snakemake("--cores", "all", "quantise_all")
    finally:
        finished_study.study_file.write_text(before)


@pytest.fixture
def scored(scored_once, bench):
    """The same, whose study file is put back after each test."""
    return bench


def _stale(bench, study):
    bench.write_study(study)
    return bench.would_run("quantise_all")


def test_nothing_is_scored_again(scored):
    assert _stale(scored, _study()) == set()


def test_another_depth_is_pruned_by_the_same_scores(scored):
    assert _stale(scored, _study(prune={"layers": 2})) == PRUNED


def test_a_further_depth_is_pruned_by_the_same_scores(scored):
    study = _study(more=[{**PRUNE, "id": "bi2", "layers": 2}])
    assert _stale(scored, study) == {("quantise", "one--bi2--fp32")}


def test_a_changed_text_is_scored_on_again(scored):
    stale = {("prepare_corpus", "functions")} | SCORED | PRUNED
    assert _stale(scored, _study(corpus={"samples": 7})) == stale


def test_another_method_scores_for_itself(scored):
    study = _study(more=[{**PRUNE, "id": "sleb1", "method": "sleb"}])
    assert _stale(scored, study) == SCORED | {("quantise", "one--sleb1--fp32")}


def test_an_edited_method_scores_again(scored):
    scored.write_study(_study())
    with scored.appended("src/codewatt/prune/block_influence.py"):
        assert scored.would_run("quantise_all") == SCORED | PRUNED
    with scored.appended("src/codewatt/prune/sleb.py"):
        assert scored.would_run("quantise_all") == set()


def test_the_source_of_a_text_is_part_of_the_code_that_reads_it(scored):
    """Its documents may stay the same while what is done with them changes."""
    results = scored.root / "results" / "small"
    made = [f"variants/{VARIANT}/manifest.json", "models/one/layers.block_influence.functions.json"]
    for path in made:
        code = [line.split()[0] for line in read_json(results / path)["code"]]
        assert "codewatt.corpora.nano_corpus" in code, path


def test_the_report_shows_the_scores_and_the_cell_awaits_the_overlap(scored):
    planned = _stale_report(scored)
    assert ("plot_layers", "") in planned
    assert ("check_contamination", "functions") in planned


def _stale_report(bench):
    bench.write_study(_study())
    return bench.would_run()
