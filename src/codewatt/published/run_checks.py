"""Judges the runs of a published study, and corrects those whose counter wrapped unseen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import fmean, median

from codewatt.energy.validity.check import CheckResult, at_most
from codewatt.energy.validity.plausibility import (
    meters_agree,
    no_wrap_unseen,
    power_plausible,
    power_varies,
    total_adds_up,
)
from codewatt.published.counter_wraps import Wraps, infer_wraps, left_over, wrap_s
from codewatt.published.run_data import GROUP_MEAN, JOULES_PER_WH, Run

#: Two meters of one thing, and a power against the other meter's: shares of the other's figure.
METERS_LIMIT = 0.1
#: Parts and total are rounded to 0.001 Wh each.
TOTAL_LIMIT = 0.001
#: CO2 is energy times one country's intensity.
CO2_LIMIT = 0.01
#: Rounding alone lets a constant differ by 0.1 % from run to run.
CONSTANT_LIMIT = 0.01


@dataclass(frozen=True)
class CheckedRun:
    """A run, what was found about it, and its energy put right where that can be done.

    Attributes:
        checks: in the form of energy.json's.
        wraps: missed wraps of its CPU counter; None without a second meter to tell them by.
    """

    run: Run
    checks: list[CheckResult]
    wraps: Wraps | None

    @property
    def errors(self) -> list[str]:
        """Names of the errors among the checks that failed."""
        return self._failed("error")

    @property
    def warnings(self) -> list[str]:
        """Names of the warnings among the checks that failed."""
        return self._failed("warning")

    @property
    def corrected_both_wh(self) -> float:
        """Total with the wraps of both packages put back, Wh: the lower figure."""
        return self.run.total_wh + (self.wraps.both_wh if self.wraps else 0.0)

    @property
    def corrected_wh(self) -> float:
        """Total with every missed wrap put back, Wh."""
        return self.run.total_wh + (self.wraps.all_wh if self.wraps else 0.0)

    @property
    def unexplained(self) -> bool:
        """Whether wraps were missed, and no whole number of them explains the figure."""
        return self.wraps is not None and not self.wraps.explained

    def _failed(self, severity: str) -> list[str]:
        return [
            str(e["name"])
            for e in self.checks
            if e["passed"] is False and e["severity"] == severity
        ]


@dataclass(frozen=True)
class Group:
    """The runs of one table."""

    name: str
    runs: list[CheckedRun]

    @property
    def packages_w(self) -> float | None:
        """EAR's mean power of both packages over the runs that have one, watts."""
        known = [c.run.packages_w for c in self.runs if c.run.packages_w is not None]
        return fmean(known) if known else None

    @property
    def largest_residual(self) -> Wraps | None:
        """The run that is left with the largest difference from EAR."""
        known = [c.wraps for c in self.runs if c.wraps]
        return max(known, key=lambda wraps: abs(wraps.residual_share)) if known else None


@dataclass(frozen=True)
class _Study:
    """What can only be told from all runs together."""

    lowest_w: float
    highest_w: float
    dram: CheckResult
    co2_g_per_wh: float


def check(runs: Sequence[Run]) -> list[CheckedRun]:
    """Judge every run, in the order given."""
    study = _study(runs)
    return [_check(run, study) for run in runs]


def group(checked: Sequence[CheckedRun]) -> list[Group]:
    """The runs by table, in the order of the first run; named less the folders all tables share."""
    tables = list(dict.fromkeys(c.run.table for c in checked))
    folders = zip(*(table.split("/")[:-1] for table in tables), strict=False)
    shared = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, folders))
    return [
        Group(
            "/".join(table.split("/")[shared:]).removesuffix(".csv"),
            [c for c in checked if c.run.table == table],
        )
        for table in tables
    ]


def _study(runs: Sequence[Run]) -> _Study:
    logged = [run.own_packages_w for run in runs if run.own_packages_w is not None]
    dram_w = [run.dram_w for run in runs]
    return _Study(
        lowest_w=min(logged, default=0.0),
        highest_w=max(logged, default=math.inf),
        dram=power_varies(
            dram_w,
            CONSTANT_LIMIT,
            f"(highest - lowest) / highest DRAM power of all runs, {fmean(dram_w):.1f} W on "
            "average; a constant is modelled",
            name="dram_measured",
        ),
        co2_g_per_wh=median(run.co2_g / run.total_wh for run in runs),
    )


def _check(run: Run, study: _Study) -> CheckedRun:
    unseen = _no_wrap_unseen(run, study)
    checks = [unseen, _cpu_plausible(run, study), *_meters(run), study.dram, *_sums(run)]
    checks.append(_co2(run, study))
    return CheckedRun(run, checks, _wraps(run, wrapped=unseen["passed"] is False))


def _no_wrap_unseen(run: Run, study: _Study) -> CheckResult:
    """The counters were read at a run's start and end only: CodeCarbon's task mode."""
    known = run.packages_w
    return no_wrap_unseen(
        None if known is None else run.runtime_s,
        wrap_s(study.highest_w if known is None else known),
        "run time, against a package's wrap time at half of EAR's power of both",
        run.run,
    )


def _cpu_plausible(run: Run, study: _Study) -> CheckResult:
    """Near EAR's power; without an own step, near the range of EAR's power of all runs."""
    own = run.own_packages_w
    low_w, high_w = (study.lowest_w, study.highest_w) if own is None else (own, own)
    return power_plausible(
        None if run.packages_w is None else run.cpu_w,
        low_w * (1 - METERS_LIMIT),
        high_w * (1 + METERS_LIMIT),
        f"both packages; EAR's {'of the run' if own else 'of all runs'} give or take 10 %",
        run.run,
        name="cpu_power_plausible",
    )


def _meters(run: Run) -> list[CheckResult]:
    """CodeCarbon's figures against EAR's of the same run."""
    seconds = run.runtime_s
    cpu_j = None if run.own_packages_w is None else run.own_packages_w * seconds
    dram_j = None if run.own_dram_w is None else run.own_dram_w * seconds
    return [
        meters_agree(
            "cpu_agrees_with_ear",
            run.cpu_wh * JOULES_PER_WH,
            cpu_j,
            METERS_LIMIT,
            "|CPU energy - EAR's of both packages| / EAR's",
            run.run,
        ),
        meters_agree(
            "gpu_agrees_with_ear",
            run.gpu_wh * JOULES_PER_WH,
            run.own_gpu_j,
            METERS_LIMIT,
            "|GPU energy - EAR's, less loading| / EAR's",
            run.run,
        ),
        meters_agree(
            "dram_agrees_with_ear",
            run.dram_wh * JOULES_PER_WH,
            dram_j,
            METERS_LIMIT,
            "|DRAM energy - EAR's| / EAR's",
            run.run,
            severity="warning",
        ),
    ]


def _sums(run: Run) -> list[CheckResult]:
    parts_j = [part * JOULES_PER_WH for part in (run.dram_wh, run.gpu_wh, run.cpu_wh)]
    return [total_adds_up(parts_j, run.total_wh * JOULES_PER_WH, TOTAL_LIMIT, run.run)]


def _co2(run: Run, study: _Study) -> CheckResult:
    usual = study.co2_g_per_wh
    difference = abs(run.co2_g / run.total_wh / usual - 1) if usual else None
    return at_most(
        "co2_follows_energy",
        "error",
        difference,
        CO2_LIMIT,
        "share",
        f"|CO2 / energy - the median of all runs| / median, {usual * 1000:.4g} g/kWh",
        run.run,
    )


def _wraps(run: Run, *, wrapped: bool) -> Wraps | None:
    """Missed wraps where the counter can have wrapped unseen; else none, and what is left."""
    if run.packages_w is None:
        return None
    if wrapped:
        return infer_wraps(run.cpu_wh, run.packages_w, run.runtime_s)
    if run.ear_match == GROUP_MEAN:
        # Another node's power tells nothing about a run that is whole.
        return None
    return left_over(0, run.cpu_wh, run.packages_w * run.runtime_s / JOULES_PER_WH)
