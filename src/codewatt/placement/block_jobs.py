"""Which job of a cluster measures a cell, where the cells of a block share one."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from codewatt.blocks import blocks_of, group_name, split_block
from codewatt.cells import Cell
from codewatt.grid import Grid
from codewatt.session_order import in_drawn_order


class _Part(NamedTuple):
    """One job: its name, its cells, and the time (min) of their first attempts and its limit."""

    name: str
    cells: tuple[Cell, ...]
    minutes: int
    limit_min: int | None


class BlockJobs:
    """The jobs of a study's blocks: each measures the cells of a block in one session.

    The second run of a cell (A/A test) is in the job of its cell. A block that needs more time than
    a job may have is split into several jobs; cells of two jobs may get two boards.
    """

    def __init__(
        self,
        grid: Grid,
        alone: Iterable[Cell],
        minutes: Callable[[Cell], int],
        limit_min: Callable[[Cell], int | None],
    ) -> None:
        """Assign the cells to jobs.

        Args:
            grid: the study's grid.
            alone: cells of the first session that have jobs of their own in every session: those
                of chains, which wait for each other.
            minutes: the time that a cell's job requests at its first attempt.
            limit_min: the longest time limit of a job on the cell's nodes; None: no limit.
        """
        apart = set(alone)
        cells = [
            cell
            for cell in (*grid.measured_cells, *grid.twins.values())
            if cell.in_session(1) not in apart
        ]
        drawn = in_drawn_order(cells, grid.study.order_seed)
        self._part_of: dict[str, _Part] = {}
        self.split: dict[str, int] = {}
        for (block, session), members in blocks_of(drawn).items():
            limit = limit_min(members[0])
            parts = split_block(members, minutes, limit)
            if len(parts) > 1:
                self.split[f"{block}, session {session}"] = len(parts)
            for number, part in enumerate(parts, start=1):
                name = group_name(block, session, number)
                whole = _Part(name, part, sum(map(minutes, part)), limit)
                self._part_of |= {cell.id: whole for cell in part}

    def group(self, cell: Cell) -> str | None:
        """Name of the job that measures a cell; None if it has a job of its own."""
        part = self._part_of.get(cell.id)
        return None if part is None or len(part.cells) == 1 else part.name

    @property
    def sizes(self) -> dict[str, int]:
        """Name of each job of several cells -> number of its cells."""
        parts = {part.name: len(part.cells) for part in self._part_of.values()}
        return {name: cells for name, cells in parts.items() if cells > 1}

    def runtime_min(self, cell: Cell, first_min: int, request_min: int) -> int:
        """The time that a cell adds to the request of its job.

        A retry requests more time for each cell; the sum over the cells stays within the limit.

        Args:
            first_min: what the cell's own job would request at its first attempt.
            request_min: what it would request at this attempt.
        """
        part = self._part_of.get(cell.id)
        if part is None or len(part.cells) == 1 or part.limit_min is None:
            return request_min
        return min(request_min, max(1, math.floor(part.limit_min * first_min / part.minutes)))
