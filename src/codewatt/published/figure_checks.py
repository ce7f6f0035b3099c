"""Plausibility checks of published energy figures that need no timeline, for any study.

A study adds its own checks, for instance of how its CPU counters were read. The check functions
of codewatt's own measurements are used, so that both are judged by the same rules.
"""

from collections.abc import Collection
from statistics import fmean

from codewatt.energy.validity.check import CheckResult, at_most
from codewatt.energy.validity.plausibility import meters_agree, power_varies, total_adds_up
from codewatt.published.run_study import PublishedRun
from codewatt.units import J_PER_WH, WH_PER_KWH

#: Largest difference of two meters of one device, as a share of the second meter's figure.
METERS_LIMIT = 0.1
#: Largest difference of a total from the sum of its parts (rounding), as a share of the total.
TOTAL_LIMIT = 0.001
#: CO2 is energy times the carbon intensity of one country: largest relative difference.
CO2_LIMIT = 0.01
#: Smallest spread of a measured power over runs. Rounding alone gives 0.001.
CONSTANT_LIMIT = 0.01


def reference_checks(
    run: PublishedRun, meter: str, warnings: Collection[str] = ()
) -> list[CheckResult]:
    """Compare the published energy of each part with that of a second meter.

    Args:
        run: the run; parts are those of `reference_j`.
        meter: name of the second meter.
        warnings: parts whose difference is a warning, not an error.
    """
    return [
        meters_agree(
            f"{part}_agrees_with_{meter.lower()}",
            run.parts_wh[part] * J_PER_WH,
            reference_j,
            METERS_LIMIT,
            f"|published {part.upper()} energy - energy by {meter}| / energy by {meter}",
            run.run,
            severity="warning" if part in warnings else "error",
        )
        for part, reference_j in run.reference_j.items()
    ]


def sum_check(run: PublishedRun) -> CheckResult:
    """Compare the published total with the sum of its parts."""
    parts_j = [part_wh * J_PER_WH for part_wh in run.parts_wh.values()]
    return total_adds_up(parts_j, run.total_wh * J_PER_WH, TOTAL_LIMIT, run.run)


def co2_check(run: PublishedRun, median_g_per_wh: float) -> CheckResult:
    """Compare CO2 per energy with the median of all runs.

    Args:
        run: the run.
        median_g_per_wh: median over runs of CO2 per energy (g/Wh).
    """
    difference = None
    if median_g_per_wh:
        difference = abs(run.co2_g / run.total_wh / median_g_per_wh - 1)
    return at_most(
        "co2_follows_energy",
        "error",
        difference,
        CO2_LIMIT,
        "share",
        f"|CO2 / energy - median of all runs| / median, {median_g_per_wh * WH_PER_KWH:.4g} g/kWh",
        run.run,
    )


def measured_check(part: str, powers_w: list[float]) -> CheckResult:
    """Check that the power of a part varies over runs; a constant power is modelled.

    Args:
        part: name of the part, such as "dram".
        powers_w: mean power of the part in each run (W).
    """
    return power_varies(
        powers_w,
        CONSTANT_LIMIT,
        f"(highest - lowest) / highest {part.upper()} power of all runs, {fmean(powers_w):.1f} W "
        "on average; a constant power is modelled, not measured",
        name=f"{part}_measured",
    )
