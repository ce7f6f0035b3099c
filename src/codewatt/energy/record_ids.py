"""The ids by which records name their variant or cell. How ids are made: `codewatt.cells`."""

from typing_extensions import TypedDict


class VariantIds(TypedDict):
    """The study's ids of a variant."""

    model: str
    prune: str
    precision: str


class CellIds(TypedDict):
    """What a cell is: its ids, its session, its variant's id, and the study's values that make it.

    id: unique for each cell and session. design_id: the same in all sessions. session: from 1.
    hardware: None where the study names none.
    """

    id: str
    design_id: str
    session: int
    variant: str
    model: str
    prune: str
    precision: str
    benchmark: str
    prompt: str
    token_limit: int
    batch_size: int
    engine: str
    hardware: str | None
