"""Whether another engine generates the tokens that transformers' own generate() does."""

from collections.abc import Mapping, Sequence

from codewatt.analysis.cell_results import CellResults
from codewatt.analysis.columns import Row
from codewatt.analysis.completion_statistics import Tokens

REFERENCE = "transformers"


def compare_engines(rows: Sequence[Row], records: Sequence[CellResults]) -> None:
    """Add to each cell of another engine, in place, the share of tasks with the same tokens.

    `engine_reference_cell_id` is the cell that is the same but for the engine `transformers`, and
    `tokens_identical_share` the share of tasks (of their samples, where there are several), in the
    first repeat, whose new tokens are exactly those of that cell. Both stay absent for the engine
    `transformers` itself and where there is no such cell; the share also where one of the two kept
    no tokens or ran other tasks.

    Args:
        rows: rows of the cell table; records: the records that they were made of.
    """
    by_setting = {_setting(record): record for record in records}
    by_id = {record.identity["id"]: record for record in records}
    for row in rows:
        record = by_id[row["cell_id"]]
        other = by_setting.get((*_setting(record)[:-1], REFERENCE))
        if row["engine"] == REFERENCE or other is None:
            continue
        row["engine_reference_cell_id"] = other.identity["design_id"]
        row["tokens_identical_share"] = identical_share(_tokens(record), _tokens(other))


def identical_share(ours: Tokens, theirs: Tokens) -> float | None:
    """The share of completions with the same tokens; None if they are not of the same tasks."""
    if not ours or ours.keys() != theirs.keys():
        return None
    return sum(ours[key] == theirs[key] for key in ours) / len(ours)


def _tokens(record: CellResults) -> Tokens:
    return {} if record.measured is None else record.measured.first_tokens


def _setting(record: CellResults) -> tuple[object, ...]:
    """The values that make the cell; the engine last."""
    identity: Mapping[str, object] = record.identity
    keys = (
        "model", "prune", "precision", "benchmark", "prompt", "token_limit", "batch_size",
        "hardware",
    )  # fmt: skip
    return (*(identity[key] for key in keys), identity["engine"])
