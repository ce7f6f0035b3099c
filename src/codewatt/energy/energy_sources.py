"""Selects the meter series that gives the energy of each component (GPU, CPU, DRAM).

Order of preference: a hardware counter, integrated power samples, the model of CodeCarbon. Energy
that CodeCarbon measures is never selected, because it reads the same counters; it is recorded as an
alternative. The selection is the same for the whole timeline, so that the windows of a cell can be
compared. A series that lacks one of its devices is not used, because the sum without a CPU package
or a GPU would be too low.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from codewatt.energy.gpu_meters import GPU_METERS
from codewatt.energy.integration import Floats, Series, WindowEnergy
from codewatt.energy.job_energy_record import ComponentRecord
from codewatt.energy.meters.meter import Status
from codewatt.energy.timeline_reader import Telemetry, Timeline

COMPONENTS = ("gpu", "cpu", "dram")


@dataclass(frozen=True)
class _Candidate:
    """A possible source of a component's energy; `status` is used if the timeline has none."""

    name: str
    meter: str
    quantity: Literal["energy_j", "power_w", "power_average_w"]
    status: Status
    method: str


#: Delay of one-second averages: they describe the power 0.5 s ago and are updated every 0.1 s.
#: A lag of 0.6 s agrees best with the energy counter (docs/archive/h100-metering.md).
_AVERAGE_LAG_S = 0.6

#: Bound on the error of an average's time: it cannot resolve changes within its second.
_AVERAGE_JITTER_S = 0.6
#: The driver updates instantaneous power every 100 ms, so a reading can be that old.
_INSTANT_JITTER_S = 0.1

#: How old a power reading of an AMD GPU can be is not known; assumed, never measured.
_UNKNOWN_JITTER_S = 1.0

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
        _Candidate(
            "gpu_counter_j", "zeus", "energy_j", "measured", "AMD SMI energy counter, through zeus"
        ),
        _Candidate(
            "gpu_samples_j",
            "zeus",
            "power_w",
            "measured",
            "AMD SMI power samples, through zeus, integrated",
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
        name: its name in `alternatives` of energy.json.
        component: "gpu", "cpu" or "dram".
        meter: name of the meter.
        quantity: the quantity that the meter reads.
        status: whether the energy is measured or modelled.
        method, detail: how it is measured or modelled.
        series: device -> readings.
        unsound: number of readings that were dropped (not finite, or not later than the one
            before).
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
        """Median time between readings (s) of the slowest device."""
        return max(series.resolution_s or 0.0 for series in self.series.values())

    def energy(self, start_s: float, end_s: float) -> WindowEnergy:
        """Energy of all devices between two times (s); None if a device has no value."""
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
    """The selected source of each component.

    Attributes:
        figures: component -> selected source.
        unavailable: component -> reason why it has no source.
        rejected: component -> reason why a source of higher preference is not used.
        alternatives: usable sources that were not selected.
    """

    figures: Mapping[str, Source]
    unavailable: Mapping[str, str]
    rejected: Mapping[str, str]
    alternatives: tuple[Source, ...]

    def describe(self) -> dict[str, ComponentRecord]:
        """Status, method and detail of each component."""
        return {name: self._describe(name) for name in COMPONENTS}

    def _describe(self, component: str) -> ComponentRecord:
        source = self.figures.get(component)
        if source is None:
            why = self.unavailable.get(component)
            return {"status": "unavailable", "method": "none", "detail": why}
        return {"status": source.status, "method": source.method, "detail": source.detail}


def choose_sources(timeline: Timeline) -> Sources:
    """Select the usable source of highest preference for each component."""
    figures: dict[str, Source] = {}
    unavailable, rejected, alternatives = {}, {}, []
    for component, candidates in _CANDIDATES.items():
        reasons = []
        for candidate in candidates:
            if candidate.meter in GPU_METERS and candidate.meter != timeline.gpu_meter:
                continue
            source = _source(timeline, component, candidate)
            if isinstance(source, str):
                reasons.append(source)
            elif (
                component not in figures
                and candidate.meter == "codecarbon"
                and (source.status == "measured")
            ):
                # CodeCarbon reads the same counters without a check that all of them exist.
                reasons.append("codecarbon: it reads the same counters, which cannot be used here")
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
    """The source of a candidate, or the reason why it cannot be used."""
    info = timeline.meter(candidate.meter)
    described = None if info is None else info.get("components", {}).get(component)
    if described is not None and described["status"] == "unavailable":
        return f"{candidate.meter}: {described['detail']}"
    telemetry = timeline.find(candidate.meter, component, candidate.quantity)
    expected = [
        device["device"]
        for device in timeline.devices(candidate.meter)
        if device.get("component", component) == component
    ]
    missing = [device for device in expected if device not in telemetry]
    if missing or not telemetry:
        return f"{candidate.meter}: no {candidate.quantity} of {', '.join(missing) or component}"
    chosen = {device: telemetry[device] for device in expected or sorted(telemetry)}
    make = Series.counter if candidate.quantity == "energy_j" else Series.power
    averaged = _averaged(candidate, timeline)
    lag_s = _AVERAGE_LAG_S if averaged else 0.0
    late = timeline.find(candidate.meter, component, "time_error_s")
    series = {
        device: make(
            data.t_s - lag_s, data.values, _jitter_s(candidate, timeline, data, late, device)
        )
        for device, data in chosen.items()
    }
    still = [device for device, one in series.items() if not _alive(one, candidate.quantity)]
    if still:
        return f"{candidate.meter}: {candidate.quantity} of {', '.join(still)} never changed"
    used = None if candidate.meter in GPU_METERS else described
    return Source(
        name=candidate.name,
        component=component,
        meter=candidate.meter,
        quantity=candidate.quantity,
        status=used["status"] if used else candidate.status,
        method=used["method"] if used else _gpu_method(candidate, timeline),
        detail=None if described is None else described["detail"],
        series=series,
        unsound=sum(data.unsound for data in chosen.values()),
    )


def _gpu_method(candidate: _Candidate, timeline: Timeline) -> str:
    """The method, with the kind of power reading (instant or average) that is integrated."""
    kinds = {
        str(device["power_reading"])
        for device in timeline.devices(candidate.meter)
        if device.get("power_reading") is not None
    }
    if candidate.quantity == "power_w" and kinds:
        return f"{candidate.method} ({', '.join(sorted(kinds))} power)"
    return candidate.method


def _alive(series: Series, quantity: str) -> bool:
    """False for a counter that never changes or a meter that always reads 0 W: it is broken."""
    if len(series.t_s) < 2:
        return False
    if quantity == "energy_j":
        return bool((series.values != series.values[0]).any())
    return bool((series.values != 0).any())


def _averaged(candidate: _Candidate, timeline: Timeline) -> bool:
    """Whether the power readings are averages over the last second."""
    if candidate.meter != "nvml" or candidate.quantity == "energy_j":
        return False
    kinds = {device.get("power_reading") for device in timeline.devices(candidate.meter)}
    return candidate.quantity == "power_average_w" or "average" in kinds


def _jitter_s(
    candidate: _Candidate,
    timeline: Timeline,
    data: Telemetry,
    late: Mapping[str, Telemetry],
    device: str,
) -> Floats:
    """Bound on the error of each reading's time (s), shape (n,).

    For energy readings a meter records one bound for all readings (`time_error_s` of its facts) and
    larger bounds for single readings (the series `time_error_s`). Older timelines have no bound;
    their updates of NVML's counter are timed within half a sampling interval.
    """
    if candidate.quantity != "energy_j":
        constant_s = _AVERAGE_JITTER_S if _averaged(candidate, timeline) else _INSTANT_JITTER_S
        if candidate.meter == "zeus":
            constant_s = _UNKNOWN_JITTER_S
        return np.full(len(data.t_s), constant_s)
    info = timeline.meter(candidate.meter)
    interval_s = 0.0 if info is None else info.get("interval_s") or 0.0
    default_s = interval_s / 2 if candidate.name == "gpu_counter_j" else 0.0
    facts = {} if info is None else info.get("facts", {})
    jitter_s = np.full(len(data.t_s), float(facts.get("time_error_s", default_s)))
    if (worse := late.get(device)) is not None and len(worse.t_s):
        found = np.clip(np.searchsorted(worse.t_s, data.t_s), 0, len(worse.t_s) - 1)
        same = worse.t_s[found] == data.t_s
        jitter_s[same] = np.maximum(jitter_s[same], worse.values[found][same])
    return jitter_s
