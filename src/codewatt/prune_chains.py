"""Chains of cells: a prune setting with `layers: until_zero` goes on until a cell solves nothing.

Which cells run is therefore known only while they run. A chain holds the cells of one series under
one way of asking, by depth; each but the first runs only if the one before it solved a task.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from codewatt.cells import Cell
from codewatt.grid import Grid

Chain = tuple[Cell, ...]


def chains_of(grid: Grid) -> tuple[Chain, ...]:
    """The chains of a grid; a study without `until_zero` has none.

    A chain begins with the unpruned cell under the same way of asking, if the grid has it: nothing
    is pruned of a model that solves nothing as it is.
    """
    study = grid.study
    series_of = {depth.id: series.id for series in study.series.values() for depth in series.depths}
    chains: dict[Cell, list[Cell]] = {}
    for cell in grid.cells:
        if cell.prune in series_of:
            chains.setdefault(replace(cell, prune=series_of[cell.prune]), []).append(cell)
    if not chains:
        return ()
    unpruned = [prune.id for prune in study.prunes if prune.method == "none"]
    existing = set(grid.cells)
    for chain in chains.values():
        heads = [replace(chain[0], prune=prune) for prune in unpruned]
        chain[:0] = [cell for cell in heads if cell in existing][:1]
    return tuple(tuple(chain) for chain in chains.values())


def reached(
    cells: Sequence[Cell], chains: Iterable[Chain], solves: Callable[[Cell], bool]
) -> tuple[Cell, ...]:
    """The cells that run, in order: all but those beyond the end of their chain.

    Args:
        solves: whether a cell solved any task. It is asked only of cells that run and have a
            deeper one; one that is not judged yet is answered as one that solved nothing.
    """
    beyond: set[Cell] = set()
    for chain in chains:
        for depth, (cell, _) in enumerate(itertools.pairwise(chain), start=1):
            if not solves(cell):
                beyond.update(chain[depth:])
                break
    return tuple(cell for cell in cells if cell not in beyond)
