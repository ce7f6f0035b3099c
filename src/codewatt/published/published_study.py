"""What a published study provides for its audit, and finding studies by name."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import codewatt.published
from codewatt.errors import CodewattError
from codewatt.published.checked_run import CheckedRun, Configuration


class PublishedRun(Protocol):
    """Published figures of one run, and those of a second meter for the same run.

    Attributes:
        table: file or table of the study that contains the run.
        run: number of the run in that table.
        runtime_s: duration of the run (s).
        total_wh: published total energy (Wh).
        cpu_wh: published energy of all CPU packages (Wh).
        co2_g: published CO2 emissions (g).
    """

    @property
    def table(self) -> str: ...
    @property
    def run(self) -> int: ...
    @property
    def runtime_s(self) -> float: ...
    @property
    def total_wh(self) -> float: ...
    @property
    def cpu_wh(self) -> float: ...
    @property
    def co2_g(self) -> float: ...

    @property
    def cpu_w(self) -> float:
        """Published mean CPU power (W)."""

    @property
    def parts_wh(self) -> Mapping[str, float]:
        """Published energy by part ("cpu", "gpu", ...) whose sum is the total (Wh)."""

    @property
    def reference_j(self) -> Mapping[str, float | None]:
        """Energy by part according to the second meter (J); None if it did not measure the run."""

    @property
    def reference_cpu_w(self) -> float | None:
        """Mean CPU power by the second meter, to be shown beside the published one (W)."""

    @property
    def reference_source(self) -> str:
        """Which measurement of the second meter belongs to this run; "" for none."""


R = TypeVar("R", bound=PublishedRun)


class PublishedStudy(ABC, Generic[R]):
    """A published study and its audit.

    Attributes:
        name: name of the study's subpackage and on the command line.
        meter: name of the second meter, such as "EAR".
        data_file: the study's runs.
        csv_columns: attributes of a run that `codewatt published check --csv` writes.
        legend: explains the columns of the printed table.
    """

    name: ClassVar[str]
    meter: ClassVar[str]
    data_file: ClassVar[Path]
    csv_columns: ClassVar[tuple[str, ...]]
    legend: ClassVar[str]

    @abstractmethod
    def audit(self, path: Path) -> list[CheckedRun[R]]:
        """Read the runs from a file and check each of them.

        Raises:
            CodewattError: the file is missing or wrong.
        """

    @abstractmethod
    def findings(self, configurations: Sequence[Configuration[R]]) -> Iterator[str]:
        """The results of the audit in sentences, one paragraph each."""


def study_names() -> list[str]:
    """Names of the published studies: the subpackages of `codewatt.published`."""
    return sorted(
        module.name for module in pkgutil.iter_modules(codewatt.published.__path__) if module.ispkg
    )


def open_study(name: str) -> PublishedStudy[Any]:
    """The published study of a name.

    Raises:
        CodewattError: there is no such study.
    """
    if name not in study_names():
        raise CodewattError(
            f"published study {name!r}: unknown study; allowed: {', '.join(study_names())}"
        )
    module = importlib.import_module(f"codewatt.published.{name}.audited_study")
    study: PublishedStudy[Any] = module.STUDY
    return study
