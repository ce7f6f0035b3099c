"""Variants and cells: what a study makes and measures, and their ids.

A variant is model x prune x precision: quantise makes it. A cell is a variant x benchmark x prompt
style x token limit x batch size x engine, and x hardware if the study names any: generate runs it.
No id is ever parsed: ids are looked up in the study's grid (`grid`). For paths see `paths`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from typing_extensions import TypedDict

#: Between the parts of an id; the parts have single separators only, so that an id is unambiguous.
ID_SEPARATOR = "--"
#: The last part of the id of a cell's second run.
AGAIN = "again"


class VariantIds(TypedDict):
    """The study's ids of a variant."""

    model: str
    prune: str
    precision: str


class CellIds(TypedDict):
    """What a cell is: its id, its variant's id, and the study's values that make it.

    hardware: None where the study names none.
    """

    id: str
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


@dataclass(frozen=True)
class Variant:
    """A model, pruned and quantised: ids of the study's entries."""

    model: str
    prune: str
    precision: str

    @property
    def id(self) -> str:
        """The name of its directory."""
        return ID_SEPARATOR.join((self.model, self.prune, self.precision))


@dataclass(frozen=True)
class Cell:
    """A variant with a benchmark and the settings of generation."""

    model: str
    prune: str
    precision: str
    benchmark: str
    prompt: str
    token_limit: int
    batch_size: int
    engine: str
    hardware: str | None = None
    """The GPU that it runs on; None, and absent from the id, if the study names no hardware."""
    again: bool = False
    """Whether this is the second run of a cell, under another id, for the A/A test."""

    @property
    def variant(self) -> Variant:
        """The variant that it runs."""
        return Variant(self.model, self.prune, self.precision)

    @property
    def id(self) -> str:
        """The name of its directory."""
        generation = (self.benchmark, self.prompt, f"t{self.token_limit}", f"b{self.batch_size}")
        hardware = (self.hardware,) if self.hardware else ()
        again = (AGAIN,) if self.again else ()
        return ID_SEPARATOR.join((self.variant.id, *generation, self.engine, *hardware, *again))

    def identity(self) -> CellIds:
        """The axes and both ids, as the tables have them."""
        return {
            "id": self.id,
            "variant": self.variant.id,
            "model": self.model,
            "prune": self.prune,
            "precision": self.precision,
            "benchmark": self.benchmark,
            "prompt": self.prompt,
            "token_limit": self.token_limit,
            "batch_size": self.batch_size,
            "engine": self.engine,
            "hardware": self.hardware,
        }


def variants_of(cells: Iterable[Cell]) -> tuple[Variant, ...]:
    """The variants that cells run, in order."""
    return tuple(dict.fromkeys(cell.variant for cell in cells))
