"""The check `variant_not_confounded` on the cells of a study, and what a failure withholds.

A cell that is confounded with a board is valid by itself: its own energy is right. Its changes
against the baseline are not, so these are withheld, and the cell stays valid.
"""

from collections.abc import Mapping, Sequence

from codewatt.analysis.cell_rows import describe_check
from codewatt.analysis.columns import Row
from codewatt.analysis.confounding import (
    CONFOUNDED,
    CellSession,
    Place,
    confounding_checks,
    place_of,
)
from codewatt.analysis.design_cells import DesignCell
from codewatt.energy.validity.check import CheckResult


def places_of_cell(cell: DesignCell) -> dict[int, Place]:
    """Session -> where the cell ran; without sessions in which it could not run."""
    return {
        session: place_of(
            measured.generate["provenance"]["host"],
            measured.generate["placement"],
            measured.generate["model"]["device"],
        )
        for session, measured in cell.measured.items()
    }


def places_of(cells: Sequence[DesignCell]) -> dict[CellSession, Place]:
    """Where each cell ran in each session; without sessions in which it could not run."""
    return {
        CellSession(cell.id, session): place
        for cell in cells
        for session, place in places_of_cell(cell).items()
    }


def check_confounding(
    cells: Sequence[DesignCell], rows: Sequence[Row]
) -> dict[CellSession, CheckResult]:
    """Check every cell against its baseline, and note failures in the cells' rows, in place.

    A failure stands among the cell's `warnings`. If it is an error, `change_note` says that the
    changes are withheld, unless another reason does.

    Args:
        cells: the cells of the design.
        rows: their rows of the cell table, after `find_baselines`.

    Returns:
        The result for each cell and session that was checked.
    """
    baselines = {row["cell_id"]: row["baseline_cell_id"] for row in rows}
    results = confounding_checks(places_of(cells), baselines)
    by_id = {row["cell_id"]: row for row in rows}
    for cell in cells:
        _note_failures(by_id[cell.id], _failures(cell, results))
    return results


def _failures(
    cell: DesignCell, results: Mapping[CellSession, CheckResult]
) -> list[tuple[int, CheckResult]]:
    """(session, result) of the sessions in which the check failed."""
    found = [(session, results.get(CellSession(cell.id, session))) for session in cell.measured]
    return [(session, one) for session, one in found if one is not None and one["passed"] is False]


def _note_failures(row: Row, failures: Sequence[tuple[int, CheckResult]]) -> None:
    if not failures:
        return
    several = row["sessions"] > 1
    told = [describe_check(one, session if several else None) for session, one in failures]
    row["warnings"] = "; ".join([*([row["warnings"]] if row["warnings"] else []), *told])
    if any(one["severity"] == "error" for _, one in failures) and row["change_note"] is None:
        row["change_note"] = CONFOUNDED
