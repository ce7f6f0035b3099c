"""Two chains of prune depths, run for real: each ends by itself, and nothing deeper runs."""

import copy
import itertools
from collections import Counter

import pandas as pd
import pytest

from codewatt.files import read_json
from tests.support.depths import save_models_of_known_depth
from tests.support.workbench import SMALL, Workbench, jobs_in

pytestmark = pytest.mark.e2e

STUDY = {
    **SMALL,
    "study": "zero",
    "models": [
        {"id": "whole", "source": "path", "path": "models/whole", "layers": 2},
        {"id": "cut", "source": "path", "path": "models/cut", "layers": 4},
    ],
    "prunes": [
        {"id": "full", "method": "none"},
        {"id": "last", "method": "last", "layers": "until_zero"},
    ],
    "precisions": SMALL["precisions"][:1],
    "benchmarks": [{"id": "nano", "kind": "nano", "tasks": 4}],
    "token_limits": [32],
    "decoding": {"repeats": 1},
    "exclude": [],
}
# `whole` never stops solving; `cut` solves nothing without its last two layers.
RUN = {"whole": ["full", "last-1"], "cut": ["full", "last-1", "last-2"]}
JUDGED = {"whole": ["full"], "cut": ["full", "last-1", "last-2"]}


def _variants(depths):
    return [f"{model}--{prune}--fp32" for model, prunes in depths.items() for prune in prunes]


def _cells(depths, tokens=32):
    asked = f"nano--stripped--t{tokens}--b2--transformers"
    return [f"{variant}--{asked}" for variant in _variants(depths)]


@pytest.fixture(scope="module")
def run(repository, tmp_path_factory):
    """(the copy, what Snakemake wrote while the study ran in it)."""
    bench = Workbench(repository, tmp_path_factory.mktemp("zero"))
    models = bench.root / "models"
    save_models_of_known_depth(4, models / "whole", models / "cut")
    bench.write_study(STUDY)
    config = bench.root / "config/config.yaml"  # one core a job, so that two chains run at once
    config.write_text(config.read_text() + "\nmachine: {cpu: {threads: 1}}\n")
    return bench, bench.snakemake("--cores", "2").stdout


@pytest.fixture
def bench(run):
    """The copy; its study file is put back after each test."""
    yield run[0]
    run[0].write_study(STUDY)


def test_exactly_the_needed_jobs_ran_and_each_once(run):
    wanted = Counter(
        [
            *(("fetch_model", model) for model in RUN),
            ("prepare_benchmark", "nano"),
            ("compute_expected", "nano"),
            *((r, v) for r in ("quantise", "measure_making_energy") for v in _variants(RUN)),
            *((r, c) for r in ("generate", "evaluate", "measure_energy") for c in _cells(RUN)),
            *(("judge_depth", cell) for cell in _cells(JUDGED)),
            *((rule, "") for rule in ("aggregate", "statistical_tests", "plot", "plot_power")),
            *((rule, "") for rule in ("summarise", "explore")),
        ]
    )
    assert Counter(jobs_in(run[1])) == wanted


def test_nothing_deeper_was_ever_made(run):
    results = run[0].root / "results/zero"
    assert {path.name for path in (results / "variants").iterdir()} == set(_variants(RUN))
    assert {path.name for path in (results / "cells").iterdir()} == set(_cells(RUN))
    assert not [path for path in results.rglob("*") if "last-3" in path.name]


def test_no_depth_starts_before_the_one_above_it_was_judged(run):
    order = jobs_in(run[1])
    for model, prunes in RUN.items():
        for above, below in itertools.pairwise(prunes):
            judged = order.index(("judge_depth", _cells({model: [above]})[0]))
            assert judged < order.index(("quantise", _variants({model: [below]})[0]))


def test_the_verdict_on_a_depth_is_one_small_file(run):
    results = run[0].root / "results/zero/cells"
    correct = {
        path.parent.name: read_json(path)["correct"] for path in results.glob("*/depth.json")
    }
    assert correct == dict(zip(_cells(JUDGED), [4, 4, 4, 0], strict=True))


def test_tables_and_figures_reach_zero(run):
    results = run[0].root / "results/zero"
    table = pd.read_parquet(results / "tables/cell.parquet")
    found = {
        model: list(zip(rows["prune_layers"], rows["pass_at_1_base"], strict=True))
        for model, rows in table.groupby("model", sort=False)
    }
    assert found == {"whole": [(0, 1.0), (1, 1.0)], "cut": [(0, 1.0), (1, 1.0), (2, 0.0)]}
    assert list(table["cell_id"]) == _cells(RUN)
    variants = pd.read_parquet(results / "tables/variant.parquet")
    assert list(variants["layers"]) == [2, 1, 4, 3, 2]
    assert (results / "figures/prune_depth.png").read_bytes()[:4] == b"\x89PNG"
    assert "last-2" in (results / "summary.html").read_text()


def test_a_second_run_does_nothing(bench):
    stages = ("quantise", "generate", "evaluate", "energy", "aggregate", "plot")
    assert bench.would_run("report", *(f"{stage}_all" for stage in stages)) == set()


def test_a_label_runs_no_cell(bench):
    study = copy.deepcopy(STUDY)
    study["prunes"][1]["label"] = "last layers"
    bench.write_study(study)
    assert bench.would_run() == {
        (rule, "") for rule in ("plot", "plot_power", "summarise", "explore")
    }


def test_a_token_limit_begins_new_chains(bench):
    bench.write_study({**STUDY, "token_limits": [32, 40]})
    heads = _cells({model: ["full"] for model in RUN}, tokens=40)
    rules = ("generate", "evaluate", "judge_depth", "measure_energy")
    shown = ("aggregate", "statistical_tests", "plot", "plot_power", "summarise", "explore")
    after = {(rule, "") for rule in shown}
    assert bench.would_run() == {(rule, head) for rule in rules for head in heads} | after


def test_a_second_session_measures_the_cells_that_ran_and_judges_no_depth(bench):
    """The first session has decided where each chain ends."""
    bench.write_study({**STUDY, "sessions": 2})
    later = [f"{cell}--s2" for cell in _cells(RUN)]
    rules = ("generate", "evaluate", "measure_energy")
    planned = {(rule, cell) for rule in rules for cell in later}
    assert bench.would_run("energy_all") == planned


def test_the_aa_test_takes_the_cells_that_ran(bench):
    again = [f"{cell}--again" for cell in _cells({model: ["full"] for model in RUN})]
    rules = ("generate", "evaluate", "measure_energy")
    planned = {(rule, cell) for rule in rules for cell in again} | {("aa_test", "")}
    assert bench.would_run("aa_test") == planned
