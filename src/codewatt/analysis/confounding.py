"""Whether a variant and its baseline were measured on the same board, in each session.

Two boards of one GPU model differ by some percent in power, and so do two hosts. If a variant
always ran on one board and its baseline on another, the difference of the boards is part of every
change that the tables give, and no number of sessions averages it out.
"""

from collections.abc import Mapping
from typing import NamedTuple

from codewatt.energy.placement_record import PlacementRecord
from codewatt.energy.validity.check import CheckResult, Severity, check_result
from codewatt.energy.validity.same_board import VARIANT_NOT_CONFOUNDED

#: Why changes of energy, times and rates are withheld where the check failed with an error.
CONFOUNDED = "variant and board are confounded: the cell never ran on a board of its baseline"


class Place(NamedTuple):
    """What a cell was measured on; boards: UUIDs of the GPUs that computed, none on a CPU."""

    host: str
    boards: tuple[str, ...]

    def __str__(self) -> str:
        """Host and GPUs in one line."""
        return ", ".join((self.host, *self.boards))


class CellSession(NamedTuple):
    """A cell of the design in one session."""

    cell_id: str
    session: int


def place_of(host: str, placement: PlacementRecord) -> Place:
    """Where a cell was measured, from its generate.json.

    Args:
        host: provenance.host; the name of the Slurm node goes before it, since virtual nodes share
            a host.
        placement: placement of the record.
    """
    slurm = placement["slurm"]
    boards = tuple(sorted(gpu["uuid"] for gpu in placement["gpus"]))
    return Place(host if slurm is None else slurm["node"], boards)


def same_board_as_baseline(
    places: Mapping[CellSession, Place], baselines: Mapping[str, str | None]
) -> dict[CellSession, bool | None]:
    """Whether each cell ran where its baseline did in the same session.

    Args:
        places: where each cell was measured in each session.
        baselines: id of a cell -> id of its baseline; None if it has none.

    Returns:
        For each key of `places`; None for a cell without a baseline, and where the baseline was not
        measured in that session.
    """
    found: dict[CellSession, bool | None] = {}
    for key, place in places.items():
        other = _of_baseline(key, places, baselines)
        found[key] = None if other is None else place == other
    return found


def confounding_checks(
    places: Mapping[CellSession, Place], baselines: Mapping[str, str | None]
) -> dict[CellSession, CheckResult]:
    """The result of `variant_not_confounded` for each cell and session; arguments as above.

    It fails in a session where a cell and its baseline ran on different hosts or boards. A failure
    is an error where, over two or more sessions, the cell never ran on any place on which its
    baseline ran: then nothing in the study tells variant and board apart. Otherwise it is a
    warning. A baseline has no result, nor has a cell that cannot be compared.
    """
    ran_on: dict[str, set[Place]] = {}
    sessions: dict[str, set[int]] = {}
    for key, place in places.items():
        ran_on.setdefault(key.cell_id, set()).add(place)
        sessions.setdefault(key.cell_id, set()).add(key.session)
    results: dict[CellSession, CheckResult] = {}
    for key, place in places.items():
        base = baselines.get(key.cell_id)
        other = _of_baseline(key, places, baselines)
        if base is None or base == key.cell_id or other is None:
            continue
        always_apart = ran_on[key.cell_id].isdisjoint(ran_on[base])
        confounded = always_apart and len(sessions[key.cell_id] & sessions[base]) > 1
        severity: Severity = "error" if confounded else "warning"
        results[key] = check_result(
            VARIANT_NOT_CONFOUNDED.name,
            severity,
            place == other,
            str(place),
            str(other),
            None,
            _detail(key.session, place == other, always_apart, len(sessions[key.cell_id])),
        )
    return results


def _of_baseline(
    key: CellSession, places: Mapping[CellSession, Place], baselines: Mapping[str, str | None]
) -> Place | None:
    """Where the baseline of a cell ran in the same session; None if there is none."""
    base = baselines.get(key.cell_id)
    return None if base is None else places.get(CellSession(base, key.session))


def _detail(session: int, same: bool, always_apart: bool, sessions: int) -> str:
    where = f"session {session}: host and GPUs of the cell against those of its baseline"
    if same or not always_apart or sessions == 1:
        return where
    return f"{where}; in no session did the two share a board"
