"""Chains of cells: prune settings with `layers: until_zero`, which end where a cell solves nothing.

Which cells run is known only while they run. A chain holds the cells of one prune series with all
other values the same, in ascending depth; each cell but the first runs only if the one before it
solved a task.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from codewatt.cells import Cell, Grid

Chain = tuple[Cell, ...]


def build_chains(grid: Grid) -> tuple[Chain, ...]:
    """The chains of a grid; empty for a study without `until_zero`.

    A chain begins with the unpruned cell of the same values, if the grid has it: a model that
    solves nothing unpruned is not pruned at all.
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


def select_running_cells(
    cells: Sequence[Cell], chains: Iterable[Chain], solves_any: Callable[[Cell], bool]
) -> tuple[Cell, ...]:
    """The cells that run, in order: all except those beyond the end of their chain.

    Args:
        cells: of the grid.
        chains: see `build_chains`.
        solves_any: whether a cell solved any task. It is called only for cells that run and have a
            deeper one. For a cell that is not judged yet it must return False.
    """
    beyond: set[Cell] = set()
    for chain in chains:
        for depth, (cell, _) in enumerate(itertools.pairwise(chain), start=1):
            if not solves_any(cell):
                beyond.update(chain[depth:])
                break
    return tuple(cell for cell in cells if cell not in beyond)
