"""Validity checks of power: what the hardware can draw, idle power, and a second reader of RAPL."""

from collections.abc import Iterator, Mapping

from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.energy_record import RunRecord
from codewatt.energy.energy_sources import COMPONENTS, Source, Sources
from codewatt.energy.timeline_reader import Timeline
from codewatt.energy.validity.check import Check, CheckResult
from codewatt.energy.validity.plausibility import relative_difference

#: Least and most power (W) of one device that is switched on. The most of a GPU comes from its
#: power limit where its meter tells it. Largest rated: packages 500 W, memory of a socket 200 W.
POSSIBLE_W = {"gpu": (1.0, 1500.0), "cpu": (0.5, 1000.0), "dram": (0.05, 500.0)}
#: The mean power of a GPU over seconds is at most this multiple of its power limit.
OVER_POWER_LIMIT = 1.25

POWER_PLAUSIBLE = Check(
    "{}_power_plausible",
    "error",
    purpose="Mean power is within the range of the device; a broken counter can give other values.",
    remedy="Do not use the cell; look for the broken meter in its timeline.",
    limit=(
        "each GPU {gpu[0]:g} W to {over:g} times its power limit (to {gpu[1]:g} W if that is "
        "unknown), each CPU package {cpu[0]:g} to {cpu[1]:g} W, DRAM of each socket {dram[0]:g} "
        "to {dram[1]:g} W"
    ).format(over=OVER_POWER_LIMIT, **POSSIBLE_W),
    applies="the component is measured, not modelled",
    per="repeat",
    unit="W",
    subjects=COMPONENTS,
)
NOT_BELOW_IDLE = Check(
    "{}_not_below_idle",
    "error",
    purpose="A repeat takes at least the energy of idling for the same time; else energy was lost.",
    remedy="Do not use the cell: a counter wrapped or was reset, and this was not detected.",
    limit="at most {max_below_idle} below idle energy, after subtracting the uncertainty",
    applies="the component is measured and its idle power is known",
    per="repeat",
    unit="share",
    subjects=COMPONENTS,
)
CODECARBON_AGREES = Check(
    "codecarbon_agrees",
    "warning",
    purpose="CodeCarbon, which reads the same RAPL counters, gives the same CPU energy.",
    remedy="Compare both series in the timeline: one of the two missed readings.",
    limit="relative difference at most {max_codecarbon_difference}",
    applies="RAPL measures the CPU, and CodeCarbon reads RAPL too",
    per="repeat",
    unit="share",
)
CHECKS = (POWER_PLAUSIBLE, NOT_BELOW_IDLE, CODECARBON_AGREES)


def check_power(
    timeline: Timeline,
    sources: Sources,
    run: RunRecord,
    idle_w: Mapping[str, float | None],
    settings: EnergySettings,
) -> Iterator[CheckResult]:
    """Run the checks of the power of one repeat.

    Args:
        idle_w: component -> lower bound of its idle power in watts; None if it is not known.
    """
    for name, source in sources.figures.items():
        joules = run["energy_j"][name]
        if source.status != "measured":
            continue
        low_w, high_w = possible_w(timeline, name, source)
        watts = None if joules is None or not run["duration_s"] else joules / run["duration_s"]
        devices = f"{len(source.series)} device{'s' if len(source.series) > 1 else ''}"
        yield POWER_PLAUSIBLE.result(
            None if watts is None else low_w <= watts <= high_w,
            watts,
            f"{low_w:.4g} to {high_w:.4g}",
            f"mean power of {name}, {devices}",
            run["repeat"],
            subject=name,
        )
        yield _check_below_idle(name, run, idle_w.get(name), settings)
    if (cpu := sources.figures.get("cpu")) is not None and cpu.meter == "rapl":
        yield from _check_codecarbon(sources, run, settings)


def possible_w(timeline: Timeline, name: str, source: Source) -> tuple[float, float]:
    """Least and most power (W) of a component, over all its devices."""
    low_w, high_w = (bound * len(source.series) for bound in POSSIBLE_W[name])
    if name == "gpu":
        devices = timeline.devices(timeline.gpu_meter)
        limits_w = [d.get("power_limit_w") for d in devices if d["device"] in source.series]
        known_w = [float(limit_w) for limit_w in limits_w if limit_w]
        if limits_w and len(known_w) == len(limits_w):
            high_w = OVER_POWER_LIMIT * sum(known_w)
    return low_w, high_w


def _check_below_idle(
    name: str, run: RunRecord, idle_w: float | None, settings: EnergySettings
) -> CheckResult:
    joules, bound_j, below = run["energy_j"][name], run["uncertainty_j"][name] or 0.0, None
    if joules is not None and idle_w is not None and idle_w > 0 and run["duration_s"] > 0:
        idle_j = idle_w * run["duration_s"]
        below = max(idle_j - joules - bound_j, 0.0) / idle_j
    return NOT_BELOW_IDLE.at_most(
        below,
        settings.validity.max_below_idle,
        f"(idle energy - energy of the repeat) / idle energy of {name}, beyond the uncertainty "
        "from the window's edges",
        run["repeat"],
        subject=name,
    )


def _check_codecarbon(
    sources: Sources, run: RunRecord, settings: EnergySettings
) -> Iterator[CheckResult]:
    other = next((s for s in sources.alternatives if s.name == "codecarbon_cpu_j"), None)
    if other is not None and other.status == "measured":
        yield CODECARBON_AGREES.at_most(
            relative_difference(
                run["energy_j"]["cpu"], run["alternatives"].get("codecarbon_cpu_j")
            ),
            settings.validity.max_codecarbon_difference,
            "|RAPL - RAPL read by CodeCarbon| / the latter",
            run["repeat"],
        )
