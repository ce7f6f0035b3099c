"""A published run with the results of its checks, and the runs of one configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import fmean
from typing import TYPE_CHECKING, Generic, TypeVar

from codewatt.energy.validity.check import CheckResult
from codewatt.published.counter_wraps import Wraps

if TYPE_CHECKING:
    from codewatt.published.run_study import PublishedRun

R = TypeVar("R", bound="PublishedRun")


@dataclass(frozen=True)
class CheckedRun(Generic[R]):
    """A run, its checks, and its corrected energy where a correction is possible.

    Attributes:
        run: the published figures.
        checks: results of the plausibility checks, in the form of energy.json.
        wraps: missed wraps of the CPU counters; None without a second meter to infer them from.
    """

    run: R
    checks: list[CheckResult]
    wraps: Wraps | None

    @property
    def errors(self) -> list[str]:
        """Names of the failed checks of severity "error"."""
        return self._failed("error")

    @property
    def warnings(self) -> list[str]:
        """Names of the failed checks of severity "warning"."""
        return self._failed("warning")

    @property
    def corrected_both_wh(self) -> float:
        """Total energy with the wraps of both packages added (Wh): the lower corrected figure."""
        return self.run.total_wh + (self.wraps.both_wh if self.wraps else 0.0)

    @property
    def corrected_wh(self) -> float:
        """Total energy with every missed wrap added (Wh)."""
        return self.run.total_wh + (self.wraps.all_wh if self.wraps else 0.0)

    @property
    def unexplained(self) -> bool:
        """Whether no whole number of wraps explains the difference from the second meter."""
        return self.wraps is not None and not self.wraps.explained

    def _failed(self, severity: str) -> list[str]:
        return [
            str(check["name"])
            for check in self.checks
            if check["passed"] is False and check["severity"] == severity
        ]


@dataclass(frozen=True)
class Configuration(Generic[R]):
    """The runs of one configuration, which are in one table.

    Attributes:
        name: name of the table, without the directories that all tables share.
        runs: the runs.
    """

    name: str
    runs: list[CheckedRun[R]]

    @property
    def reference_cpu_w(self) -> float | None:
        """Mean over runs of the CPU power by the second meter (W); None if it measured none."""
        known = [
            checked.run.reference_cpu_w
            for checked in self.runs
            if checked.run.reference_cpu_w is not None
        ]
        return fmean(known) if known else None

    @property
    def largest_residual(self) -> Wraps | None:
        """The wraps of the run with the largest residual; None if no run has any."""
        known = [checked.wraps for checked in self.runs if checked.wraps]
        return max(known, key=lambda wraps: abs(wraps.residual_share)) if known else None


def group_by_table(checked: Sequence[CheckedRun[R]]) -> list[Configuration[R]]:
    """The runs by table, in the order of each table's first run."""
    tables = list(dict.fromkeys(one.run.table for one in checked))
    directories = zip(*(table.split("/")[:-1] for table in tables), strict=False)
    shared = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, directories))
    return [
        Configuration(
            "/".join(table.split("/")[shared:]).removesuffix(".csv"),
            [one for one in checked if one.run.table == table],
        )
        for table in tables
    ]
