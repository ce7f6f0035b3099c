"""The efficient frontier: variants that no other variant beats in both energy and accuracy."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from codewatt.energy.energy_sources import COMPONENTS

#: What must be equal for two cells' energy and accuracy to be set against each other.
SETTING = ("benchmark", "prompt", "token_limit", "batch_size", "engine", "hardware")

Row = dict[str, Any]


def efficient(points: Sequence[tuple[float | None, float | None]]) -> list[bool]:
    """Which (cost, score) points are efficient: low cost is good, high score is good.

    A point is dominated when another costs no more and scores no less, and is better in one of
    the two (Pareto 1906). Equal points are both efficient or both dominated. A point with an
    absent coordinate is never efficient and dominates nothing.
    """
    known = {(cost, score) for cost, score in points if cost is not None and score is not None}
    members: set[tuple[float, float]] = set()
    best: float | None = None
    # Cheapest first; of equal cost the highest score, so that what follows is dominated.
    for cost, score in sorted(known, key=lambda point: (point[0], -point[1])):
        if best is None or score > best:
            members.add((cost, score))
            best = score
    return [point in members for point in points]


def energy_basis(row: Row) -> tuple[str, ...]:
    """How a cell's energy came about: its boundary, and status and method of each part inside.

    Figures of different bases are sums over different components, come from other cards, or mix
    measured with modelled ones: they are not compared. Of modelled parts the status alone counts,
    as their methods hold figures that each machine guesses for itself.
    """
    boundary = str(row.get("energy_boundary"))
    share = row.get("cpu_share")
    held = [f"{share:.3g} of the processors"] if boundary == "job" and share is not None else []
    cards = [str(name)] if (name := row.get("gpu_names")) is not None else []
    return boundary, *held, *cards, *(_origin(row, part) for part in inside(row))


def _origin(row: Row, part: str) -> str:
    status, method = row.get(f"{part}_energy_status"), row.get(f"{part}_energy_method")
    return f"{part} {status}" + (f" ({method})" if status == "measured" and method else "")


def inside(row: Row) -> tuple[str, ...]:
    """The components inside a cell's boundary."""
    return ("gpu",) if row.get("energy_boundary") == "gpu" else COMPONENTS


def accuracy_column(rows: Sequence[Row]) -> str:
    """`pass_at_1_plus` where some row has it, else `pass_at_1_base`."""
    plus = any(row["pass_at_1_plus"] is not None for row in rows)
    return "pass_at_1_plus" if plus else "pass_at_1_base"


def comparable_groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows grouped by setting and energy basis, in order of first appearance."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[(*(row[axis] for axis in SETTING), *energy_basis(row))].append(row)
    return list(groups.values())


def frontier_cells(rows: Sequence[Row], accuracy: str) -> set[str]:
    """Ids of the cells on the efficient frontier of energy (J, geometric mean) and `accuracy`.

    The frontier is drawn over all models, separately for each setting and each energy basis.
    It goes through point estimates. Cells that failed a validity check or have no figure are left
    out.

    Args:
        rows: rows of the cell table.
        accuracy: the column of the score, `pass_at_1_base` or `pass_at_1_plus`.
    """
    members: set[str] = set()
    for group in comparable_groups([row for row in rows if row["valid"]]):
        points = [(row["energy_j_geomean"], row[accuracy]) for row in group]
        members.update(
            row["cell_id"] for row, kept in zip(group, efficient(points), strict=True) if kept
        )
    return members
