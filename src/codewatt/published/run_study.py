"""A published study with the energy of single runs, such as raw files of meters."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from codewatt.published.audit_text import CHECK_COLUMNS, csv_row, render
from codewatt.published.checked_run import CheckedRun, Configuration, group_by_table
from codewatt.published.published_study import Audit, PublishedStudy


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


class RunStudy(PublishedStudy, Generic[R]):
    """A study whose runs are checked one by one.

    Attributes:
        meter: name of the second meter, such as "EAR".
        run_columns: attributes of a run that `codewatt published check --csv` writes.
        legend: explains the columns of the printed table.
    """

    meter: ClassVar[str]
    run_columns: ClassVar[tuple[str, ...]]
    legend: ClassVar[str]

    @abstractmethod
    def check_runs(self, path: Path) -> list[CheckedRun[R]]:
        """Read the runs from a file and check each of them.

        Raises:
            CodewattError: the file is missing or wrong.
        """

    @abstractmethod
    def findings(self, configurations: Sequence[Configuration[R]]) -> Iterator[str]:
        """The results of the audit in sentences, one paragraph each."""

    def audit(self, data: Path) -> Audit:
        """See `PublishedStudy.audit`."""
        return RunAudit(self, self.check_runs(data))


class RunAudit(Audit):
    """The checked runs of a study."""

    def __init__(self, study: RunStudy[Any], checked: list[CheckedRun[Any]]) -> None:
        self._study, self._checked = study, checked

    @property
    def csv_columns(self) -> tuple[str, ...]:
        """See `Audit.csv_columns`."""
        return (*self._study.run_columns, *CHECK_COLUMNS)

    def text(self, *, by_run: bool) -> str:
        """See `Audit.text`."""
        return render(self._study, group_by_table(self._checked), by_run=by_run)

    def csv_rows(self) -> Iterable[Mapping[str, str | int | float | None]]:
        """See `Audit.csv_rows`."""
        return (csv_row(one, self._study.run_columns) for one in self._checked)
