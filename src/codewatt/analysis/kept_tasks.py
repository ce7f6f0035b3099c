"""What of the task table stays in memory: the columns that other tables are computed from."""

import math
import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, overload

from codewatt.analysis.columns import BOTH, TESTS, Row

#: Columns of reals, of truth values and of text that are kept.
_REALS = (
    "latency_s",
    "energy_j",
    f"{BOTH}energy_j",
    "repeated_4grams_share",
    "repeated_lines_share",
)
_FLAGS = ("ends_in_loop", *(f"solved_{tests}" for tests in TESTS))
_TEXTS = ("task_id", "domains", "exclusion_reason")
#: Columns of whole numbers, which no row lacks.
_NUMBERS = ("session", "repeat")
_ABSENT = -1


class KeptTasks(Sequence[Row]):
    """The rows of the task table of one cell, of all sessions, with some of their columns.

    Rows are made when they are asked for. Between, their values are in arrays: a real takes 8
    bytes, a truth value 1 byte, a whole number 4 bytes, a text 4 bytes and its distinct values.
    As dicts with all columns, the rows of a large study would take gigabytes.
    """

    def __init__(self) -> None:
        self._numbers = {name: array("i") for name in _NUMBERS}
        self._reals = {name: array("d") for name in _REALS}
        self._flags = {name: array("b") for name in _FLAGS}
        self._texts = {name: array("i") for name in _TEXTS}
        self._distinct: dict[str, dict[str, int]] = {name: {} for name in _TEXTS}

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows of the task table; a missing key is an absent value."""
        for name, numbers in self._numbers.items():
            numbers.extend(row[name] for row in rows)
        for name, reals in self._reals.items():
            values = (row.get(name) for row in rows)
            reals.extend(math.nan if value is None else value for value in values)
        for name, flags in self._flags.items():
            values = (row.get(name) for row in rows)
            flags.extend(_ABSENT if value is None else int(value) for value in values)
        for name, codes in self._texts.items():
            codes.extend(self._code(name, row.get(name)) for row in rows)

    def _code(self, name: str, text: str | None) -> int:
        """The number of a text among the distinct ones of its column."""
        known = self._distinct[name]
        # Interned: all cells of a benchmark have the same tasks.
        return _ABSENT if text is None else known.setdefault(sys.intern(text), len(known))

    def __len__(self) -> int:
        return len(self._numbers["session"])

    def __iter__(self) -> Iterator[Row]:
        columns = self._columns()
        return (
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        )

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        return list(self)[index]

    def _columns(self) -> dict[str, list[Any]]:
        """Column -> its values, None where absent."""
        columns: dict[str, list[Any]] = {
            name: numbers.tolist() for name, numbers in self._numbers.items()
        }
        for name, codes in self._texts.items():
            texts = dict(enumerate(self._distinct[name]))
            columns[name] = [texts.get(code) for code in codes]
        for name, reals in self._reals.items():
            columns[name] = [None if math.isnan(value) else value for value in reals]
        for name, flags in self._flags.items():
            columns[name] = [None if flag == _ABSENT else flag == 1 for flag in flags]
        return columns
