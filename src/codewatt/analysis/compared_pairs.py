"""Which cells are compared with each other, and why a comparison is withheld.

Every cell is compared with its baseline; the study can name further pairs (`comparisons.pairs`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codewatt.analysis.columns import Row
from codewatt.analysis.confounding import CONFOUNDED, Places, always_apart, same_places
from codewatt.analysis.efficient_frontier import SETTING, energy_basis
from codewatt.cells import pairs_to_compare

#: A metric whose name contains one of these is an energy or is derived from one.
_ENERGY_MARKS = ("_j", "j_per_", "_per_kwh", "co2e")

_ONE_JOB_NOTE = "one session: the interval does not cover differences between sessions"
_ONE_BOARD_NOTE = "all sessions on one host and its GPUs: the interval does not cover other boards"


@dataclass(frozen=True)
class StudyRows:
    """Rows of a study's tables by the id of their cell.

    Attributes:
        cells: rows of the cell table, in its order.
        runs, tasks: rows of the run and task tables, with their `session`; those of tasks have
            the columns of `KeptTasks`.
        places: session -> where the cell ran, of each cell that ran.
    """

    cells: Mapping[str, Row]
    runs: Mapping[str, Sequence[Row]]
    tasks: Mapping[str, Sequence[Row]]
    places: Mapping[str, Places]


@dataclass(frozen=True)
class Pair:
    """A cell and the reference that it is compared with.

    Attributes:
        cell, reference: rows of the cell table.
        of_baseline: whether the reference is the cell's baseline; its columns of the cell table
            hold the comparison.
        note: why the comparison of energy, or of everything but accuracy, is withheld.
        same_places: whether both are known to have run on the same host and GPUs.
        board_spread: relative difference between two boards that the comparison allows for.
        one_place: whether all sessions of both are known to have run on one host and its GPUs.
        confounded: whether variant and board cannot be told apart (`confounding.always_apart`).
    """

    cell: Row
    reference: Row
    of_baseline: bool
    note: str | None
    same_places: bool
    board_spread: float
    one_place: bool = False
    confounded: bool = False

    @property
    def ids(self) -> tuple[str, str]:
        """The ids of the cell and of its reference."""
        return self.cell["cell_id"], self.reference["cell_id"]

    @property
    def allowance(self) -> float:
        """Allowance (in ln) for a difference between boards."""
        return math.log1p(self.board_spread)

    @property
    def is_itself(self) -> bool:
        """Whether a baseline stands beside itself: its changes are 0 and have no intervals."""
        return self.cell is self.reference

    @property
    def why_not(self) -> str:
        """Why there is no estimate of a metric of energy, time or rate."""
        if self.cell["status"] != "ok":
            return f"this cell is {self.cell['status']}"
        return self.note or "no session with values of both cells"

    def interval_note(self, sessions: int) -> str | None:
        """What an interval over so many sessions does not cover, and what it allows for."""
        notes = [_ONE_JOB_NOTE] if sessions == 1 else []
        if sessions > 1 and self.one_place:
            notes.append(_ONE_BOARD_NOTE)
        if self.board_spread:
            spread = f"{100 * self.board_spread:.3g} %"
            notes.append(
                f"not known to be the same host and GPUs: {spread} difference is allowed for"
            )
        return "; ".join(notes) or None

    def compares(self, metric: str) -> bool:
        """Whether a metric of energy, time or rate is compared."""
        if not both_valid(self.cell, self.reference) or not _same_hardware(self):
            return False
        if self.confounded:
            return False
        return not is_energy(metric) or energy_basis(self.cell) == energy_basis(self.reference)


def find_baselines(rows: Sequence[Row], baseline: Row) -> None:
    """Add each cell's baseline and why changes are withheld, in place.

    The baseline of a cell is the cell of the same model and setting
    (efficient_frontier.SETTING) with the baseline's precision and prune.

    Args:
        rows: rows of the cell table.
        baseline: {"precision", "prune"} of the study's baseline.
    """
    baselines = {
        _comparison_key(row): row
        for row in rows
        if (row["precision"], row["prune"]) == (baseline["precision"], baseline["prune"])
    }
    for row in rows:
        base = baselines.get(_comparison_key(row))
        row["baseline_cell_id"] = None if base is None else base["cell_id"]
        row["change_note"] = (
            "no baseline cell in the study" if base is None else _withheld(row, base, "baseline")
        )


def compared_pairs(
    study: StudyRows, named: Iterable[tuple[str, str]], board_spread: float
) -> list[Pair]:
    """The pairs of a study: each cell with its baseline, then the named pairs.

    Sets `same_host_and_gpus` of cells that ran and whose baseline ran, `board_spread` where energy
    or time is compared, and `change_note` of cells that share no session with their baseline.

    Args:
        study: its rows, after `find_baselines`.
        named: (id of a cell, id of its reference); one that repeats a comparison is left out.
        board_spread: largest relative difference in energy and time between two boards.
    """
    baseline_of = {cell_id: row["baseline_cell_id"] for cell_id, row in study.cells.items()}
    pairs = []
    for cell_id, reference_id in pairs_to_compare(baseline_of, named):
        row, base = study.cells[cell_id], study.cells[reference_id]
        if reference_id != baseline_of[cell_id]:
            note = _withheld(row, base, "reference")
            pairs.append(_pair(study, row, base, note, board_spread, of_baseline=False))
            continue
        pair = _pair(study, row, base, row["change_note"], board_spread)
        row["change_note"] = pair.note
        pairs.append(pair)
        if row["status"] == base["status"] == "ok":
            row["same_host_and_gpus"] = pair.same_places
            if pair.compares("duration_s"):
                row["board_spread"] = pair.board_spread
    return pairs


def _pair(
    study: StudyRows,
    row: Row,
    base: Row,
    note: str | None,
    board_spread: float,
    of_baseline: bool = True,
) -> Pair:
    ours, theirs = (study.places.get(cell["cell_id"], {}) for cell in (row, base))
    same, apart = same_places(ours, theirs), always_apart(ours, theirs)
    if note is None and row["status"] == base["status"] == "ok" and not ours.keys() & theirs.keys():
        note = "no session has both cells"
    if note is None and apart:
        note = CONFOUNDED
    one = same and len({*ours.values(), *theirs.values()}) == 1
    return Pair(row, base, of_baseline, note, same, 0.0 if same else board_spread, one, apart)


def is_energy(metric: str) -> bool:
    """Whether a metric is an energy or is derived from one."""
    return any(mark in metric for mark in _ENERGY_MARKS)


def both_valid(row: Row, base: Row) -> bool:
    """Whether both cells ran and passed their validity checks."""
    return bool(
        row["status"] == base["status"] == "ok" and row["valid"] is True and base["valid"] is True
    )


def _comparison_key(row: Row) -> tuple[object, ...]:
    return (row["model"], *(row[axis] for axis in SETTING))


def _hardware(row: Row) -> tuple[object, object]:
    """The models of GPU and CPU; cells on different models are not compared."""
    return row["gpu_names"], row["cpu_name"]


def _same_hardware(pair: Pair) -> bool:
    return _hardware(pair.cell) == _hardware(pair.reference)


def _withheld(row: Row, base: Row, what: str) -> str | None:
    """Reason why changes of energy, or of all metrics, are withheld; None if none are.

    Args:
        what: what the other cell is: "baseline" or "reference".
    """
    if base["status"] != "ok":
        return f"{what} cell is {base['status']}"
    if row["status"] != "ok":
        return None
    if not base["valid"]:
        return f"{what} cell failed a validity check"
    if not row["valid"]:
        return "this cell failed a validity check"
    if _hardware(row) != _hardware(base):
        pair = [", ".join(str(p) for p in _hardware(r) if p) for r in (row, base)]
        return f"measured on different hardware: {pair[0]}; {what}: {pair[1]}"
    if energy_basis(row) != energy_basis(base):
        pair = [", ".join(energy_basis(r)) for r in (row, base)]
        return f"energy of different origin: {pair[0]}; {what}: {pair[1]}"
    return None
