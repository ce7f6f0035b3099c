"""A cell of the design with its results in all sessions, and its columns pooled over them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.analysis.cell_results import CellResults, Measurements
from codewatt.analysis.columns import CELL, REAL, STRING, Row
from codewatt.analysis.log_scale_statistics import finite, mean_of
from codewatt.energy.record_ids import CellIds
from codewatt.errors import CodewattError

#: Separates the values of a text column whose sessions differ.
_SEPARATOR = "; "
#: Origins of an energy, the least reliable first.
_STATUSES = ("unavailable", "modelled", "measured")


@dataclass(frozen=True)
class DesignCell:
    """A cell of the design.

    Attributes:
        results: its results in each session, by session; at least one.
    """

    results: tuple[CellResults, ...]

    @property
    def identity(self) -> CellIds:
        """The ids of its first session."""
        return self.results[0].identity

    @property
    def id(self) -> str:
        """The id in the design, `cell_id` in the tables."""
        return self.identity["design_id"]

    @property
    def measured(self) -> dict[int, Measurements]:
        """Session -> what was measured; without the sessions in which the cell could not run."""
        return {
            record.identity["session"]: record.measured
            for record in self.results
            if record.measured is not None
        }

    @property
    def status(self) -> str:
        """ "ok" if the cell ran in at least one session, else "infeasible"."""
        return "ok" if self.measured else "infeasible"

    @property
    def reason(self) -> str | None:
        """Why sessions could not run the cell; None if it ran in all of them."""
        ran = "infeasible: " if self.measured else ""
        reasons = [
            (record.identity["session"], record.reason and f"{ran}{record.reason}")
            for record in self.results
        ]
        return told_by_session(reasons)


def design_cells(records: Iterable[CellResults]) -> list[DesignCell]:
    """The cells of the design in the order of their first results.

    Raises:
        CodewattError: a session of a cell is there twice.
    """
    found: dict[str, dict[int, CellResults]] = {}
    for record in records:
        cell_id, session = record.identity["design_id"], record.identity["session"]
        sessions = found.setdefault(cell_id, {})
        if session in sessions:
            raise CodewattError(f"{record.generate_path}: session {session} of {cell_id} twice")
        sessions[session] = record
    return [DesignCell(tuple(sessions[s] for s in sorted(sessions))) for sessions in found.values()]


def told_by_session(texts: Sequence[tuple[int, str | None]]) -> str | None:
    """A remark on a cell from those on its sessions: "session 2: text".

    The sessions are named only where they differ. None if no session has a remark.

    Args:
        texts: (session, its remark).
    """
    distinct = {text for _, text in texts}
    if len(distinct) == 1:
        return distinct.pop()
    return _SEPARATOR.join(f"session {session}: {text}" for session, text in texts if text)


def pool_columns(rows: Sequence[tuple[int, Row]]) -> Row:
    """One value for each column from those of the sessions; of one session, its own.

    Numbers become their mean, and are absent unless every session has one. Counts stay if all
    sessions have the same. The origin of an energy is the least reliable. Remarks (`*_note`) name
    their session; of other texts each distinct one is listed, in the order of the sessions.

    Args:
        rows: (session, columns of the cell table that describe one job).
    """
    if len(rows) == 1:
        return rows[0][1]
    names = dict.fromkeys(name for _, row in rows for name in row)
    return {
        name: _pooled(name, [(session, row.get(name)) for session, row in rows]) for name in names
    }


def _pooled(name: str, values: Sequence[tuple[int, Any]]) -> Any:
    found = [value for _, value in values]
    if name.endswith("_note"):
        return told_by_session([(session, None if v is None else str(v)) for session, v in values])
    if name.endswith("_status"):
        return next((s for s in _STATUSES if s in found), None) if None not in found else None
    if CELL[name] == STRING:
        return _SEPARATOR.join(dict.fromkeys(str(v) for v in found if v is not None)) or None
    if None in found:
        return None
    if CELL[name] == REAL:
        return mean_of(finite(found))
    return found[0] if len(set(found)) == 1 else None


def identical_between_sessions(cell: DesignCell) -> bool | None:
    """Whether the first repeats of all sessions gave the same completions.

    None with one session, or if the completions of a session were not given.
    """
    texts = [measured.first_texts for measured in cell.measured.values()]
    if len(texts) < 2 or not all(texts):
        return None
    return all(text == texts[0] for text in texts)


def identical_within_sessions(cell: DesignCell) -> bool | None:
    """Whether, in every session, all repeats gave the same completions; None if unknown."""
    found = [measured.completions_identical for measured in cell.measured.values()]
    return None if None in found else all(found)
