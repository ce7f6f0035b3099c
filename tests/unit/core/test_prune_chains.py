"""A chain runs depth by depth up to the first cell that solves nothing, and not one further."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.grid import Grid
from codewatt.prune_chains import build_chains, select_running_cells


def _grid(layers=(6, 4), **changes):
    values = {
        "study": "small",
        "title": "A small study",
        "models": [
            {"id": f"m{n}", "source": "nano", "architecture": "starcoder2", "layers": count}
            for n, count in enumerate(layers)
        ],
        "prunes": [
            {"id": "full", "method": "none"},
            {"id": "last", "method": "last", "layers": "until_zero"},
            {"id": "deep", "method": "last", "layers": 3},
        ],
        "precisions": [
            {"id": "fp32", "method": "none", "dtype": "float32"},
            {"id": "bf16", "method": "none", "dtype": "bfloat16"},
        ],
        "benchmarks": [{"id": "nano", "kind": "nano"}],
        "token_limits": [24, 48],
        "baseline": {"precision": "fp32", "prune": "full"},
    }
    return Grid(validate(Study, {**values, **changes}, "study.yaml"))


def test_there_is_a_chain_for_each_way_of_asking():
    chains = build_chains(_grid())
    assert len(chains) == 2 * 2 * 2
    for chain in chains:
        depths = 5 if chain[0].model == "m0" else 3
        assert [cell.prune for cell in chain] == ["full", *(f"last-{n + 1}" for n in range(depths))]
        assert len({(c.model, c.precision, c.token_limit) for c in chain}) == 1


def test_a_study_of_fixed_depths_has_no_chain():
    prunes = [{"id": "full", "method": "none"}, {"id": "last", "method": "last", "layers": 2}]
    grid = _grid(prunes=prunes)
    assert build_chains(grid) == ()
    assert select_running_cells(grid.cells, (), pytest.fail) == grid.cells


def test_without_the_unpruned_cell_a_chain_begins_at_its_first_depth():
    grid = _grid(exclude=[{"prune": "full", "precision": "bf16"}])
    heads = {(chain[0].precision, chain[0].prune) for chain in build_chains(grid)}
    assert heads == {("fp32", "full"), ("bf16", "last-1")}


def test_a_depth_that_is_excluded_is_stepped_over():
    grid = _grid(layers=(4,), exclude=[{"prune": "last-2"}])
    assert {tuple(cell.prune for cell in chain) for chain in build_chains(grid)} == {
        ("full", "last-1", "last-3")
    }


@given(st.data())
def test_what_runs_is_each_chain_up_to_its_first_zero(data):
    grid = _grid()
    chains = build_chains(grid)
    solving = data.draw(st.sets(st.sampled_from(grid.cells)))
    asked = []

    def solves(cell):
        asked.append(cell)
        return cell in solving

    running = select_running_cells(grid.cells, chains, solves)
    wanted = {cell for cell in grid.cells if cell.prune in ("full", "deep")}
    for chain in chains:
        for number, cell in enumerate(chain):
            if all(before in solving for before in chain[:number]):
                wanted.add(cell)
    assert running == tuple(cell for cell in grid.cells if cell in wanted)
    assert set(asked) <= set(running), "nothing is judged that does not run"
    assert not {chain[-1] for chain in chains} & set(asked), "nothing is deeper than the last"


def test_the_tables_name_the_cells_that_ran_and_no_other():
    grid = _grid(layers=(4,))
    running = select_running_cells(
        grid.cells, build_chains(grid), lambda cell: cell.prune == "full"
    )
    slices = grid.aggregate_slice(running)
    assert '"last-1"' in slices
    assert '"last-2"' not in slices
    assert "last-2" not in grid.aa_slice(running)
