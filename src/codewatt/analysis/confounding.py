"""Whether a variant and its baseline were measured on the same board, in each session.

Two boards of one GPU model differed by 12 % in the energy of the same work
(docs/archive/h200-sessions.md). If a variant always ran on one board and its baseline on another,
the difference of the boards is part of every change that the tables give, and no number of sessions
averages it out.
"""

from collections.abc import Mapping
from typing import NamedTuple

from codewatt.energy.placement_record import PlacementRecord
from codewatt.energy.validity.check import CheckResult, Severity, check_result
from codewatt.energy.validity.same_board import VARIANT_NOT_CONFOUNDED

#: Why changes of energy, times and rates are withheld where the check failed with an error.
CONFOUNDED = "variant and board are confounded: the cell never ran on a board of its baseline"


class Place(NamedTuple):
    """What a cell was measured on.

    Attributes:
        host: name of the machine or of the Slurm node; None if unknown.
        boards: UUIDs of the GPUs that computed, none on a CPU; None if GPUs computed whose UUIDs
            are unknown.
    """

    host: str | None
    boards: tuple[str, ...] | None

    @property
    def known(self) -> bool:
        """Whether host and boards are known; unknown places are not known to be the same."""
        return self.host is not None and self.boards is not None

    def __str__(self) -> str:
        """Host and GPUs in one line."""
        boards = ("unknown GPU",) if self.boards is None else self.boards
        return ", ".join((self.host or "unknown host", *boards))


#: Session -> where a cell was measured.
Places = Mapping[int, Place]


class CellSession(NamedTuple):
    """A cell of the design in one session."""

    cell_id: str
    session: int


def place_of(host: str | None, placement: PlacementRecord, device: str) -> Place:
    """Where a cell was measured, from its generate.json.

    Args:
        host: provenance.host; the name of the Slurm node goes before it, since virtual nodes share
            a host.
        placement: placement of the record.
        device: the device of its model, "cpu" or a GPU.
    """
    slurm = placement["slurm"]
    boards = tuple(sorted(gpu["uuid"] for gpu in placement["gpus"]))
    unknown = device != "cpu" and not boards
    return Place(host if slurm is None else slurm["node"], None if unknown else boards)


def same_places(ours: Places, theirs: Places) -> bool:
    """Whether two cells are known to have run on the same host and GPUs (by UUID).

    True if they did within every session that has both, or if all sessions of both ran on one and
    the same place.
    """
    every = {*ours.values(), *theirs.values()}
    if not ours or not theirs or not all(place.known for place in every):
        return False
    common = ours.keys() & theirs.keys()
    return len(every) == 1 or (bool(common) and all(ours[s] == theirs[s] for s in common))


def always_apart(ours: Places, theirs: Places) -> bool:
    """Whether, over two or more common sessions, one cell never ran on a place of the other.

    Then nothing in the study tells the two variants and their boards apart. False if a place is
    unknown.
    """
    known = all(place.known for place in (*ours.values(), *theirs.values()))
    several = len(ours.keys() & theirs.keys()) > 1
    return known and several and set(ours.values()).isdisjoint(theirs.values())


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
        found[key] = None if other is None else place.known and place == other
    return found


def confounding_checks(
    places: Mapping[CellSession, Place], baselines: Mapping[str, str | None]
) -> dict[CellSession, CheckResult]:
    """The result of `variant_not_confounded` for each cell and session; arguments as above.

    It fails in a session where a cell and its baseline ran on different hosts or boards. A failure
    is an error where the two were always apart (`always_apart`). Otherwise it is a warning. A
    baseline has no result, nor has a cell that cannot be compared. An unknown place fails.
    """
    ran_on: dict[str, dict[int, Place]] = {}
    for key, place in places.items():
        ran_on.setdefault(key.cell_id, {})[key.session] = place
    results: dict[CellSession, CheckResult] = {}
    for key, place in places.items():
        base = baselines.get(key.cell_id)
        other = _of_baseline(key, places, baselines)
        if base is None or base == key.cell_id or other is None:
            continue
        confounded = always_apart(ran_on[key.cell_id], ran_on[base])
        severity: Severity = "error" if confounded else "warning"
        same = place.known and place == other
        results[key] = check_result(
            VARIANT_NOT_CONFOUNDED.name,
            severity,
            same,
            str(place),
            str(other),
            None,
            _detail(key.session, confounded and not same),
        )
    return results


def _of_baseline(
    key: CellSession, places: Mapping[CellSession, Place], baselines: Mapping[str, str | None]
) -> Place | None:
    """Where the baseline of a cell ran in the same session; None if there is none."""
    base = baselines.get(key.cell_id)
    return None if base is None else places.get(CellSession(base, key.session))


def _detail(session: int, apart: bool) -> str:
    where = f"session {session}: host and GPUs of the cell against those of its baseline"
    return f"{where}; the cell never ran on a board of its baseline" if apart else where
