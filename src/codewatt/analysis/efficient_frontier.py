"""The efficient frontier (Pareto set) of energy and accuracy, and which cells can be compared."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from codewatt.analysis.columns import Row
from codewatt.energy.energy_sources import COMPONENTS

#: The axes of a setting: cells are compared only where these are equal.
SETTING = ("benchmark", "prompt", "token_limit", "batch_size", "engine", "hardware")


def efficient_mask(points: Sequence[tuple[float | None, float | None]]) -> list[bool]:
    """Whether each point is efficient; low cost and high score are good.

    A point is dominated if another point costs no more, scores no less, and is better in one of
    the two (Pareto 1906). Equal points are both efficient or both dominated.

    Args:
        points: (cost, score). A point with an absent coordinate is never efficient and dominates
            no other point.

    Returns:
        For each point, whether no other point dominates it.
    """
    known = {(cost, score) for cost, score in points if cost is not None and score is not None}
    members: set[tuple[float, float]] = set()
    best: float | None = None
    # Sorted by cost, then by descending score: an efficient point has the highest score so far.
    for cost, score in sorted(known, key=lambda point: (point[0], -point[1])):
        if best is None or score > best:
            members.add((cost, score))
            best = score
    return [point in members for point in points]


def energy_basis(row: Row) -> tuple[str, ...]:
    """The origin of a cell's energy: boundary, GPUs, and status and method of each component.

    Energies with different bases are not compared: they are sums over different components, come
    from different GPU models, or mix measured with modelled components. For a modelled component
    only the status counts, because its method contains values that are specific to the machine.
    """
    boundary = str(row.get("energy_boundary"))
    share = row.get("cpu_share")
    cpus = [f"CPU share {share:.3g}"] if boundary == "job" and share is not None else []
    gpus = [str(name)] if (name := row.get("gpu_names")) is not None else []
    components = (_origin(row, part) for part in boundary_components(row))
    return boundary, *cpus, *gpus, *components


def _origin(row: Row, part: str) -> str:
    status, method = row.get(f"{part}_energy_status"), row.get(f"{part}_energy_method")
    return f"{part} {status}" + (f" ({method})" if status == "measured" and method else "")


def boundary_components(row: Row) -> tuple[str, ...]:
    """The components inside a cell's energy boundary."""
    return ("gpu",) if row.get("energy_boundary") == "gpu" else COMPONENTS


def accuracy_column(rows: Sequence[Row]) -> str:
    """The column of pass@1: `pass_at_1_plus` if some row has it, else `pass_at_1_base`."""
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

    There is one frontier over all models for each setting and each energy basis. It is computed
    from point estimates. Cells that failed a validity check, or lack energy or accuracy, are
    excluded.

    Args:
        rows: rows of the cell table.
        accuracy: the column of the score, `pass_at_1_base` or `pass_at_1_plus`.
    """
    members: set[str] = set()
    for group in comparable_groups([row for row in rows if row["valid"]]):
        points = [(row["energy_j_geomean"], row[accuracy]) for row in group]
        members.update(
            row["cell_id"] for row, kept in zip(group, efficient_mask(points), strict=True) if kept
        )
    return members
