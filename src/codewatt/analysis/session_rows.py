"""Rows of the session table: one for each cell and session."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from codewatt.analysis.cell_results import CellResults
from codewatt.analysis.cell_rows import machine
from codewatt.analysis.columns import CLAIMED, TESTS, Row
from codewatt.analysis.compared_pairs import Board
from codewatt.analysis.design_cells import DesignCell
from codewatt.analysis.log_scale_statistics import finite, mean_of, summarise
from codewatt.analysis.run_rows import session_id_columns


def session_rows(
    cells: Sequence[DesignCell], runs: Mapping[str, Sequence[Row]], baselines: Mapping[str, str]
) -> list[Row]:
    """One row for each cell and session, the sessions of a cell together.

    Args:
        cells: the cells of the design.
        runs: cell id -> its rows of the run table.
        baselines: cell id -> the id of its baseline, where it has one.
    """
    by_id = {cell.id: cell for cell in cells}
    ranks = _start_ranks([record for cell in cells for record in cell.results])
    rows = []
    for cell in cells:
        boards = boards_of(cell)
        base = by_id.get(baselines.get(cell.id, ""))
        references = {} if base is None else boards_of(base)
        for record in cell.results:
            session = record.identity["session"]
            own = [run for run in runs[cell.id] if run["session"] == session]
            row = {
                **session_id_columns(record),
                "status": record.generate["status"],
                "status_reason": record.reason,
                "start_rank": ranks[record.identity["id"]],
                "started_at_utc": _utc(_started(record)),
                "same_board_as_baseline": _same(boards.get(session), references.get(session)),
            }
            rows.append(row | _measured(record, own))
    return rows


def boards_of(cell: DesignCell) -> dict[int, Board]:
    """Session -> host and GPUs, of the sessions in which the cell ran."""
    found = {session: machine(measured.generate) for session, measured in cell.measured.items()}
    return {session: (one["host"], one["gpu_uuids"]) for session, one in found.items()}


def _same(board: Board | None, reference: Board | None) -> bool | None:
    """Whether two boards are known to be the same; None if one of the two did not run."""
    if board is None or reference is None:
        return None
    return board == reference and board[0] is not None


def _measured(record: CellResults, runs: Sequence[Row]) -> Row:
    """The columns of a session that ran; empty for one that could not."""
    if record.measured is None:
        return {}
    place = machine(record.measured.generate)
    row: Row = {
        "valid": record.measured.energy["valid"],
        "host": place["host"],
        "gpu_uuids": place["gpu_uuids"],
        "repeats": len(runs),
    }
    for metric in CLAIMED:
        row[f"{metric}_geomean"] = summarise(run[metric] for run in runs).geomean
    for tests in TESTS:
        known = finite(run[f"pass_at_1_{tests}"] for run in runs)
        row[f"pass_at_1_{tests}"] = mean_of(known) if known else None
    return row


def _started(record: CellResults) -> float:
    """When the job began to sample (Unix s)."""
    generate = record.generate
    return generate["sampler"]["started_s"] + generate["epoch_offset_s"]


def _utc(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")


def _start_ranks(records: Sequence[CellResults]) -> dict[str, int]:
    """Id of a cell in its session -> its rank in the session by the time it began, from 1."""
    ranks: dict[str, int] = {}
    counts: dict[int, int] = {}
    for record in sorted(records, key=lambda one: (_started(one), one.identity["id"])):
        session = record.identity["session"]
        counts[session] = counts.get(session, 0) + 1
        ranks[record.identity["id"]] = counts[session]
    return ranks
