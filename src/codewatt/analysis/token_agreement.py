"""Whether another engine generates the tokens that transformers' own generate() does."""

from collections.abc import Mapping, Sequence

from codewatt.analysis.columns import Row
from codewatt.analysis.design_cells import DesignCell
from codewatt.analysis.log_scale_statistics import mean_of

REFERENCE = "transformers"


def compare_engines(rows: Sequence[Row], cells: Sequence[DesignCell]) -> None:
    """Add to each cell of another engine, in place, the share of tasks with the same tokens.

    `engine_reference_cell_id` is the cell that is the same but for the engine `transformers`, and
    `tokens_identical_share` the share of tasks (of their samples, where there are several), in the
    first repeat, whose new tokens are exactly those of that cell in the same session; the mean over
    the sessions in which both ran. Both stay absent for the engine `transformers` itself and where
    there is no such cell; the share also where, in a session, one of the two kept no tokens or ran
    other tasks.

    Args:
        rows: rows of the cell table; cells: what they were made of.
    """
    by_setting = {_setting(cell): cell for cell in cells}
    by_id = {cell.id: cell for cell in cells}
    for row in rows:
        cell = by_id[row["cell_id"]]
        other = by_setting.get((*_setting(cell)[:-1], REFERENCE))
        if row["engine"] == REFERENCE or other is None:
            continue
        row["engine_reference_cell_id"] = other.id
        row["tokens_identical_share"] = _mean_share(cell, other)


def _mean_share(cell: DesignCell, other: DesignCell) -> float | None:
    ours, theirs = cell.measured, other.measured
    shares = [
        measured.first_tokens.identical_share(theirs[session].first_tokens)
        for session, measured in ours.items()
        if session in theirs
    ]
    known = [share for share in shares if share is not None]
    return mean_of(known) if known and len(known) == len(shares) else None


def _setting(cell: DesignCell) -> tuple[object, ...]:
    """The values that make the cell; the engine last."""
    identity: Mapping[str, object] = cell.identity
    keys = (
        "model", "prune", "precision", "benchmark", "prompt", "token_limit", "batch_size",
        "hardware",
    )  # fmt: skip
    return (*(identity[key] for key in keys), identity["engine"])
