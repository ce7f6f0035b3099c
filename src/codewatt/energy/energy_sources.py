"""Which series is the figure for each component, and which stand beside it.

The order is: a hardware counter, else integrated power samples, else what CodeCarbon models; what
CodeCarbon measures, by the same counters, only stands beside.
One choice holds for a whole timeline, so that the windows of a cell can be compared; the others
are kept as alternatives. A source that lacks one of its devices is no source: a sum that misses a
package or a GPU looks like a thrifty machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from codewatt.energy.integration import Floats, Series, WindowEnergy
from codewatt.energy.timeline_reader import Telemetry, Timeline

COMPONENTS = ("gpu", "cpu", "dram")

Status = Literal["measured", "modelled", "unavailable"]


@dataclass(frozen=True)
class _Candidate:
    """Where a component's figure may come from; `status` is for timelines without description."""

    name: str
    meter: str
    quantity: Literal["energy_j", "power_w", "power_average_w"]
    status: Status
    method: str


#: An average over the last second is the power of half a second ago, and is shown up to 0.1 s
#: late; of all lags 0.6 s agrees best with the counter (docs/archive/h100-metering.md).
_AVERAGE_LAG_S = 0.6

#: By how much an average's time can be wrong: an average knows nothing within its second.
_AVERAGE_JITTER_S = 0.6
#: The driver shows a new instantaneous power every 100 ms, so that what is read is that old.
_INSTANT_JITTER_S = 0.1

#: In order of preference.
_CANDIDATES = {
    "gpu": (
        _Candidate("gpu_counter_j", "nvml", "energy_j", "measured", "NVML total-energy counter"),
        _Candidate(
            "gpu_samples_j", "nvml", "power_w", "measured", "NVML power samples, integrated"
        ),
        _Candidate(
            "gpu_average_j",
            "nvml",
            "power_average_w",
            "measured",
            "NVML one-second averages of power, integrated",
        ),
        _Candidate("codecarbon_gpu_j", "codecarbon", "energy_j", "measured", "CodeCarbon"),
    ),
    "cpu": (
        _Candidate("rapl_cpu_j", "rapl", "energy_j", "measured", "RAPL packages"),
        _Candidate("codecarbon_cpu_j", "codecarbon", "energy_j", "modelled", "CodeCarbon"),
    ),
    "dram": (
        _Candidate("rapl_dram_j", "rapl", "energy_j", "measured", "RAPL DRAM"),
        _Candidate("codecarbon_dram_j", "codecarbon", "energy_j", "modelled", "CodeCarbon"),
    ),
}


@dataclass(frozen=True)
class Source:
    """One component's energy from one meter, summed over its devices.

    Attributes:
        name: as `alternatives` in energy.json calls it.
        status, method, detail: what the figure is worth.
        series: device -> readings.
        unsound: readings left out (not finite, or back in time).
    """

    name: str
    component: str
    meter: str
    quantity: str
    status: Status
    method: str
    detail: str | None
    series: Mapping[str, Series]
    unsound: int

    @property
    def resolution_s(self) -> float:
        """The time between readings, of the slowest device."""
        return max(series.resolution_s or 0.0 for series in self.series.values())

    def energy(self, start_s: float, end_s: float) -> WindowEnergy:
        """Joules of all devices between two times; no figure if one of them has none."""
        parts = {device: one.window(start_s, end_s) for device, one in self.series.items()}
        gaps = [part.max_gap_s for part in parts.values() if part.max_gap_s is not None]
        readings = min(part.readings for part in parts.values())
        max_gap_s = max(gaps, default=None)
        joules = uncertainty = 0.0
        for device, part in parts.items():
            if part.energy_j is None or part.uncertainty_j is None:
                reason = f"{self.method}, {device}: {part.reason}"
                return WindowEnergy(None, None, readings, max_gap_s, reason)
            joules += part.energy_j
            uncertainty += part.uncertainty_j
        return WindowEnergy(joules, uncertainty, readings, max_gap_s, None)


@dataclass(frozen=True)
class Sources:
    """The chosen source of each component that has one, and why the others have none.

    Attributes:
        figures: component -> source.
        unavailable: component -> why it has none.
        rejected: component -> why a source that is preferred to the chosen one is not used.
        alternatives: sources beside the chosen ones.
    """

    figures: Mapping[str, Source]
    unavailable: Mapping[str, str]
    rejected: Mapping[str, str]
    alternatives: tuple[Source, ...]

    def describe(self) -> dict[str, dict[str, str | None]]:
        """Status, method and detail of each component."""
        return {name: self._describe(name) for name in COMPONENTS}

    def _describe(self, component: str) -> dict[str, str | None]:
        source = self.figures.get(component)
        if source is None:
            why = self.unavailable.get(component)
            return {"status": "unavailable", "method": "none", "detail": why}
        return {"status": source.status, "method": source.method, "detail": source.detail}


def choose_sources(timeline: Timeline) -> Sources:
    """The best usable source of each component, and all others beside it."""
    figures: dict[str, Source] = {}
    unavailable, rejected, alternatives = {}, {}, []
    for component, candidates in _CANDIDATES.items():
        reasons = []
        for candidate in candidates:
            source = _source(timeline, component, candidate)
            if isinstance(source, str):
                reasons.append(source)
            elif (
                component not in figures
                and candidate.meter == "codecarbon"
                and (source.status == "measured")
            ):
                # It reads the same counters, but does not ask whether they are all there.
                reasons.append("codecarbon: it reads the counters that are not sound here")
            elif component not in figures:
                figures[component] = source
                if reasons:
                    rejected[component] = "; ".join(dict.fromkeys(reasons))
            else:
                alternatives.append(source)
        if component not in figures:
            unavailable[component] = "; ".join(dict.fromkeys(reasons))
    return Sources(figures, unavailable, rejected, tuple(alternatives))


def _source(timeline: Timeline, component: str, candidate: _Candidate) -> Source | str:
    """A usable source, or why it is none."""
    info = timeline.meter(candidate.meter) or {}
    described = info.get("components", {}).get(component, {})
    if described.get("status") == "unavailable":
        return f"{candidate.meter}: {described.get('detail')}"
    telemetry = timeline.find(candidate.meter, component, candidate.quantity)
    expected = [
        device["device"]
        for device in info.get("devices", [])
        if device.get("component", component) == component
    ]
    missing = [device for device in expected if device not in telemetry]
    if missing or not telemetry:
        return f"{candidate.meter}: no {candidate.quantity} of {', '.join(missing) or component}"
    chosen = {device: telemetry[device] for device in expected or sorted(telemetry)}
    make = Series.counter if candidate.quantity == "energy_j" else Series.power
    averaged = _averaged(candidate, info)
    lag_s = _AVERAGE_LAG_S if averaged else 0.0
    late = timeline.find(candidate.meter, component, "time_error_s")
    series = {
        device: make(data.t_s - lag_s, data.values, _jitter_s(candidate, info, data, late, device))
        for device, data in chosen.items()
    }
    still = [device for device, one in series.items() if not _alive(one, candidate.quantity)]
    if still:
        return f"{candidate.meter}: {candidate.quantity} of {', '.join(still)} never moved"
    uses_description = candidate.meter != "nvml" and described
    return Source(
        name=candidate.name,
        component=component,
        meter=candidate.meter,
        quantity=candidate.quantity,
        status=described["status"] if uses_description else candidate.status,
        method=described["method"] if uses_description else _nvml_method(candidate, info),
        detail=described.get("detail"),
        series=series,
        unsound=sum(data.unsound for data in chosen.values()),
    )


def _nvml_method(candidate: _Candidate, info: dict[str, Any]) -> str:
    """The method, with which kind of power reading was integrated."""
    kinds = {device.get("power_reading") for device in info.get("devices", [])} - {None}
    if candidate.quantity == "power_w" and kinds:
        return f"{candidate.method} ({', '.join(sorted(kinds))} power)"
    return candidate.method


def _alive(series: Series, quantity: str) -> bool:
    """A counter that never moves, and a meter that only ever says 0 W, are broken, not thrifty."""
    if len(series.t_s) < 2:
        return False
    if quantity == "energy_j":
        return bool((series.values != series.values[0]).any())
    return bool((series.values != 0).any())


def _averaged(candidate: _Candidate, info: dict[str, Any]) -> bool:
    """Whether NVML's power is that of half a second ago, on average."""
    if candidate.meter != "nvml" or candidate.quantity == "energy_j":
        return False
    kinds = {device.get("power_reading") for device in info.get("devices", [])}
    return candidate.quantity == "power_average_w" or "average" in kinds


def _jitter_s(
    candidate: _Candidate,
    info: dict[str, Any],
    data: Telemetry,
    late: Mapping[str, Telemetry],
    device: str,
) -> Floats:
    """By how much the time of each reading can be wrong.

    A meter says it of all its readings of energy (`time_error_s` of its facts), and of single
    ones that were taken later than that (a series of its own). Timelines that say nothing are
    older: a step of NVML's counter was then timed within half a poll.
    """
    if candidate.quantity != "energy_j":
        constant_s = _AVERAGE_JITTER_S if _averaged(candidate, info) else _INSTANT_JITTER_S
        return np.full(len(data.t_s), constant_s)
    of_old_s = float(info.get("interval_s") or 0.0) / 2 if candidate.name == "gpu_counter_j" else 0
    jitter_s = np.full(len(data.t_s), float(info.get("facts", {}).get("time_error_s", of_old_s)))
    if (worse := late.get(device)) is not None and len(worse.t_s):
        found = np.clip(np.searchsorted(worse.t_s, data.t_s), 0, len(worse.t_s) - 1)
        same = worse.t_s[found] == data.t_s
        jitter_s[same] = np.maximum(jitter_s[same], worse.values[found][same])
    return jitter_s
