"""Variants and cells of a study, and their ids.

A variant is a combination of model, prune setting and precision; rule quantise makes it. A cell is
a combination of variant, benchmark, prompt style, token limit, batch size, engine and (if the study
names any) hardware. Rule generate measures each cell once in each session of the study. Ids are
never parsed: they are looked up in the study's grid (`grid`). For paths see `paths`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

#: Separates the parts of an id. No part contains "--", so the id of a cell is unambiguous.
ID_SEPARATOR = "--"
#: Last part of the id of a cell's second run (A/A test).
SECOND_RUN = "again"
#: Begins the last part of the id of a cell in a later session: "s2" is the second session.
SESSION_MARK = "s"


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
    session: int = 1
    """The session that measures the cell, from 1."""

    @property
    def variant(self) -> Variant:
        """The variant that the cell runs."""
        return Variant(self.model, self.prune, self.precision)

    @property
    def id(self) -> str:
        """Id of the cell in its session; also the name of its directory.

        The id of the first session is the id of the cell in the design, so that a study keeps its
        results when it is given more sessions.
        """
        session = (f"{SESSION_MARK}{self.session}",) if self.session > 1 else ()
        return ID_SEPARATOR.join((self.design_id, *session))

    @property
    def design_id(self) -> str:
        """Id of the cell in the study's design: the same in all sessions."""
        generation = (self.benchmark, self.prompt, f"t{self.token_limit}", f"b{self.batch_size}")
        hardware = (self.hardware,) if self.hardware else ()
        second_run = (SECOND_RUN,) if self.second_run else ()
        return ID_SEPARATOR.join(
            (self.variant.id, *generation, self.engine, *hardware, *second_run)
        )

    def in_session(self, session: int) -> "Cell":
        """The same cell in another session."""
        return replace(self, session=session)

    def identity(self) -> dict[str, str | int | None]:
        """The cell's ids, its session, its variant's id and the values of all axes."""
        return {
            "id": self.id,
            "design_id": self.design_id,
            "session": self.session,
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


def cells_to_compare(
    cells: Iterable[Cell], named: Mapping[Any, Any], reference: Mapping[Any, Any]
) -> list[tuple[Cell, Cell]]:
    """(cell, reference) of the cells that have the named values, where the reference exists.

    Args:
        cells: the cells of the design.
        named: axis -> value of the cells.
        reference: the same axes with the values of the cells that they are compared with; on all
            other axes both are equal.
    """
    known = dict.fromkeys(cells)
    chosen = [cell for cell in known if all(getattr(cell, a) == v for a, v in named.items())]
    pairs = [(cell, replace(cell, **reference)) for cell in chosen]
    return [(cell, other) for cell, other in pairs if other in known]


def pairs_to_compare(
    baseline_of: Mapping[str, str | None], named: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """(cell, reference) of all comparisons: each cell and its baseline, then the named pairs.

    Args:
        baseline_of: id of each cell -> id of its baseline, which may be itself; None without one.
        named: (id of a cell, id of its reference). A pair that repeats a comparison, also with
            cell and reference exchanged, or that names an unknown cell is left out.

    Returns:
        Ids, each pair once. A baseline stands beside itself; such a pair compares nothing.
    """
    pairs = [
        (cell, base)
        for cell, base in baseline_of.items()
        if base is not None and base in baseline_of
    ]
    known = {frozenset(pair) for pair in pairs}
    for cell, reference in named:
        both = frozenset((cell, reference))
        if both <= baseline_of.keys() and both not in known:
            known.add(both)
            pairs.append((cell, reference))
    return pairs
