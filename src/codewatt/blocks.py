"""Blocks: the cells of a study that are compared with each other, so that they share one board.

Two boards of one GPU model differed by 12 % in the energy of the same work
(docs/archive/h200-sessions.md). A block holds the cells that differ in nothing but prune setting
and precision: a variant and its baseline, and the variants among each other. On a cluster the cells
of a block in one session run in one Slurm job, on one node and one GPU, one after another in the
drawn order. Whether they did is checked afterwards from the records (`analysis.confounding`).
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

from codewatt.cells import ID_SEPARATOR, Cell

#: The axes on which the cells of a block agree.
BLOCK_AXES = (
    "model",
    "benchmark",
    "prompt",
    "token_limit",
    "batch_size",
    "engine",
    "hardware",
)


def block_id(cell: Cell) -> str:
    """Id of a cell's block, the same in all sessions: the part of a cell's id that is shared."""
    values = (
        cell.model,
        cell.benchmark,
        cell.prompt,
        f"t{cell.token_limit}",
        f"b{cell.batch_size}",
        cell.engine,
        *((cell.hardware,) if cell.hardware else ()),
    )
    return ID_SEPARATOR.join(values)


def blocks_of(cells: Iterable[Cell]) -> dict[tuple[str, int], tuple[Cell, ...]]:
    """The cells of each (block, session), in the order of `cells`."""
    found: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        found.setdefault((block_id(cell), cell.session), []).append(cell)
    return {key: tuple(members) for key, members in found.items()}


def split_block(
    cells: Sequence[Cell], minutes: Callable[[Cell], int], limit_min: int | None
) -> list[tuple[Cell, ...]]:
    """Parts of a block that each fit into the time limit of a job.

    A part is filled in the order of `cells` until the next cell does not fit. A cell that alone
    needs more than the limit is a part of its own.

    Args:
        cells: the cells of a block in one session, in the drawn order.
        minutes: the time that a cell's job requests at its first attempt.
        limit_min: the longest time limit of a job; None: there is none.
    """
    parts: list[list[Cell]] = []
    left = 0
    for cell in cells:
        needed = minutes(cell)
        if not parts or (limit_min is not None and needed > left):
            parts.append([])
            left = limit_min or 0
        parts[-1].append(cell)
        left -= needed
    return [tuple(part) for part in parts]


def group_name(block: str, session: int, part: int) -> str:
    """Name of the job that measures one part of a block: short, as it becomes a file name."""
    digest = hashlib.sha256(block.encode()).hexdigest()[:12]
    return f"block_{digest}_session_{session}" + (f"_part_{part}" if part > 1 else "")
