"""The results of the audit of de Reus et al. 2024 in sentences, from the checked runs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import fmean

from codewatt.published.audit_text import number_text
from codewatt.published.checked_run import CheckedRun, Configuration
from codewatt.published.de_reus_2024.published_run_checks import COUNTERS
from codewatt.published.de_reus_2024.run_data import (
    GROUP_MEAN,
    OWN_STEP,
    SHARED_STEP,
    UNLOGGED,
    Run,
)
from codewatt.units import J_PER_WH

Checked = CheckedRun[Run]


def findings(configurations: Sequence[Configuration[Run]]) -> Iterator[str]:
    """The results of the audit, one paragraph each."""
    checked = [one for configuration in configurations for one in configuration.runs]
    papers = ", ".join(sorted({one.run.paper for one in checked}))
    yield f"{len(checked)} runs of {papers}."
    yield from _missed_wraps(checked)
    for configuration in configurations:
        yield from _unexplained_runs(configuration)
        yield from _deviating_co2(configuration)
    yield from _dram(checked)
    count = Counter(one.run.ear_match for one in checked)
    yield (
        f"EAR logged {count[OWN_STEP]} runs as job steps of their own. It logged "
        f"{count[SHARED_STEP]} runs on a node whose power it divided between two jobs: their CPU "
        f"and DRAM energy is not checked. Of {count[GROUP_MEAN]} runs it logged only other runs of "
        "the configuration: their CPU power is checked against the range of these logs, and wraps "
        f"are inferred from their mean. {count[UNLOGGED]} runs have no log and are not checked."
    )


def _missed_wraps(checked: Sequence[Checked]) -> Iterator[str]:
    wrapped = [one for one in checked if "no_wrap_unseen" in one.errors]
    yield (
        f"no_wrap_unseen: {len(wrapped)} runs took longer than a package's counter needs to wrap, "
        "but the counters were read only at their start and end. Only these runs are corrected."
    )
    explained = [one.wraps for one in wrapped if one.wraps and one.wraps.explained]
    if explained:
        largest = max(abs(wraps.residual_share) for wraps in explained)
        yield (
            f"A whole number of wraps explains {len(explained)} of them: the residual is at most "
            f"{100 * largest:.1f} % of EAR's energy."
        )
    others = [one.wraps for one in checked if one.wraps and one not in wrapped]
    if others:
        largest = max(abs(wraps.residual_share) for wraps in others)
        yield (
            f"In the {len(others)} shorter runs with their own log, published CPU energy and EAR's "
            f"differ by at most {100 * largest:.1f} %."
        )


def _unexplained_runs(configuration: Configuration[Run]) -> Iterator[str]:
    """Runs that no whole number of wraps explains, and what the two nearest numbers would mean."""
    for one in configuration.runs:
        if one.wraps is None or not one.unexplained:
            continue
        nearest = one.wraps.missed
        other = nearest - 1 if one.wraps.residual_wh > 0 else nearest + 1
        logged = "other runs" if one.run.ear_match == GROUP_MEAN else "this run"
        yield (
            f"* {configuration.name} run {one.run.run} (EAR's power of {logged}: "
            f"{number_text(one.run.packages_w)} W): {_with_wraps(one, nearest)}; "
            f"{_with_wraps(one, other)}. The correction uses {nearest} wraps."
        )


def _with_wraps(checked: Checked, missed: int) -> str:
    """Power of the packages and total energy for a number of missed wraps."""
    run, added_wh = checked.run, missed * COUNTERS.range_wh
    packages_w = (run.cpu_wh + added_wh) * J_PER_WH / run.runtime_s
    return f"{missed} wraps give {packages_w:.0f} W and a total of {run.total_wh + added_wh:.0f} Wh"


def _deviating_co2(configuration: Configuration[Run]) -> Iterator[str]:
    for one in configuration.runs:
        if "co2_follows_energy" in one.errors:
            yield (
                f"co2_follows_energy: {configuration.name} run {one.run.run} has "
                f"{one.run.co2_g:g} g CO2 for {one.run.total_wh:g} Wh."
            )


def _dram(checked: Sequence[Checked]) -> Iterator[str]:
    constant = [one.run.dram_w for one in checked if "dram_measured" in one.warnings]
    if constant:
        yield (
            f"dram_measured (warning, {len(constant)} runs): DRAM power is "
            f"{fmean(constant):.1f} W in every run. It is a constant of a model, not a measurement."
        )
    differing = [one for one in checked if "dram_agrees_with_ear" in one.warnings]
    logged = [one.run.own_dram_w for one in differing if one.run.own_dram_w is not None]
    if logged:
        yield (
            f"dram_agrees_with_ear (warning, {len(logged)} runs): EAR measured {min(logged):.0f} "
            f"to {max(logged):.0f} W."
        )
