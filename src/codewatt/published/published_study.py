"""What a published study provides for its audit, and finding studies by name."""

import importlib.util
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import codewatt.published
from codewatt.errors import CodewattError


class Audit(ABC):
    """The results of the audit of a study."""

    @property
    @abstractmethod
    def csv_columns(self) -> tuple[str, ...]:
        """Columns of `csv_rows`."""

    @abstractmethod
    def text(self, *, by_run: bool) -> str:
        """The results for the terminal: a table, its legend and the findings.

        Args:
            by_run: add or show one line for each run.
        """

    @abstractmethod
    def csv_rows(self) -> Iterable[Mapping[str, str | int | float | None]]:
        """The rows that `codewatt published check --csv` writes; None is an empty cell."""


class PublishedStudy(ABC):
    """A published study and its audit.

    Attributes:
        name: name of the study's subpackage and on the command line.
        data: the study's packaged figures, a file or a folder.
    """

    name: ClassVar[str]
    data: ClassVar[Path]

    @abstractmethod
    def audit(self, data: Path) -> Audit:
        """Read the figures and check them.

        Args:
            data: a file or folder in the form of `PublishedStudy.data`.

        Raises:
            CodewattError: a file is missing or wrong.
        """

    def model_page(self, data: Path, folder: Path | None) -> str:
        """The page on the study's analytical model, in Markdown.

        Args:
            data: a file or folder in the form of `PublishedStudy.data`.
            folder: where to write the page, figures and CSV files; None: nowhere.

        Raises:
            CodewattError: the study has no analytical model, or a file is missing or wrong.
        """
        raise CodewattError(f"published study {self.name!r}: it has no analytical model")


def study_names() -> list[str]:
    """Names of the published studies: subpackages of `codewatt.published` with an audited study."""
    return sorted(
        module.name
        for module in pkgutil.iter_modules(codewatt.published.__path__)
        if module.ispkg
        and importlib.util.find_spec(f"codewatt.published.{module.name}.audited_study")
    )


def open_study(name: str) -> PublishedStudy:
    """The published study of a name.

    Raises:
        CodewattError: there is no such study.
    """
    if name not in study_names():
        raise CodewattError(
            f"published study {name!r}: unknown study; allowed: {', '.join(study_names())}"
        )
    module = importlib.import_module(f"codewatt.published.{name}.audited_study")
    study: PublishedStudy = module.STUDY
    return study
