"""A session is part of the design: adding one runs its cells and nothing else."""

import copy
import shutil

import pytest

from codewatt.config.load_study import load_study
from codewatt.estimate.job_plan import Plan
from codewatt.grid import Grid
from codewatt.paths import Paths
from codewatt.session_order import JobPriorities
from tests.dag.test_staleness import AFTER_CELLS, CELL_RULES, CELLS, jobs
from tests.support.workbench import SMALL, priorities_in

pytestmark = pytest.mark.dag


def _with(bench, **changes):
    bench.write_study({**copy.deepcopy(SMALL), **changes})


def _later(*sessions):
    return [f"{cell}--s{session}" for session in sessions for cell in CELLS]


def test_a_second_session_runs_each_cell_once_more(bench):
    _with(bench, sessions=2)
    assert bench.would_run() == jobs(*CELL_RULES, of=_later(2)) | AFTER_CELLS


def test_three_sessions_run_two_more(bench):
    _with(bench, sessions=3)
    assert bench.would_run("energy_all") == jobs(*CELL_RULES, of=_later(2, 3))


@pytest.mark.parametrize("changes", [{"order_seed": 7}, {"blocks": True}])
def test_what_orders_the_jobs_makes_nothing_stale(bench, changes):
    _with(bench, **changes)
    assert bench.would_run("energy_all") == set()


def test_the_aa_test_repeats_cells_of_the_first_session_only(bench):
    _with(bench, sessions=2)
    # Another test of this process may have run the A/A test in the same copy.
    for folder in bench.root.glob("results/*/cells/*--again"):
        shutil.rmtree(folder)
    planned = bench.would_run("generate_aa")
    again = [f"{cell}--again" for cell in CELLS if "--full--fp32--" in cell]
    assert planned == jobs("generate", of=[*_later(2), *again])


def test_a_setting_that_makes_a_cell_stale_makes_all_its_sessions_stale(bench):
    precisions = copy.deepcopy(SMALL["precisions"])
    precisions[1]["outlier_threshold"] = 0.0
    _with(bench, sessions=2, precisions=precisions)
    stale = {name for rule, name in bench.would_run() if rule == "generate"}
    assert stale == {*_later(2), CELLS[1]}


@pytest.mark.parametrize("sessions", [1, 2, 3])
def test_the_planned_jobs_are_those_of_a_dry_run(repository, tmp_path, sessions):
    """`codewatt estimate` counts exactly what Snakemake would run in a fresh directory."""
    from collections import Counter

    from tests.support.workbench import Workbench, jobs_in

    (tmp_path / "fresh").mkdir()
    fresh = Workbench(repository, tmp_path / "fresh")
    _with(fresh, sessions=sessions)
    grid = Grid(load_study(fresh.study_file))
    planned = Plan(grid, Paths.of(tmp_path / "none", grid.study), {None: None}, 2).per_rule
    assert planned == Counter(rule for rule, _ in jobs_in(fresh.snakemake("-n").stdout))


def test_jobs_have_the_priorities_of_the_drawn_order(bench):
    """In the dry run of a new seed: prepared, then each session's cells as drawn, then judged."""
    _with(bench, sessions=3, order_seed=11)
    grid = Grid(load_study(bench.study_file))
    priorities = JobPriorities(grid)
    found = priorities_in(bench.snakemake("-n", "--forceall").stdout)
    for cell in grid.measured_cells:
        assert found["generate", cell.id] == priorities.generate(cell)
        assert found["evaluate", cell.id] == priorities.judge(cell)
        assert found["measure_energy", cell.id] == 0
    prepares = {"train_nano", "prepare_benchmark", "compute_expected", "quantise"}
    assert {found[job] for job in found if job[0] in prepares} == {priorities.prepare}
    cells = sorted(grid.measured_cells, key=lambda cell: -found["generate", cell.id])
    assert [cell.session for cell in cells] == [1] * 4 + [2] * 4 + [3] * 4
