"""The random order in which a session measures its cells, and the job priorities that keep to it.

The order is drawn from the study's `order_seed`, each session anew. A cell's place depends on its
own id only, so that a cell that is added to a study moves no other: the others keep their relative
order, and what was measured stays as it was drawn.
"""

import hashlib
from collections.abc import Iterable
from functools import cached_property

from codewatt.cells import Cell
from codewatt.grid import Grid


def draw(order_seed: int, session: int, design_id: str) -> str:
    """What the cells of a session are sorted by: SHA-256 of seed, session and the cell's id.

    The digests of different ids are as good as independent and uniform, so that sorting by them is
    a uniform random permutation.
    """
    return hashlib.sha256(f"{order_seed}/{session}/{design_id}".encode()).hexdigest()


def in_drawn_order(cells: Iterable[Cell], order_seed: int) -> list[Cell]:
    """Cells, the first session first, each session in its drawn order."""
    return sorted(
        cells, key=lambda cell: (cell.session, draw(order_seed, cell.session, cell.design_id))
    )


def drawn_positions(design_ids: Iterable[str], order_seed: int, session: int) -> dict[str, int]:
    """The place of each cell in a session's drawn order.

    Args:
        design_ids: ids of the cells in the design, those of the session and no others.

    Returns:
        Id -> place, from 1.
    """
    drawn = sorted(design_ids, key=lambda design_id: draw(order_seed, session, design_id))
    return {design_id: place for place, design_id in enumerate(drawn, start=1)}


class JobPriorities:
    """Priorities of jobs: of the jobs that could start, the one of highest priority starts.

    Where measured jobs run one at a time, the order of the jobs is: all that prepares (training,
    quantising, tasks, expected outputs); then of each session the cells in their drawn order and
    after them the judging of their completions, so that no other work heats the machine between
    two cells of a session; then the rest, whose priority is 0. A job that is not ready, or has
    failed, holds up no other.
    """

    def __init__(self, grid: Grid) -> None:
        """Prepare the priorities of a study's jobs; the cells are sorted when first needed."""
        self._grid = grid
        #: Cells of one session, and one step more, for judging.
        self._steps = len(grid.cells) + len(grid.twins) + 1

    @property
    def prepare(self) -> int:
        """Of a job that makes what cells need: higher than that of every cell."""
        return self._grid.study.sessions * self._steps + 1

    def generate(self, cell: Cell) -> int:
        """Of the job that measures a cell."""
        return self._session(cell) + self._steps - self._places[cell.id]

    def judge(self, cell: Cell) -> int:
        """Of the job that judges a cell: below the session's cells, above the next session's."""
        return self._session(cell) + 1

    def _session(self, cell: Cell) -> int:
        """What the priorities of a session's jobs are more than; the highest of the next one's."""
        return (self._grid.study.sessions - cell.session) * self._steps

    @cached_property
    def _places(self) -> dict[str, int]:
        """Id of each cell and session -> its place in the session, from 0."""
        seed, places = self._grid.study.order_seed, dict[str, int]()
        for session in range(1, self._grid.study.sessions + 1):
            twins = self._grid.twins.values() if session == 1 else ()
            chosen = [*self._grid.in_session(session), *twins]
            places |= {cell.id: at for at, cell in enumerate(in_drawn_order(chosen, seed))}
        return places
