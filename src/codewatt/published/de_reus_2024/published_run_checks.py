"""Checks the runs of de Reus et al. 2024, and corrects runs whose CPU counters wrapped unseen.

CodeCarbon's task mode read the counters at the start and the end of a run only. EAR, the cluster's
energy monitor, is the second meter.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from codewatt.energy.validity.check import CheckResult
from codewatt.energy.validity.plausibility import no_wrap_unseen, power_plausible
from codewatt.published.checked_run import CheckedRun
from codewatt.published.counter_wraps import RaplCounters, Wraps
from codewatt.published.de_reus_2024.run_data import GROUP_MEAN, Run
from codewatt.published.figure_checks import (
    METERS_LIMIT,
    co2_check,
    measured_check,
    reference_checks,
    sum_check,
)
from codewatt.units import J_PER_WH

#: Counters of the study's nodes (two Intel Xeon Platinum 8360Y).
COUNTERS = RaplCounters(range_j=262_143.328_850, packages=2)


@dataclass(frozen=True)
class _AllRuns:
    """Values that need all runs of the study.

    Attributes:
        min_w, max_w: range of EAR's power of both packages over runs with an own step (W).
        dram: check whether DRAM power was measured.
        co2_g_per_wh: median of CO2 per energy (g/Wh).
    """

    min_w: float
    max_w: float
    dram: CheckResult
    co2_g_per_wh: float


def check_runs(runs: Sequence[Run]) -> list[CheckedRun[Run]]:
    """Check every run, in the given order."""
    logged = [run.own_packages_w for run in runs if run.own_packages_w is not None]
    all_runs = _AllRuns(
        min_w=min(logged, default=0.0),
        max_w=max(logged, default=math.inf),
        dram=measured_check("dram", [run.dram_w for run in runs]),
        co2_g_per_wh=median(run.co2_g / run.total_wh for run in runs),
    )
    return [_check_run(run, all_runs) for run in runs]


def _check_run(run: Run, all_runs: _AllRuns) -> CheckedRun[Run]:
    wrap_check = _wrap_check(run, all_runs)
    checks = [
        wrap_check,
        _cpu_power_check(run, all_runs),
        *reference_checks(run, "EAR", warnings=("dram",)),
        all_runs.dram,
        sum_check(run),
        co2_check(run, all_runs.co2_g_per_wh),
    ]
    return CheckedRun(run, checks, _wraps(run, wrapped=wrap_check["passed"] is False))


def _wrap_check(run: Run, all_runs: _AllRuns) -> CheckResult:
    known = run.packages_w
    return no_wrap_unseen(
        None if known is None else run.runtime_s,
        COUNTERS.wrap_s(all_runs.max_w if known is None else known),
        "run time, compared with the time after which a package's counter wraps at half of EAR's "
        "power of both packages",
        run.run,
    )


def _cpu_power_check(run: Run, all_runs: _AllRuns) -> CheckResult:
    """Compare with EAR's power of the run, or else with the range of all runs."""
    own = run.own_packages_w
    low_w, high_w = (all_runs.min_w, all_runs.max_w) if own is None else (own, own)
    return power_plausible(
        None if run.packages_w is None else run.cpu_w,
        low_w * (1 - METERS_LIMIT),
        high_w * (1 + METERS_LIMIT),
        f"both packages; allowed: EAR's power of {'the run' if own else 'all runs'} +- 10 %",
        run.run,
        name="cpu_power_plausible",
    )


def _wraps(run: Run, *, wrapped: bool) -> Wraps | None:
    """Missed wraps if the counters can have wrapped unseen, else zero wraps and the residual."""
    if run.packages_w is None:
        return None
    reference_wh = run.packages_w * run.runtime_s / J_PER_WH
    if wrapped:
        return COUNTERS.infer_wraps(run.cpu_wh, reference_wh)
    if run.ear_match == GROUP_MEAN:
        return None  # the power of other runs gives no residual of this run
    return COUNTERS.assume_wraps(0, run.cpu_wh, reference_wh)
