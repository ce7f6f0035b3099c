"""Validity of figures by who else could have drawn them: other jobs on the machine.

The counters and models of CPU and DRAM take in the whole machine. Work of others is billed to the
job in two ways: the power that it draws, and the time that the job has to wait. The first is seen
in the CPU time of the machine against that of the job, the second also in repeats of the same work
that do not take the same energy.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from codewatt.energy.boundaries import Boundaries, allocation_of
from codewatt.energy.expectation import at_most, expectation
from codewatt.energy.timeline_reader import Timeline
from codewatt.energy.validity_settings import JudgingSettings

Json = dict[str, Any]

#: Processors by which a job's CPU time may seem to exceed its machine's.
_COUNTED_ALIKE = 0.1


def cpu_is_billed(settings: JudgingSettings) -> bool:
    """Whether the study's own figures take in CPU and DRAM, measured or modelled."""
    return settings.boundary != "gpu"


def judge_share(boundaries: Boundaries) -> Json:
    """The job holds the whole machine: else the node's figure may hold others' joules."""
    share = boundaries.share
    detail = "share of the machine's processors that the job holds"
    if share is not None and share < 1:
        detail += (
            ": CPU and DRAM of boundary node are partly others', those of boundary job an "
            "attribution by processors"
        )
    return expectation(
        "node_held",
        "warning",
        None if share is None else share >= 1,
        share,
        1.0,
        "share",
        detail,
    )


def judge_others(
    timeline: Timeline, run: Json, start_s: float, end_s: float, settings: JudgingSettings
) -> Json:
    """Nobody else computes on the machine during a repeat; an error where CPU energy is billed."""
    others, stolen = others_processors(timeline, start_s, end_s)
    detail = "processors that are kept busy by others than the job, or that a hypervisor takes"
    if others is not None:
        detail += f": {others:.3g} by others, {stolen:.3g} taken"
    return at_most(
        "node_not_shared",
        _severity(settings),
        None if others is None else others + stolen,
        others_limit(timeline, settings),
        "processors",
        detail,
        run["repeat"],
    )


def others_limit(timeline: Timeline, settings: JudgingSettings) -> float:
    """Processors that others may keep busy: a number of them, or a share of the machine's."""
    processors = allocation_of(timeline).get("processors")
    if not processors:
        return settings.others_processors
    return float(min(settings.others_processors, settings.others_share * processors))


def judge_stolen(
    timeline: Timeline, run: Json, start_s: float, end_s: float, settings: JudgingSettings
) -> Json:
    """A hypervisor does not give the machine's processors to others during a repeat."""
    stolen = _busy_processors(timeline, "stolen_s", start_s, end_s)
    processors = allocation_of(timeline).get("processors")
    return at_most(
        "not_stolen",
        "warning",
        stolen / processors if stolen is not None and processors else None,
        settings.stolen_share,
        "share",
        "processor time that a hypervisor took, of all processors' time",
        run["repeat"],
    )


def judge_spread(
    runs: Sequence[Json], work: Mapping[int, float] | None, settings: JudgingSettings
) -> Json:
    """Repeats of the same work take the same energy; an error where CPU energy is billed.

    Observed is by how much the repeat that took most exceeds the one that took least, of the
    latter, after each was moved towards the other by what its window's edges can be wrong by.

    Args:
        runs: energy.json's, with energy_j and uncertainty_j.
        work: repeat -> new tokens, by which the energies are divided; None: the repeats may have
            done different work, and are not compared.
    """
    known = {
        run["repeat"]: (run["energy_j"][settings.boundary], run["uncertainty_j"][settings.boundary])
        for run in runs
        if run["energy_j"][settings.boundary] is not None
    }
    detail = "energy of the repeat that took most, over that which took least, less 1, both "
    detail += "towards each other by what their edges can be wrong by"
    if work is None:
        detail = "the repeats' work is not known to be the same: their energies are not compared"
    elif len(known) < 2:
        detail = f"{len(known)} repeat with a figure: nothing to compare it with"
    spread = _spread(known, work)
    if spread is not None:
        joules = ", ".join(f"{repeat}: {figure_j:.4g} J" for repeat, (figure_j, _) in known.items())
        detail += f"; repeats {joules}"
    return expectation(
        "repeats_agree",
        _severity(settings),
        None if spread is None else spread <= settings.repeat_spread,
        spread if spread is not None and math.isfinite(spread) else None,
        settings.repeat_spread,
        "share",
        detail,
    )


def _spread(
    known: Mapping[int, tuple[float, float]], work: Mapping[int, float] | None
) -> float | None:
    """Largest over smallest energy per token, less 1; None with less than two to compare."""
    if work is None or len(known) < 2 or not all(work.get(repeat, 0) > 0 for repeat in known):
        return None
    at_least = max((joules - bound) / work[repeat] for repeat, (joules, bound) in known.items())
    at_most_j = min((joules + bound) / work[repeat] for repeat, (joules, bound) in known.items())
    if at_most_j <= 0:
        return math.inf if at_least > 0 else 0.0
    return max(at_least / at_most_j - 1, 0.0)


def _severity(settings: JudgingSettings) -> Literal["error", "warning"]:
    return "error" if cpu_is_billed(settings) else "warning"


def others_processors(
    timeline: Timeline, start_s: float, end_s: float
) -> tuple[float | None, float]:
    """Processors that others than the job keep busy, and that a hypervisor takes, in a window.

    The first is None where it cannot be told: the readings are not there, or the job seems to use
    more than the machine does, so that the two were not counted alike (Linux counts in ticks of
    10 ms, which is all that they may differ by).
    """
    stolen = _busy_processors(timeline, "stolen_s", start_s, end_s) or 0.0
    machine = _busy_processors(timeline, "busy_s", start_s, end_s)
    job = _busy_processors(timeline, "job_busy_s", start_s, end_s)
    if machine is None or job is None or job - machine > _COUNTED_ALIKE:
        return None, stolen
    return max(machine - job, 0.0), stolen


def _busy_processors(
    timeline: Timeline, quantity: str, start_s: float, end_s: float
) -> float | None:
    """CPU seconds a second over a window; None if it was not recorded or does not cover it."""
    data = timeline.find("host", "host", quantity).get("machine")
    if data is None or len(data.t_s) < 2 or end_s <= start_s:
        return None
    if not (data.t_s[0] <= start_s and end_s <= data.t_s[-1]):
        return None
    at_start, at_end = np.interp([start_s, end_s], data.t_s, data.values)
    return float((at_end - at_start) / (end_s - start_s))
