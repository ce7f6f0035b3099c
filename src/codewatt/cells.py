"""Variants and cells of a study, and their ids.

A variant is a combination of model, prune setting and precision; rule quantise makes it. A cell is
a combination of variant, benchmark, prompt style, token limit, batch size, engine and (if the study
names any) hardware; rule generate runs it. Ids are never parsed: they are looked up in the study's
grid (`grid`). For paths see `paths`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from typing_extensions import TypedDict

#: Separates the parts of an id. No part contains "--", so the id of a cell is unambiguous.
ID_SEPARATOR = "--"
#: Last part of the id of a cell's second run (A/A test).
SECOND_RUN = "again"


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
    """A pruned and quantised model, given by the ids of the study's entries."""

    model: str
    prune: str
    precision: str

    @property
    def id(self) -> str:
        """Id of the variant; also the name of its directory."""
        return ID_SEPARATOR.join((self.model, self.prune, self.precision))


@dataclass(frozen=True)
class Cell:
    """A variant together with a benchmark and the generation settings."""

    model: str
    prune: str
    precision: str
    benchmark: str
    prompt: str
    token_limit: int
    batch_size: int
    engine: str
    hardware: str | None = None
    """Id of the hardware that the cell runs on; None if the study names no hardware."""
    second_run: bool = False
    """Whether this is the second run of a cell, under another id, for the A/A test."""

    @property
    def variant(self) -> Variant:
        """The variant that the cell runs."""
        return Variant(self.model, self.prune, self.precision)

    @property
    def id(self) -> str:
        """Id of the cell; also the name of its directory."""
        generation = (self.benchmark, self.prompt, f"t{self.token_limit}", f"b{self.batch_size}")
        hardware = (self.hardware,) if self.hardware else ()
        second_run = (SECOND_RUN,) if self.second_run else ()
        return ID_SEPARATOR.join(
            (self.variant.id, *generation, self.engine, *hardware, *second_run)
        )

    def identity(self) -> CellIds:
        """The cell's id, its variant's id and the values of all axes, by column name."""
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
    """The variants of cells, each once, in order of first use."""
    return tuple(dict.fromkeys(cell.variant for cell in cells))
