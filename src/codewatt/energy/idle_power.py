"""Idle power with the model loaded: what net energy takes off, and when it cannot.

Net energy is a repeat's energy less idle power times its duration. It is not given for a component
whose idle windows failed a check: a difference of two figures is worth no more than the worse one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.energy.energy_sources import Source, Sources
from codewatt.energy.timeline_reader import Timeline
from codewatt.energy.validity_phase import phase_problems
from codewatt.energy.validity_settings import JudgingSettings

Json = dict[str, Any]

#: The windows that idle power is the mean of; each of them must be there.
IDLE_PHASES = ("idle_loaded", "idle_after")
_HOST = ("cpu", "dram")


@dataclass(frozen=True)
class IdlePower:
    """Idle power of each component that has one.

    Attributes:
        watts: component -> mean power over both idle windows, each as long as it is.
        uncertainty_w: component -> by how much that can be wrong: what the edges of the windows
            leave open, and how far either window's power is from the mean.
        notes: component -> why it has none.
    """

    watts: Mapping[str, float]
    uncertainty_w: Mapping[str, float]
    notes: Mapping[str, str]

    @property
    def note(self) -> str | None:
        """Why some component has no net energy; None if each has."""
        return "; ".join(f"{name}: {why}" for name, why in self.notes.items()) or None

    def below(self, component: str) -> float | None:
        """The least that the idle power can be, in watts; None without one."""
        if component not in self.watts:
            return None
        return max(self.watts[component] - self.uncertainty_w[component], 0.0)


def idle_power(
    timeline: Timeline, sources: Sources, windows: Sequence[Json], settings: JudgingSettings
) -> IdlePower:
    """Idle power of each component whose idle windows passed their checks.

    Args:
        windows: all windows of the job.
    """
    idle = [window for window in windows if window["phase"] in IDLE_PHASES]
    watts: dict[str, float] = {}
    uncertainty_w: dict[str, float] = {}
    notes: dict[str, str] = {}
    load = idle_load(timeline, windows)
    for name, source in sources.figures.items():
        found = _mean_power(source, idle)
        if isinstance(found, str):
            notes[name] = found
            continue
        wrong = _wrong(name, timeline, sources, idle, found[2], settings)
        if name in _HOST and load is not None and load > settings.idle_host_load:
            limit = settings.idle_host_load
            wrong.append(f"the machine's mean CPU load was {load:.3g} (limit {limit:g})")
        if wrong:
            notes[name] = f"idle windows failed a check: {', '.join(dict.fromkeys(wrong))}"
        else:
            watts[name], uncertainty_w[name] = found[0], found[1]
    return IdlePower(watts, uncertainty_w, notes)


def drift(before_w: float, after_w: float) -> float:
    """|after - before| / before; of the larger one where nothing was drawn before."""
    reference_w = before_w if before_w > 0 else max(before_w, after_w)
    return abs(after_w - before_w) / reference_w if reference_w > 0 else 0.0


def idle_load(timeline: Timeline, windows: Sequence[Json]) -> float | None:
    """Mean CPU load of the machine in its busier idle window; None where it was not recorded.

    A load is that since the reading before. One that began before the window takes in what was
    done there, and does not count; each other weighs as long as it lasted.
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


def _mean_power(source: Source, idle: Sequence[Json]) -> tuple[float, float, float] | str:
    """(watts, their uncertainty, drift from before to after) of one component, or why not."""
    joules, bounds, durations = [], [], []
    for phase in IDLE_PHASES:
        chosen = [window for window in idle if window["phase"] == phase]
        if not chosen:
            return f"there is no window {phase}"
        each = [source.energy(window["start_s"], window["end_s"]) for window in chosen]
        for found in each:
            if found.energy_j is None:
                return f"{phase} has no figure: {found.reason}"
        joules.append(math.fsum(found.energy_j or 0.0 for found in each))
        bounds.append(math.fsum(found.uncertainty_j or 0.0 for found in each))
        durations.append(math.fsum(window["end_s"] - window["start_s"] for window in chosen))
    mean_w = math.fsum(joules) / math.fsum(durations)
    powers_w = [energy_j / lasted_s for energy_j, lasted_s in zip(joules, durations, strict=True)]
    edges_w = math.fsum(bounds) / math.fsum(durations)
    apart_w = max(abs(power_w - mean_w) for power_w in powers_w)
    return mean_w, edges_w + apart_w, drift(powers_w[0], powers_w[1])


def _wrong(
    name: str,
    timeline: Timeline,
    sources: Sources,
    idle: Sequence[Json],
    drifted: float,
    settings: JudgingSettings,
) -> list[str]:
    """What is wrong with a component's idle windows: those of its expectations that fail."""
    wrong = []
    if drifted > settings.idle_drift:
        wrong.append(
            f"its power changed by {100 * drifted:.3g} % from before to after "
            f"(limit {100 * settings.idle_drift:g} %)"
        )
    for window in idle:
        for component, problem in phase_problems(timeline, sources, window, settings):
            if component == name:
                wrong.append(f"{window['phase']}: {problem}")
    return wrong
