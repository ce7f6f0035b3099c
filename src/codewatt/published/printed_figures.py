"""Reads printed figures and claims of a publication from CSV files, for every study.

A file of figures has one row for each printed number, with its table, labels and unit; the file
claims.csv has one row for each number that the running text states, with a quotation. A study whose
numbers are of several texts has the column `source`. What a study has beside printed numbers, such
as counts of raw files, its own module `printed_tables` reads.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.published.printed_number import PrintedNumber

CLAIMS = "claims.csv"
_FIGURE_COLUMNS = ("table", "section", "row", "column", "unit", "printed")
_CLAIM_COLUMNS = ("claim", "place", "unit", "printed", "quote")


@dataclass(frozen=True)
class PrintedFigure:
    """One printed number of a table or figure.

    Attributes:
        table: number of the table or figure, such as "IV" or "figure 3".
        section: subheading inside the table; "" for none.
        row, column: labels.
        unit: as printed.
        source: the text that prints the number; "" if the study has one text.
        number: the printed number.
    """

    table: str
    section: str
    row: str
    column: str
    unit: str
    source: str
    number: PrintedNumber

    @property
    def label(self) -> str:
        """Section and row, for messages."""
        return f"{self.section}, {self.row}" if self.section else self.row


@dataclass(frozen=True)
class PrintedClaim:
    """A number that the running text states.

    Attributes:
        name: identifier, such as "gpu_rating".
        source: the text that states it; "" if the study has one text.
        place: its section there.
        quote: a few words around the number.
    """

    name: str
    source: str
    place: str
    unit: str
    number: PrintedNumber
    quote: str


@dataclass(frozen=True)
class PrintedTables:
    """The printed figures and claims of one study.

    Attributes:
        figures: in the order of the files.
        claims: by name.
    """

    figures: tuple[PrintedFigure, ...]
    claims: Mapping[str, PrintedClaim]

    def of(self, *tables: str) -> list[PrintedFigure]:
        """Figures of some tables."""
        return [figure for figure in self.figures if figure.table in tables]

    def rows(self, *tables: str) -> dict[tuple[str, str, str], dict[str, PrintedFigure]]:
        """Figures of some tables by row: (table, section, row) -> column -> figure."""
        found: dict[tuple[str, str, str], dict[str, PrintedFigure]] = {}
        for figure in self.of(*tables):
            key = (figure.table, figure.section, figure.row)
            found.setdefault(key, {})[figure.column] = figure
        return found

    def number(self, table: str, row: str, column: str, section: str = "") -> PrintedNumber:
        """One printed number.

        Raises:
            CodewattError: the table has no such number.
        """
        for figure in self.of(table):
            if (figure.section, figure.row, figure.column) == (section, row, column):
                return figure.number
        label = f"{section}, {row}" if section else row
        raise CodewattError(f"table {table}: no number {column!r} of {label!r}")

    def claim(self, name: str) -> PrintedNumber:
        """The number of a claim.

        Raises:
            CodewattError: there is no such claim.
        """
        if name not in self.claims:
            raise CodewattError(f"{CLAIMS}: no claim {name!r}")
        return self.claims[name].number


def read_printed(folder: Path, names: Sequence[str], *, sources: bool) -> PrintedTables:
    """Read the printed numbers of a study.

    Args:
        folder: the study's data.
        names: its files of figures, in order; `CLAIMS` is read too.
        sources: whether the files have the column `source`.

    Raises:
        CodewattError: a file is missing or wrong; the message names file, line and column.
    """
    if not folder.is_dir():
        raise CodewattError(f"{folder}: no such folder")
    source = ("source",) if sources else ()
    return PrintedTables(
        figures=tuple(
            _figure(where, row)
            for name in names
            for where, row in read_rows(folder / name, (*_FIGURE_COLUMNS, *source))
        ),
        claims={
            row["claim"]: _claim(where, row)
            for where, row in read_rows(folder / CLAIMS, (*_CLAIM_COLUMNS, *source))
        },
    )


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ("file:line", row) for each row of a CSV file.

    Raises:
        CodewattError: the file is missing or not CSV, or lacks one of the columns.
    """
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise CodewattError(f"{path}: missing column: {', '.join(missing)}")
            for row in reader:
                short = [name for name in columns if row[name] is None]
                if short:
                    raise CodewattError(
                        f"{path}:{reader.line_num}: {short[0]}: the line ends before this column"
                    )
                yield f"{path}:{reader.line_num}", row
    except FileNotFoundError:
        raise CodewattError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CodewattError(f"{path}: not readable as CSV: {error}") from None


def _figure(where: str, row: Mapping[str, str]) -> PrintedFigure:
    return PrintedFigure(
        row["table"],
        row["section"],
        row["row"],
        row["column"],
        row["unit"],
        row.get("source", ""),
        _printed(where, row["printed"]),
    )


def _claim(where: str, row: Mapping[str, str]) -> PrintedClaim:
    return PrintedClaim(
        row["claim"],
        row.get("source", ""),
        row["place"],
        row["unit"],
        _printed(where, row["printed"]),
        row["quote"],
    )


def _printed(where: str, text: str) -> PrintedNumber:
    try:
        return PrintedNumber.parse(text)
    except ValueError as error:
        raise CodewattError(f"{where}: printed: {error}") from None
