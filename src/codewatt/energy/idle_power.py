"""Idle power with the model loaded, which net energy subtracts.

Net energy is the energy of a repeat minus idle power times its duration. A component whose idle
windows failed a check has no net energy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.energy_sources import Source, Sources
from codewatt.energy.job_energy_record import PhaseWindow
from codewatt.energy.timeline_reader import Timeline
from codewatt.energy.validity.phase import window_problems

#: Idle power is the mean over the windows of these phases; both must be present.
IDLE_PHASES = ("idle_loaded", "idle_after")
_HOST = ("cpu", "dram")


@dataclass(frozen=True)
class IdlePower:
    """Idle power of each component that has one.

    Attributes:
        watts: component -> mean power (W) over both idle windows, weighted by duration.
        uncertainty_w: component -> bound on the error of that (W): the uncertainty from the edges
            of the windows, plus the larger distance of a window's power from the mean.
        notes: component -> why its idle power is unknown.
    """

    watts: Mapping[str, float]
    uncertainty_w: Mapping[str, float]
    notes: Mapping[str, str]

    @property
    def note(self) -> str | None:
        """Why components have no net energy; None if all of them have it."""
        return "; ".join(f"{name}: {why}" for name, why in self.notes.items()) or None

    def lower_bound_w(self, component: str) -> float | None:
        """Lower bound of idle power in watts; None if idle power is not known."""
        if component not in self.watts:
            return None
        return max(self.watts[component] - self.uncertainty_w[component], 0.0)


def idle_power(
    timeline: Timeline, sources: Sources, windows: Sequence[PhaseWindow], settings: EnergySettings
) -> IdlePower:
    """Idle power of each component whose idle windows passed their checks.

    Args:
        windows: all windows of the job.
    """
    idle = [window for window in windows if window["phase"] in IDLE_PHASES]
    watts: dict[str, float] = {}
    uncertainty_w: dict[str, float] = {}
    notes: dict[str, str] = {}
    load = idle_cpu_load(timeline, windows)
    for name, source in sources.figures.items():
        found = _mean_power(source, idle)
        if isinstance(found, str):
            notes[name] = found
            continue
        problems = _idle_problems(name, timeline, sources, idle, found[2], settings)
        if name in _HOST and load is not None and load > settings.validity.max_idle_cpu_load:
            limit = settings.validity.max_idle_cpu_load
            problems.append(f"the machine's mean CPU load was {load:.3g} (limit {limit:g})")
        if problems:
            notes[name] = f"idle windows failed a check: {', '.join(dict.fromkeys(problems))}"
        else:
            watts[name], uncertainty_w[name] = found[0], found[1]
    return IdlePower(watts, uncertainty_w, notes)


def relative_drift(before_w: float, after_w: float) -> float:
    """|after - before| / before, or / the larger one where the power before was 0 W."""
    reference_w = before_w if before_w > 0 else max(before_w, after_w)
    return abs(after_w - before_w) / reference_w if reference_w > 0 else 0.0


def idle_cpu_load(timeline: Timeline, windows: Sequence[PhaseWindow]) -> float | None:
    """Mean CPU load (0 to 1) of the machine in the busier idle window; None if not recorded.

    Each reading is the load since the reading before, weighted by the time between them. The
    first one in a window also covers time before the window and is left out.
    """
    load = timeline.find("host", "host", "cpu_load").get("machine")
    found: list[float] = []
    for window in windows:
        if load is None or window["phase"] not in IDLE_PHASES:
            continue
        inside = (load.t_s >= window["start_s"]) & (load.t_s <= window["end_s"])
        t_s, values = load.t_s[inside], load.values[inside]
        if len(t_s) > 1:
            lasted_s = t_s[1:] - t_s[:-1]
            found.append(float((values[1:] * lasted_s).sum() / lasted_s.sum()))
    return max(found, default=None)


def _mean_power(source: Source, idle: Sequence[PhaseWindow]) -> tuple[float, float, float] | str:
    """(power in W, its uncertainty in W, relative drift) of one component, or why it is unknown."""
    joules, bounds, durations = [], [], []
    for phase in IDLE_PHASES:
        chosen = [window for window in idle if window["phase"] == phase]
        if not chosen:
            return f"no window of phase {phase}"
        each = [source.energy(window["start_s"], window["end_s"]) for window in chosen]
        for found in each:
            if found.energy_j is None:
                return f"phase {phase} has no energy: {found.reason}"
        joules.append(math.fsum(found.energy_j or 0.0 for found in each))
        bounds.append(math.fsum(found.uncertainty_j or 0.0 for found in each))
        durations.append(math.fsum(window["end_s"] - window["start_s"] for window in chosen))
    mean_w = math.fsum(joules) / math.fsum(durations)
    powers_w = [energy_j / lasted_s for energy_j, lasted_s in zip(joules, durations, strict=True)]
    edges_w = math.fsum(bounds) / math.fsum(durations)
    apart_w = max(abs(power_w - mean_w) for power_w in powers_w)
    return mean_w, edges_w + apart_w, relative_drift(powers_w[0], powers_w[1])


def _idle_problems(
    name: str,
    timeline: Timeline,
    sources: Sources,
    idle: Sequence[PhaseWindow],
    drifted: float,
    settings: EnergySettings,
) -> list[str]:
    """The problems of a component's idle windows."""
    problems = []
    if drifted > settings.validity.max_idle_drift:
        problems.append(
            f"its power changed by {100 * drifted:.3g} % from before to after "
            f"(limit {100 * settings.validity.max_idle_drift:g} %)"
        )
    for window in idle:
        for component, problem in window_problems(timeline, sources, window, settings):
            if component == name:
                problems.append(f"{window['phase']}: {problem}")
    return problems
