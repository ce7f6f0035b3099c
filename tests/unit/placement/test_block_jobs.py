"""The jobs of blocks: who is in which, and what their cells request."""

import pytest

from codewatt.blocks import block_id
from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.grid import Grid
from codewatt.placement.block_jobs import BlockJobs
from codewatt.prune_chains import build_chains
from tests.support.good_study import GOOD

LIMIT_MIN = 100


def _grid(**changes):
    study = {**GOOD, "token_limits": [16, 48], "sessions": 2, **changes}
    return Grid(validate(Study, study, "study.yaml"))


def _jobs(grid, minutes=20, limit=None, alone=()):
    return BlockJobs(grid, alone, lambda cell: minutes, lambda cell: limit)


def test_cells_share_a_job_if_they_share_block_and_session():
    grid = _grid()
    jobs = _jobs(grid)
    everyone = (*grid.measured_cells, *grid.twins.values())
    for cell in everyone:
        assert jobs.group(cell)
        for other in everyone:
            same = (block_id(cell), cell.session) == (block_id(other), other.session)
            assert (jobs.group(cell) == jobs.group(other)) == same
    assert sum(jobs.sizes.values()) == len(everyone)
    assert set(jobs.sizes) == {jobs.group(cell) for cell in everyone}


def test_a_cell_without_a_partner_has_a_job_of_its_own():
    grid = _grid(prunes=GOOD["prunes"][:1], precisions=GOOD["precisions"][:1])
    jobs = _jobs(grid)
    later = [cell for cell in grid.measured_cells if cell.session == 2]
    assert {jobs.group(cell) for cell in later} == {None}
    assert jobs.sizes.keys().isdisjoint({None})


def test_cells_of_chains_have_jobs_of_their_own_in_every_session():
    series = {"id": "last", "method": "last", "layers": "until_zero"}
    grid = _grid(prunes=[GOOD["prunes"][0], series])
    chained = [cell for chain in build_chains(grid) for cell in chain]
    jobs = _jobs(grid, alone=chained)
    assert {jobs.group(c.in_session(s)) for c in chained for s in (1, 2)} == {None}


@pytest.mark.parametrize("limit", [20, 40, 50, 79, 80, None])
def test_a_block_is_split_where_its_job_would_exceed_the_limit(limit):
    grid = _grid(token_limits=[48])
    jobs = _jobs(grid, 20, limit)
    second = [cell for cell in grid.measured_cells if cell.session == 2]
    assert len(second) == 4
    names = [jobs.group(cell) or cell.id for cell in second]
    per_job = [names.count(name) for name in dict.fromkeys(names)]
    most = 4 if limit is None else min(4, limit // 20)
    assert max(per_job) == most
    assert len(per_job) == -(-4 // most)
    assert any("session 2" in block for block in jobs.split) == (len(per_job) > 1)


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_the_time_of_a_job_stays_within_its_limit_at_every_attempt(attempt):
    grid = _grid(token_limits=[48])
    jobs = _jobs(grid, 20, LIMIT_MIN)
    second = [cell for cell in grid.measured_cells if cell.session == 2]
    asked = [jobs.runtime_min(cell, 20, 20 * attempt) for cell in second]
    assert sum(asked) <= LIMIT_MIN
    assert sum(asked) == min(4 * 20 * attempt, LIMIT_MIN)


def test_a_cell_with_a_job_of_its_own_requests_what_it_would_anyway():
    grid = _grid(prunes=GOOD["prunes"][:1], precisions=GOOD["precisions"][:1])
    jobs = _jobs(grid, 20, 30)
    cell = grid.measured_cells[-1]
    assert jobs.runtime_min(cell, 20, 60) == 60
