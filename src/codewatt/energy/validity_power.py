"""Validity of figures by what is physically possible."""

from collections.abc import Iterator, Mapping
from typing import Any

from codewatt.energy.energy_sources import Source, Sources
from codewatt.energy.expectation import at_most
from codewatt.energy.plausibility import meters_agree, power_plausible
from codewatt.energy.timeline_reader import Timeline
from codewatt.energy.validity_settings import JudgingSettings

Json = dict[str, Any]

#: Watts a device that is switched on draws at least and at most; a GPU's most is taken from its
#: power limit where NVML tells it. Largest rated: packages 500 W, memory of a socket 200 W.
_POSSIBLE_W = {"gpu": (1.0, 1500.0), "cpu": (0.5, 1000.0), "dram": (0.05, 500.0)}
#: A GPU's mean over seconds stays this close to its power limit.
_ABOVE_LIMIT = 1.25


def judge_power(
    timeline: Timeline,
    sources: Sources,
    run: Json,
    idle_w: Mapping[str, float | None],
    settings: JudgingSettings,
) -> Iterator[Json]:
    """Measured power is possible, no lower than idle, and what another reader of RAPL says.

    Args:
        idle_w: component -> the least that its idle power can be; None if that is not known.
    """
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
    joules, bound_j, below = run["energy_j"][name], run["uncertainty_j"][name] or 0.0, None
    if joules is not None and idle_w is not None and idle_w > 0 and run["duration_s"] > 0:
        idle_j = idle_w * run["duration_s"]
        below = max(idle_j - joules - bound_j, 0.0) / idle_j
    return at_most(
        f"{name}_not_below_idle",
        "error",
        below,
        settings.below_idle,
        "share",
        f"by how much the repeat lies below idle power ({name}), of the idle energy, beyond what "
        "the window's edges can be wrong by",
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
