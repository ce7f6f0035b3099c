"""The record of what a cell solved: it decides whether its model is pruned any deeper."""

from typing import Literal

from typing_extensions import TypedDict

from codewatt.record_files import RecordFormat


class DepthRecord(TypedDict):
    """cells/<cell>/depth.json.

    correct: tasks of which some completion passed the base tests. tasks, correct: None for a cell
    that could not run. zero: whether pass@1 is 0.
    It holds neither provenance nor code: the same verdicts give the same file, so that a cell that
    is judged again makes nothing after it stale.
    """

    schema: Literal[1]
    cell: str
    tasks: int | None
    correct: int | None
    zero: bool


DEPTH: RecordFormat[DepthRecord] = RecordFormat(DepthRecord, "judge_depth")
