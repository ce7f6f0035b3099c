"""Variants and cells: what a study makes and measures, and their ids.

A variant is model x prune x precision: quantise makes it. A cell is a variant x benchmark x prompt
style x token limit x batch size x engine, and x hardware if the study names any: generate runs it.
No id is ever parsed: ids are looked up in the study's grid (`grid`). For paths see `paths`.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

#: Between the parts of an id; the parts have single separators only, so that an id is unambiguous.
ID_SEPARATOR = "--"
#: The last part of the id of a cell's second run.
AGAIN = "again"


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

    def identity(self) -> dict[str, Any]:
        """The axes and both ids, as the tables have them."""
        axes = {name: value for name, value in asdict(self).items() if name != "again"}
        return {"id": self.id, "variant": self.variant.id, **axes}


def variants_of(cells: Iterable[Cell]) -> tuple[Variant, ...]:
    """The variants that cells run, in order."""
    return tuple(dict.fromkeys(cell.variant for cell in cells))
