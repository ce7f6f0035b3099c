"""A block holds what is compared; its parts fit into the time limit of a job."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewatt.analysis.efficient_frontier import SETTING
from codewatt.blocks import BLOCK_AXES, block_id, blocks_of, group_name, split_block
from codewatt.cells import Cell
from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.grid import Grid
from tests.support.good_study import GOOD

MODELS = [
    {"id": "m", "source": "nano", "architecture": "starcoder2"},
    {"id": "n", "source": "nano", "architecture": "qwen2"},
]


@pytest.fixture
def grid():
    study = {**GOOD, "models": MODELS, "token_limits": [16, 48], "batch_sizes": [1, 4]}
    return Grid(validate(Study, {**study, "sessions": 2}, "study.yaml"))


def test_the_axes_are_those_on_which_compared_cells_agree():
    assert set(BLOCK_AXES) == {"model", *SETTING}


def test_cells_share_a_block_if_and_only_if_they_agree_on_these_axes(grid):
    for cell in grid.cells:
        for other in grid.cells:
            agree = all(getattr(cell, axis) == getattr(other, axis) for axis in BLOCK_AXES)
            assert (block_id(cell) == block_id(other)) == agree


def test_the_study_with_hardware_has_a_block_for_each():
    cell = Cell("m", "full", "fp32", "nano", "stripped", 48, 1, "graph", "l40s")
    assert block_id(cell) == "m--nano--stripped--t48--b1--graph--l40s"


def test_each_session_has_its_own_blocks_with_every_variant(grid):
    found = blocks_of(grid.measured_cells)
    assert len(found) == 2 * 2 * 2 * 2
    assert sum(map(len, found.values())) == len(grid.measured_cells)
    for (_, session), cells in found.items():
        assert {cell.session for cell in cells} == {session}
        assert {cell.variant for cell in cells} == {
            variant for variant in grid.variants if variant.model == cells[0].model
        }


def test_a_twin_is_in_the_block_of_its_cell(grid):
    for cell_id, twin in grid.twins.items():
        assert block_id(twin) == block_id(grid.cell(cell_id))


def test_group_names_are_short_and_differ(grid):
    names = {
        group_name(block, session, part)
        for block, session in blocks_of(grid.measured_cells)
        for part in (1, 2)
    }
    assert len(names) == 2 * len(blocks_of(grid.measured_cells))
    assert max(map(len, names)) < 60


@given(st.lists(st.integers(1, 50), max_size=12), st.integers(1, 60) | st.none())
def test_parts_fit_and_hold_every_cell_in_order(minutes, limit):
    cells = [
        Cell("m", "full", str(at), "nano", "stripped", 48, 1, "graph") for at in range(len(minutes))
    ]
    needed = dict(zip(cells, minutes, strict=True))
    parts = split_block(cells, needed.__getitem__, limit)
    assert [cell for part in parts for cell in part] == cells
    assert all(parts)
    if limit is None:
        assert len(parts) <= 1
        return
    for part in parts:
        assert len(part) == 1 or sum(needed[cell] for cell in part) <= limit
    for part, following in itertools.pairwise(parts):
        assert sum(needed[cell] for cell in part) + needed[following[0]] > limit


def test_blocks_are_kept_unless_the_study_says_otherwise():
    def kept(**changes):
        return validate(Study, {**GOOD, **changes}, "study.yaml").keeps_blocks

    assert not kept()
    assert kept(sessions=2)
    assert kept(blocks=True)
    assert not kept(sessions=2, blocks=False)
