"""Reads the printed tables of Buis 2024 (README.md describes files and columns)."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.published.printed_number import PrintedNumber

#: Files of figures, in the order of the thesis's tables.
FIGURE_FILES = (
    *("model_characteristics.csv", "domains.csv", "tests.csv", "regressions.csv"),
    *("estimates.csv", "runs.csv", "model_configs.csv"),
)
_FIGURE_COLUMNS = ("table", "section", "row", "column", "unit", "printed")
_CLAIM_COLUMNS = ("claim", "place", "unit", "printed", "quote")
_DOMAIN_COLUMNS = ("domain", "tasks", "all_tasks", "substring_tasks")


@dataclass(frozen=True)
class Figure:
    """One printed number of a table.

    Attributes:
        table: number of the table, such as "5.18".
        section: subheading inside the table, such as a model; "" for none.
        row, column: labels.
        unit: as printed in the head of the column.
        number: the printed number.
    """

    table: str
    section: str
    row: str
    column: str
    unit: str
    number: PrintedNumber

    @property
    def label(self) -> str:
        """Section and row, for messages."""
        return f"{self.section}, {self.row}" if self.section else self.row


@dataclass(frozen=True)
class Claim:
    """A number that the running text states.

    Attributes:
        place: section of the thesis.
        quote: a few words around it.
    """

    name: str
    place: str
    unit: str
    number: PrintedNumber
    quote: str


@dataclass(frozen=True)
class DomainCount:
    """Tasks of BigCodeBench by domain.

    Attributes:
        tasks: tasks whose reference solution uses a library of the domain.
        all_tasks: number of all tasks.
        substring_tasks: tasks whose prompt or reference solution contains the name of a library
            of the thesis's table 5.1 as a part of any word.
    """

    domain: str
    tasks: int
    all_tasks: int
    substring_tasks: int


@dataclass(frozen=True)
class PrintedTables:
    """All printed figures, claims of the text, and BigCodeBench's own counts.

    Attributes:
        figures: in the order of the thesis.
        claims: by name.
        domains: by name of the domain.
    """

    figures: tuple[Figure, ...]
    claims: Mapping[str, Claim]
    domains: Mapping[str, DomainCount]

    def of(self, *tables: str) -> list[Figure]:
        """Figures of some tables."""
        return [figure for figure in self.figures if figure.table in tables]

    def rows(self, *tables: str) -> dict[tuple[str, str, str], dict[str, Figure]]:
        """Figures of some tables by row: (table, section, row) -> column -> figure."""
        found: dict[tuple[str, str, str], dict[str, Figure]] = {}
        for figure in self.of(*tables):
            key = (figure.table, figure.section, figure.row)
            found.setdefault(key, {})[figure.column] = figure
        return found

    def figure(self, table: str, row: str, column: str, section: str = "") -> Figure:
        """One figure.

        Raises:
            CodewattError: the table has no such figure.
        """
        for figure in self.of(table):
            if (figure.section, figure.row, figure.column) == (section, row, column):
                return figure
        label = f"{section}, {row}" if section else row
        raise CodewattError(f"table {table}: no figure {column!r} of {label!r}")

    def claim(self, name: str) -> PrintedNumber:
        """The number of a claim.

        Raises:
            CodewattError: there is no such claim.
        """
        if name not in self.claims:
            raise CodewattError(f"claims.csv: no claim {name!r}")
        return self.claims[name].number


def read_tables(folder: str | Path) -> PrintedTables:
    """Read the files of a folder.

    Raises:
        CodewattError: a file is missing or wrong; the message names file, line and column.
    """
    directory = Path(folder)
    if not directory.is_dir():
        raise CodewattError(f"{directory}: no such folder")
    figures = tuple(
        _figure(where, row)
        for name in FIGURE_FILES
        for where, row in _rows(directory / name, _FIGURE_COLUMNS)
    )
    claims = {
        row["claim"]: Claim(
            row["claim"], row["place"], row["unit"], _number(where, row["printed"]), row["quote"]
        )
        for where, row in _rows(directory / "claims.csv", _CLAIM_COLUMNS)
    }
    domains = {
        row["domain"]: DomainCount(
            row["domain"], *(_count(where, name, row[name]) for name in _DOMAIN_COLUMNS[1:])
        )
        for where, row in _rows(directory / "bigcodebench_domains.csv", _DOMAIN_COLUMNS)
    }
    return PrintedTables(figures, claims, domains)


def _figure(where: str, row: dict[str, str]) -> Figure:
    labels = (row["table"], row["section"], row["row"], row["column"], row["unit"])
    return Figure(*labels, _number(where, row["printed"]))


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ("file:line", row) for each row."""
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


def _number(where: str, text: str) -> PrintedNumber:
    try:
        return PrintedNumber.parse(text)
    except ValueError as error:
        raise CodewattError(f"{where}: printed: {error}") from None


def _count(where: str, name: str, text: str) -> int:
    if not text.isdecimal():
        raise CodewattError(f"{where}: {name}: expected a whole number, found {text!r}")
    return int(text)
