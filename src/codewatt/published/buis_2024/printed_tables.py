"""The printed tables of Buis 2024, and BigCodeBench's own counts.

README.md describes files and columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.published.printed_figures import PrintedTables, read_printed, read_rows

#: Files of figures, in the order of the thesis's tables.
FIGURE_FILES = (
    *("model_characteristics.csv", "domains.csv", "tests.csv", "regressions.csv"),
    *("estimates.csv", "runs.csv", "model_configs.csv"),
)
_DOMAIN_COLUMNS = ("domain", "tasks", "all_tasks", "substring_tasks")


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
class ThesisTables(PrintedTables):
    """The printed figures and claims, in the order of the thesis, and BigCodeBench's own counts.

    Attributes:
        domains: by name of the domain.
    """

    domains: Mapping[str, DomainCount]


def read_tables(folder: str | Path) -> ThesisTables:
    """Read the files of a folder.

    Raises:
        CodewattError: a file is missing or wrong; the message names file, line and column.
    """
    directory = Path(folder)
    printed = read_printed(directory, FIGURE_FILES, sources=False)
    domains = {
        row["domain"]: DomainCount(
            row["domain"], *(_count(where, name, row[name]) for name in _DOMAIN_COLUMNS[1:])
        )
        for where, row in read_rows(directory / "bigcodebench_domains.csv", _DOMAIN_COLUMNS)
    }
    return ThesisTables(printed.figures, printed.claims, domains)


def _count(where: str, name: str, text: str) -> int:
    if not text.isdecimal():
        raise CodewattError(f"{where}: {name}: expected a whole number, found {text!r}")
    return int(text)
