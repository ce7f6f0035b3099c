"""The order of a session is random, recorded by a seed, and kept to by the priorities of jobs."""

import hashlib
import itertools
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.grid import Grid
from codewatt.session_order import JobPriorities, drawn_positions, in_drawn_order
from tests.support.good_study import GOOD

CELLS = [f"model--full--{name}--nano--stripped--t32--b4--graph" for name in "abcdef"]


def _order(ids, seed, session):
    places = drawn_positions(ids, seed, session)
    assert sorted(places.values()) == list(range(1, len(ids) + 1))
    return sorted(ids, key=places.__getitem__)


def test_the_order_is_that_of_the_recorded_digest():
    """Written a second time, from the sentence of the documentation."""

    def digest(cell):
        return hashlib.sha256(b"7/3/" + cell.encode()).digest()

    assert _order(CELLS, 7, 3) == sorted(CELLS, key=digest)


def test_every_order_of_the_cells_is_equally_likely():
    """Over 6,000 seeds, each of the 24 orders of four cells comes up as often as by chance."""
    counts = Counter(tuple(_order(CELLS[:4], seed, 1)) for seed in range(6000))
    assert set(counts) == set(itertools.permutations(CELLS[:4]))
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_the_orders_of_sessions_are_independent():
    """The place of a cell in one session says nothing about its place in the next."""
    pairs = np.zeros((4, 4))
    for seed in range(4000):
        first, second = (drawn_positions(CELLS[:4], seed, session) for session in (1, 2))
        pairs[first[CELLS[0]] - 1, second[CELLS[0]] - 1] += 1
    assert chisquare(pairs.ravel()).pvalue > 0.01


@pytest.mark.parametrize("seed", range(5))
def test_a_cell_that_is_added_moves_no_other(seed):
    for left_out in CELLS:
        fewer = [cell for cell in CELLS if cell != left_out]
        whole = [cell for cell in _order(CELLS, seed, 2) if cell != left_out]
        assert _order(fewer, seed, 2) == whole


def _grid(**changes):
    return Grid(validate(Study, {**GOOD, "sessions": 3, **changes}, "study.yaml"))


def test_the_first_session_comes_first_and_each_has_every_cell():
    grid = _grid()
    drawn = in_drawn_order(grid.measured_cells, 5)
    count = len(grid.cells)
    for session in (1, 2, 3):
        part = drawn[(session - 1) * count : session * count]
        assert {cell.session for cell in part} == {session}
        assert [cell.design_id for cell in part] == _order(
            [cell.id for cell in grid.cells], 5, session
        )


@pytest.mark.parametrize("sessions", [1, 3])
def test_priorities_are_those_of_the_order(sessions):
    """Preparing, then of each session the cells as drawn and their judging, then the rest (0)."""
    grid = _grid(sessions=sessions, order_seed=4)
    priorities = JobPriorities(grid)
    wanted = []
    for session in range(1, sessions + 1):
        twins = grid.twins.values() if session == 1 else ()
        drawn = in_drawn_order([*grid.in_session(session), *twins], 4)
        wanted += [priorities.generate(cell) for cell in drawn]
        judged = {priorities.judge(cell) for cell in drawn}
        assert len(judged) == 1, "the judging of one session has one priority"
        wanted += judged
    falling = [priorities.prepare, *wanted, 0]
    assert falling == sorted(set(falling), reverse=True)


def test_priorities_of_two_seeds_differ():
    first, second = (JobPriorities(_grid(order_seed=seed)) for seed in (0, 1))
    cells = _grid().measured_cells
    assert [first.generate(c) for c in cells] != [second.generate(c) for c in cells]
