"""Validity checks of others' work on the machine, and of agreement between repeats.

The counters and models of CPU and DRAM include the whole machine. Work of others affects the job's
figures in two ways: by the power that it draws, and by the time that the job waits for it. The
first is seen in the CPU time of the machine against that of the job, the second also in repeats of
the same work that take different energy.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.boundaries import Boundaries, allocation_of
from codewatt.energy.energy_record import RunRecord
from codewatt.energy.timeline_reader import Timeline
from codewatt.energy.validity.check import Check, CheckResult

#: CPUs by which a job may seem to use more than its machine: Linux counts in ticks of 10 ms.
_COUNTING_TOLERANCE_CPUS = 0.1

NODE_HELD = Check(
    "node_held",
    "warning",
    purpose="The job holds all CPUs of the machine; else node_j includes energy of other jobs.",
    remedy="Ask Slurm for an exclusive node, or use boundary 'gpu'.",
    limit="all CPUs of the machine",
    applies="always",
    per="cell",
    unit="share",
)
NODE_NOT_SHARED = Check(
    "node_not_shared",
    "by_boundary",
    purpose="No other process computes on the machine during a repeat.",
    remedy="Run on an exclusive node and stop other programs, or use boundary 'gpu'.",
    limit="at most {max_other_cpus} CPUs, and at most {max_other_cpu_share} of the machine's CPUs",
    applies="always",
    per="repeat",
    unit="CPUs",
)
NOT_STOLEN = Check(
    "not_stolen",
    "warning",
    purpose="A hypervisor does not give the machine's CPUs to other virtual machines.",
    remedy="Run on a physical machine, or on a virtual one with dedicated CPUs.",
    limit="at most {max_stolen_share} of the machine's CPU time",
    applies="always",
    per="repeat",
    unit="share",
)
REPEATS_AGREE = Check(
    "repeats_agree",
    "by_boundary",
    purpose="Repeats of the same work take the same energy.",
    remedy="Measure the cell again on an idle machine; add warm-up batches if repeat 0 differs.",
    limit=(
        "largest energy / smallest energy - 1 at most {max_repeat_spread}, after subtracting the "
        "uncertainty"
    ),
    applies="the cell has two or more repeats with the same tasks",
    per="cell",
    unit="share",
)
CHECKS = (NODE_HELD, NODE_NOT_SHARED, NOT_STOLEN, REPEATS_AGREE)


def check_cpu_share(boundaries: Boundaries) -> CheckResult:
    """Check that the job holds all CPUs of the machine."""
    share = boundaries.share
    detail = "share of the machine's CPUs that the job holds"
    if share is not None and share < 1:
        detail += (
            "; boundary node includes CPU and DRAM energy of others, boundary job the job's share "
            "of it by CPUs held"
        )
    return NODE_HELD.result(None if share is None else share >= 1, share, 1.0, detail)


def check_other_work(
    timeline: Timeline, run: RunRecord, start_s: float, end_s: float, settings: EnergySettings
) -> CheckResult:
    """Check that others keep few CPUs busy during a repeat."""
    others, stolen = other_cpus(timeline, start_s, end_s)
    detail = "CPUs kept busy by others than the job, or taken by a hypervisor"
    if others is not None:
        detail += f": {others:.3g} by others, {stolen:.3g} taken"
    return NODE_NOT_SHARED.at_most(
        None if others is None else others + stolen,
        other_cpus_limit(timeline, settings),
        detail,
        run["repeat"],
        settings=settings,
    )


def other_cpus_limit(timeline: Timeline, settings: EnergySettings) -> float:
    """CPUs that others may keep busy: the smaller of a number and a share of the machine's."""
    limits, cpus = settings.validity, allocation_of(timeline).get("processors")
    if not cpus:
        return limits.max_other_cpus
    return float(min(limits.max_other_cpus, limits.max_other_cpu_share * cpus))


def check_stolen_time(
    timeline: Timeline, run: RunRecord, start_s: float, end_s: float, settings: EnergySettings
) -> CheckResult:
    """Check that a hypervisor takes little CPU time during a repeat."""
    stolen = _busy_cpus(timeline, "stolen_s", start_s, end_s)
    cpus = allocation_of(timeline).get("processors")
    return NOT_STOLEN.at_most(
        stolen / cpus if stolen is not None and cpus else None,
        settings.validity.max_stolen_share,
        "CPU time that a hypervisor took, as a share of all CPUs' time",
        run["repeat"],
    )


def check_repeat_spread(
    runs: Sequence[RunRecord], work: Mapping[int, float] | None, settings: EnergySettings
) -> CheckResult:
    """Check that repeats of the same work take the same energy.

    Observed is largest / smallest - 1 of the repeats' energies, after each was moved towards the
    other by the uncertainty from its window's edges.

    Args:
        runs: of energy.json, with energy_j and uncertainty_j.
        work: repeat -> new tokens, by which the energies are divided; None: the repeats may have
            done different work, and are not compared.
    """
    limit = settings.validity.max_repeat_spread
    known = {}
    for run in runs:
        figure_j = run["energy_j"][settings.boundary]
        bound_j = run["uncertainty_j"][settings.boundary]
        if figure_j is not None and bound_j is not None:
            known[run["repeat"]] = figure_j, bound_j
    detail = "largest energy of a repeat / smallest - 1, beyond the uncertainty from the edges"
    if work is None:
        detail = "the repeats may have done different work, so their energies are not compared"
    elif len(known) < 2:
        detail = f"{len(known)} repeats have an energy; two are needed for a comparison"
    spread = _spread(known, work)
    if spread is not None:
        joules = ", ".join(f"{repeat}: {figure_j:.4g} J" for repeat, (figure_j, _) in known.items())
        detail += f"; repeats {joules}"
    return REPEATS_AGREE.result(
        None if spread is None else spread <= limit,
        spread if spread is not None and math.isfinite(spread) else None,
        limit,
        detail,
        settings=settings,
    )


def _spread(
    known: Mapping[int, tuple[float, float]], work: Mapping[int, float] | None
) -> float | None:
    """Largest over smallest energy per token, less 1; None with less than two to compare."""
    if work is None or len(known) < 2 or not all(work.get(repeat, 0) > 0 for repeat in known):
        return None
    largest_j = max((joules - bound) / work[repeat] for repeat, (joules, bound) in known.items())
    smallest_j = min((joules + bound) / work[repeat] for repeat, (joules, bound) in known.items())
    if smallest_j <= 0:
        return math.inf if largest_j > 0 else 0.0
    return max(largest_j / smallest_j - 1, 0.0)


def other_cpus(timeline: Timeline, start_s: float, end_s: float) -> tuple[float | None, float]:
    """Mean number of CPUs busy for others than the job, and taken by a hypervisor, in a window.

    The first is None if it was not recorded, or if the job seems to use more CPU time than the
    whole machine by more than Linux's ticks of 10 ms explain: the two are then not comparable.
    """
    stolen = _busy_cpus(timeline, "stolen_s", start_s, end_s) or 0.0
    machine = _busy_cpus(timeline, "busy_s", start_s, end_s)
    job = _busy_cpus(timeline, "job_busy_s", start_s, end_s)
    if machine is None or job is None or job - machine > _COUNTING_TOLERANCE_CPUS:
        return None, stolen
    return max(machine - job, 0.0), stolen


def _busy_cpus(timeline: Timeline, quantity: str, start_s: float, end_s: float) -> float | None:
    """CPU seconds per second over a window; None if it was not recorded or does not cover it."""
    data = timeline.find("host", "host", quantity).get("machine")
    if data is None or len(data.t_s) < 2 or end_s <= start_s:
        return None
    if not (data.t_s[0] <= start_s and end_s <= data.t_s[-1]):
        return None
    at_start, at_end = np.interp([start_s, end_s], data.t_s, data.values)
    return float((at_end - at_start) / (end_s - start_s))
