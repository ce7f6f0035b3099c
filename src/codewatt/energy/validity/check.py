"""One validity check: its declaration, and the result that energy.json keeps."""

import math
from dataclasses import dataclass
from typing import Literal

from typing_extensions import TypedDict

from codewatt.config.energy_settings import EnergySettings, ValidityLimits

Severity = Literal["error", "warning"]


class CheckResult(TypedDict):
    """The outcome of one check.

    Attributes:
        name: name of the check.
        severity: "error" or "warning"; a cell is valid if no check of severity "error" failed.
        passed: whether the check passed; None if the data that it needs was not recorded.
        observed: observed value, in `unit`.
        limit: allowed value, in `unit`.
        repeat: the repeat that was checked; None for the whole cell.
        detail: what was compared, on which device.
    """

    name: str
    severity: Severity
    passed: bool | None
    observed: float | str | None
    limit: float | str | None
    unit: str | None
    repeat: int | None
    detail: str


@dataclass(frozen=True)
class Check:
    """The declaration of a check.

    Attributes:
        name: name of the check; "{}" in it is replaced by each of `subjects`.
        severity: "by_boundary": an error where the study's figures include CPU energy, else a
            warning. "by_sessions": see `analysis.confounding`, which makes this check; an error
            withholds the cell's changes against its baseline, and the cell stays valid.
        purpose: what the check is for, in one sentence.
        remedy: what to do when it fails, in one sentence.
        limit: what is allowed, in words; {key} stands for the study key `energy.validity.key`.
        applies: when the check is made.
        per: whether there is one result per cell or per repeat.
        unit: unit of the observed value.
        subjects: components or phases that the check is made for, one result each.
    """

    name: str
    severity: Literal["error", "warning", "by_boundary", "by_sessions"]
    purpose: str
    remedy: str
    limit: str
    applies: str
    per: Literal["cell", "repeat"]
    unit: str | None = None
    subjects: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which results of this check appear."""
        return tuple(map(self.name.format, self.subjects)) or (self.name,)

    @property
    def settings(self) -> tuple[str, ...]:
        """The study keys under `energy.validity` that set the limit."""
        return tuple(key for key in ValidityLimits.model_fields if f"{{{key}}}" in self.limit)

    def result(
        self,
        passed: bool | None,
        observed: float | str | None,
        limit: float | str | None,
        detail: str,
        repeat: int | None = None,
        *,
        settings: EnergySettings | None = None,
        subject: str | None = None,
    ) -> CheckResult:
        """A result of this check.

        Args:
            settings: the study's; required where the severity depends on the boundary.
            subject: which of `subjects` was checked.

        Raises:
            ValueError: the check is not declared for this subject.
        """
        name = self.name if subject is None else self.name.format(subject)
        if name not in self.names:
            raise ValueError(f"check {self.name!r}: no subject {subject!r}")
        severity: Severity = "error" if self.severity == "error" else "warning"
        if self.severity == "by_boundary":
            if settings is None:
                raise ValueError(f"check {self.name!r}: its severity depends on the settings")
            severity = "error" if settings.includes_cpu else "warning"
        return check_result(name, severity, passed, observed, limit, self.unit, detail, repeat)

    def at_most(
        self,
        observed: float | None,
        limit: float,
        detail: str,
        repeat: int | None = None,
        *,
        settings: EnergySettings | None = None,
        subject: str | None = None,
    ) -> CheckResult:
        """A result that passed if observed <= limit; arguments as of `result`."""
        value, passed = _within(observed, limit)
        return self.result(passed, value, limit, detail, repeat, settings=settings, subject=subject)


def check_result(
    name: str,
    severity: Severity,
    passed: bool | None,
    observed: float | str | None,
    limit: float | str | None,
    unit: str | None,
    detail: str,
    repeat: int | None = None,
) -> CheckResult:
    """The result of a check that is declared elsewhere."""
    return {
        "name": name,
        "severity": severity,
        "passed": None if passed is None else bool(passed),
        "observed": observed,
        "limit": limit,
        "unit": unit,
        "repeat": repeat,
        "detail": detail,
    }


def at_most(
    name: str,
    severity: Severity,
    observed: float | None,
    limit: float,
    unit: str | None,
    detail: str,
    repeat: int | None = None,
) -> CheckResult:
    """A result that passed if observed <= limit; not decided without a finite number."""
    value, passed = _within(observed, limit)
    return check_result(name, severity, passed, value, limit, unit, detail, repeat)


def _within(observed: float | None, limit: float) -> tuple[float | None, bool | None]:
    """The observed number, None if it is not finite, and whether it is at most the limit."""
    value = None if observed is None or not math.isfinite(observed) else float(observed)
    return value, None if value is None else value <= limit
