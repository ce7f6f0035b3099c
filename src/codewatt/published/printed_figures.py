"""Reads printed figures and claims of a publication from CSV files, for any study.

A file of figures has one row for each printed number, with its table, labels and unit; a file of
claims has one row for each number that the running text states, with a quotation.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.published.printed_number import PrintedNumber

_FIGURE_COLUMNS = ("table", "section", "row", "column", "unit", "source", "printed")
_CLAIM_COLUMNS = ("claim", "source", "place", "unit", "printed", "quote")


@dataclass(frozen=True)
class PrintedFigure:
    """One printed number of a table or figure.

    Attributes:
        table: number of the table or figure, such as "IV" or "figure 3".
        section: subheading inside the table; "" for none.
        row, column: labels.
        unit: as printed.
        source: the text that prints the number.
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
        source: the text that states it.
        place: its section there.
        quote: a few words around the number.
    """

    name: str
    source: str
    place: str
    unit: str
    number: PrintedNumber
    quote: str


def read_figures(path: Path) -> list[PrintedFigure]:
    """Read a file of figures.

    Raises:
        CodewattError: the file is missing or wrong; the message names file, line and column.
    """
    return [
        PrintedFigure(
            row["table"],
            row["section"],
            row["row"],
            row["column"],
            row["unit"],
            row["source"],
            _printed(where, row["printed"]),
        )
        for where, row in read_rows(path, _FIGURE_COLUMNS)
    ]


def read_claims(path: Path) -> dict[str, PrintedClaim]:
    """Read a file of claims, by name.

    Raises:
        CodewattError: as for `read_figures`.
    """
    return {
        row["claim"]: PrintedClaim(
            row["claim"],
            row["source"],
            row["place"],
            row["unit"],
            _printed(where, row["printed"]),
            row["quote"],
        )
        for where, row in read_rows(path, _CLAIM_COLUMNS)
    }


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


def _printed(where: str, text: str) -> PrintedNumber:
    try:
        return PrintedNumber.parse(text)
    except ValueError as error:
        raise CodewattError(f"{where}: printed: {error}") from None
