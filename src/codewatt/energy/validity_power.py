"""Validity of figures by what is physically possible, and by who else could have drawn them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from codewatt.energy.boundaries import Boundaries, allocation_of
from codewatt.energy.expectation import at_most, expectation
from codewatt.energy.judging import JudgingSettings
from codewatt.energy.plausible import meters_agree, power_plausible
from codewatt.energy.sources import Source, Sources
from codewatt.energy.timeline import Timeline

Json = dict[str, Any]

#: Watts a device that is switched on draws at least and at most; a GPU's most is taken from its
#: power limit where NVML tells it. Largest rated: packages 500 W, memory of a socket 200 W.
_POSSIBLE_W = {"gpu": (1.0, 1500.0), "cpu": (0.5, 1000.0), "dram": (0.05, 500.0)}
#: A GPU's mean over seconds stays this close to its power limit.
_ABOVE_LIMIT = 1.25
#: Processors by which a job's CPU time may seem to exceed its machine's.
_COUNTED_ALIKE = 0.1


def judge_power(
    timeline: Timeline,
    sources: Sources,
    run: Json,
    idle_w: Mapping[str, float | None],
    settings: JudgingSettings,
) -> Iterator[Json]:
    """Measured power is possible, no lower than idle, and what another reader of RAPL says."""
    for name, source in sources.figures.items():
        joules = run["energy_j"][name]
        if source.status != "measured":
            continue
        low_w, high_w = possible_w(timeline, name, source)
        yield power_plausible(
            None if joules is None or not run["duration_s"] else joules / run["duration_s"],
            low_w,
            high_w,
            f"{name}, {len(source.series)} device{'s' if len(source.series) > 1 else ''}",
            run["repeat"],
            name=f"{name}_power_plausible",
        )
        yield _not_below_idle(name, run, idle_w.get(name), settings)
    if (cpu := sources.figures.get("cpu")) is not None and cpu.meter == "rapl":
        yield from _codecarbon_agrees(sources, run, settings)


def possible_w(timeline: Timeline, name: str, source: Source) -> tuple[float, float]:
    """The range of a component's power, over all its devices."""
    low_w, high_w = (bound * len(source.series) for bound in _POSSIBLE_W[name])
    if name == "gpu":
        devices = (timeline.meter("nvml") or {}).get("devices", [])
        limits_w = [d.get("power_limit_w") for d in devices if d["device"] in source.series]
        if limits_w and all(limits_w):
            high_w = _ABOVE_LIMIT * sum(limits_w)
    return low_w, high_w


def _not_below_idle(name: str, run: Json, idle_w: float | None, settings: JudgingSettings) -> Json:
    """A job does not draw less than the same machine at rest: lost joules show here."""
    joules = run["energy_j"][name]
    below = None
    if joules and idle_w is not None:
        below = max(idle_w * run["duration_s"] - joules, 0.0) / joules
    return at_most(
        f"{name}_not_below_idle",
        "error",
        below,
        settings.below_idle,
        "share",
        f"by how much the repeat lies below idle power ({name}), of its energy",
        run["repeat"],
    )


def _codecarbon_agrees(sources: Sources, run: Json, settings: JudgingSettings) -> Iterator[Json]:
    """Where CodeCarbon reads RAPL too, it comes to the same joules."""
    other = next((s for s in sources.alternatives if s.name == "codecarbon_cpu_j"), None)
    if other is not None and other.status == "measured":
        yield meters_agree(
            "codecarbon_agrees",
            run["energy_j"]["cpu"],
            run["alternatives"].get("codecarbon_cpu_j"),
            settings.codecarbon_tolerance,
            "|RAPL read here - RAPL read by CodeCarbon| / the latter",
            run["repeat"],
            severity="warning",
        )


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
    timeline: Timeline,
    sources: Sources,
    run: Json,
    start_s: float,
    end_s: float,
    settings: JudgingSettings,
) -> Json:
    """Nobody else computes on the machine during a repeat.

    An error only where the study's figures are the node's and its CPU is really measured: then
    others' joules are in them.
    """
    cpu = sources.figures.get("cpu")
    billed = settings.boundary == "node" and cpu is not None and cpu.status == "measured"
    return at_most(
        "node_not_shared",
        "error" if billed else "warning",
        _others_processors(timeline, start_s, end_s),
        settings.others_processors,
        "processors",
        "processors that are kept busy by others than the job",
        run["repeat"],
    )


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


def _others_processors(timeline: Timeline, start_s: float, end_s: float) -> float | None:
    """Processors that others than the job keep busy; None if that cannot be told.

    It cannot where the job seems to use more than the machine does: the two were then not
    counted alike (Linux counts in ticks of 10 ms, which is all that they may differ by).
    """
    machine = _busy_processors(timeline, "busy_s", start_s, end_s)
    job = _busy_processors(timeline, "job_busy_s", start_s, end_s)
    if machine is None or job is None or job - machine > _COUNTED_ALIKE:
        return None
    return max(machine - job, 0.0)


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
