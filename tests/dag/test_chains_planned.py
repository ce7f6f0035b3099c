"""A study until zero shows what is known before anything ran; one without has no checkpoint."""

import copy

import pytest

from codewatt.files import write_json
from tests.support.workbench import SMALL, Workbench

pytestmark = pytest.mark.dag

ASKED = "nano--stripped--t24--b2--transformers"
SERIES = {"id": "last", "method": "last", "layers": "until_zero"}
# int8 of `one` has no unpruned cell, so its chain begins at the first depth.
STUDY = {
    **SMALL,
    "prunes": [SMALL["prunes"][0], SERIES],
    "exclude": [
        {"model": "one", "precision": "int8", "prune": "full"},
        {"model": "two", "precision": "int8"},
    ],
}
HEADS = ["one--full--fp32", "one--last-1--int8", "two--full--fp32"]


@pytest.fixture(scope="module")
def fresh(repository, tmp_path_factory):
    """A copy in which nothing has run."""
    bench = Workbench(repository, tmp_path_factory.mktemp("chains"))
    bench.write_study(STUDY)
    return bench


def _planned(bench, *targets):
    """rule -> the ids of its planned jobs."""
    planned = {}
    for rule, name in bench.would_run(*targets):
        planned.setdefault(rule, set()).add(name)
    return planned


def test_the_first_cell_of_each_chain_would_run(fresh):
    planned = _planned(fresh)
    cells = {f"{variant}--{ASKED}" for variant in HEADS}
    assert planned["quantise"] == set(HEADS)
    for rule in ("generate", "evaluate", "judge_depth", "measure_energy"):
        assert planned[rule] == cells
    assert set(planned) >= {"aggregate", "plot", "summarise", "explore"}
    assert not (fresh.root / "results" / "small").exists()


def test_two_sessions_plan_the_first_cells_of_chains_twice_and_judge_depths_once(fresh):
    fresh.write_study({**STUDY, "sessions": 2})
    try:
        planned = _planned(fresh)
    finally:
        fresh.write_study(STUDY)
    first = {f"{variant}--{ASKED}" for variant in HEADS}
    both = first | {f"{cell}--s2" for cell in first}
    for rule in ("generate", "evaluate", "measure_energy"):
        assert planned[rule] == both
    assert planned["judge_depth"] == first


def test_a_target_plans_what_tells_how_deep_it_goes(fresh):
    """Whether a second depth is quantised depends on what the first one solves."""
    planned = _planned(fresh, "quantise_all")
    assert planned["quantise"] == set(HEADS)
    assert planned["judge_depth"] == {f"{variant}--{ASKED}" for variant in HEADS}
    assert "aggregate" not in planned


def test_without_until_zero_there_is_no_checkpoint(fresh):
    fresh.write_study(SMALL)
    try:
        assert "checkpoint" not in fresh.snakemake("-n").stdout
        assert "judge_depth" not in fresh.snakemake("--list").stdout
    finally:
        fresh.write_study(STUDY)


def _refused(fresh, study):
    """codewatt's lines of a dry run that is refused."""
    fresh.write_study(study)
    try:
        done = fresh.snakemake("-n", check=False)
    finally:
        fresh.write_study(STUDY)
    assert done.returncode != 0
    return [line for line in done.stdout.splitlines() if line.startswith("codewatt: ")]


def test_a_model_of_unknown_depth_is_one_line_before_any_job(fresh):
    study = copy.deepcopy(STUDY)
    study["models"][1] = {"id": "two", "source": "path", "path": "somewhere"}
    lines = _refused(fresh, study)
    assert len(lines) == 1
    assert lines[0].startswith("codewatt: study.yaml: models[1].layers: required, but absent")


def test_a_model_of_another_depth_than_declared_is_one_line_before_any_job(fresh):
    study = copy.deepcopy(STUDY)
    study["models"][1] = {"id": "two", "source": "path", "path": "somewhere", "layers": 3}
    write_json(fresh.root / "somewhere" / "config.json", {"num_hidden_layers": 4})
    assert _refused(fresh, study) == [
        "codewatt: study.yaml: model 'two': layers: 3, but its config.json has 4; allowed: 4"
    ]
