"""Rows of the session table: one for each cell and session."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from codewatt.analysis.cell_results import CellResults
from codewatt.analysis.cell_rows import machine
from codewatt.analysis.columns import CLAIMED, TESTS, Row
from codewatt.analysis.confounded_cells import places_of
from codewatt.analysis.confounding import CellSession, same_board_as_baseline
from codewatt.analysis.design_cells import DesignCell
from codewatt.analysis.log_scale_statistics import finite, mean_of, summarise
from codewatt.analysis.run_rows import session_id_columns
from codewatt.analysis.start_columns import start_columns
from codewatt.blocks import block_id
from codewatt.cells import Cell
from codewatt.energy.record_ids import CellIds
from codewatt.session_order import drawn_positions


def session_rows(
    cells: Sequence[DesignCell],
    runs: Mapping[str, Sequence[Row]],
    baselines: Mapping[str, str | None],
    order_seed: int,
) -> list[Row]:
    """One row for each cell and session, the sessions of a cell together.

    Args:
        cells: the cells of the design.
        runs: cell id -> its rows of the run table.
        baselines: cell id -> the id of its baseline; None if it has none.
        order_seed: the study's, from which the order of the cells is drawn.
    """
    records = [record for cell in cells for record in cell.results]
    ranks, positions = _start_ranks(records), _order_positions(records, order_seed)
    same_board = same_board_as_baseline(places_of(cells), baselines)
    rows = []
    for cell in cells:
        for record in cell.results:
            session = record.identity["session"]
            own = [run for run in runs[cell.id] if run["session"] == session]
            row = {
                **session_id_columns(record),
                "block": block_id(_cell(record.identity)),
                "status": record.generate["status"],
                "status_reason": record.reason,
                "order_position": positions[record.identity["id"]],
                "start_rank": ranks[record.identity["id"]],
                "started_at_utc": _utc(_started(record)),
                "same_board_as_baseline": same_board.get(CellSession(cell.id, session)),
                **start_columns(record.generate),
            }
            rows.append(row | _measured(record, own))
    return rows


def _cell(ids: CellIds) -> Cell:
    """The cell of the design that a record is of."""
    return Cell(
        model=ids["model"],
        prune=ids["prune"],
        precision=ids["precision"],
        benchmark=ids["benchmark"],
        prompt=ids["prompt"],
        token_limit=ids["token_limit"],
        batch_size=ids["batch_size"],
        engine=ids["engine"],
        hardware=ids["hardware"],
    )


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


def _order_positions(records: Sequence[CellResults], order_seed: int) -> dict[str, int]:
    """Id of a cell in its session -> its place in the drawn order of the session, from 1."""
    ids: dict[int, dict[str, str]] = {}
    for record in records:
        one = record.identity
        ids.setdefault(one["session"], {})[one["design_id"]] = one["id"]
    return {
        in_session[design_id]: place
        for session, in_session in ids.items()
        for design_id, place in drawn_positions(in_session, order_seed, session).items()
    }
