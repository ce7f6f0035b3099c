"""Joules of windows, from the readings of a timeline."""

import json
import math

import numpy as np
import pyarrow.parquet as pq

COMPONENTS = ("gpu", "cpu", "dram")
PARTS = (*COMPONENTS, "node", "job")
#: Parts and the boundary that the study chose.
FIGURES = (*PARTS, "energy")
#: An average over the last second is taken for the middle of that second, shown 0.1 s late.
AVERAGE_LAG_S = 0.6
#: NVML, or zeus on a machine with AMD GPUs.
GPU_METERS = ("nvml", "zeus")
#: In order of preference: meter, quantity, and what it is where the meter does not say.
SOURCES = {
    "gpu": (
        ("nvml", "energy_j", "measured", "NVML total-energy counter"),
        ("nvml", "power_w", "measured", "NVML power samples, integrated"),
        ("nvml", "power_average_w", "measured", "NVML one-second averages of power, integrated"),
        ("zeus", "energy_j", "measured", "AMD SMI energy counter, through zeus"),
        ("zeus", "power_w", "measured", "AMD SMI power samples, through zeus, integrated"),
        ("codecarbon", "energy_j", "measured", "CodeCarbon"),
    ),
    "cpu": (
        ("rapl", "energy_j", "measured", "RAPL packages"),
        ("codecarbon", "energy_j", "modelled", "CodeCarbon"),
    ),
    "dram": (
        ("rapl", "energy_j", "measured", "RAPL DRAM"),
        ("codecarbon", "energy_j", "modelled", "CodeCarbon"),
    ),
}
#: A phase whose windows without a figure take more of its time than this has none.
MAX_UNRESOLVED_SHARE = 0.01


class Readings:
    """One device's readings: a counter of joules, or power."""

    def __init__(self, t_s, values, counter):
        self.t_s, self.values, self.counter = t_s, values, counter
        self.spacing_s = float(np.median(np.diff(t_s))) if len(t_s) > 1 else None

    def problem(self, start_s, end_s):
        """Why a window has no figure; None if it has one."""
        if self.spacing_s is None:
            return "fewer than two readings"
        if start_s < self.t_s[0] or end_s > self.t_s[-1]:
            return "the readings do not cover the window"
        if end_s - start_s < self.spacing_s:
            return (
                f"the window of {end_s - start_s:.3f} s is shorter than the time between "
                f"readings, {self.spacing_s:.3f} s"
            )
        if self.counter and (np.diff(self.values[self.around(start_s, end_s)]) < 0).any():
            return "the counter went backwards (reset or driver reload)"
        return None

    def around(self, start_s, end_s):
        """The readings from the last before a window to the first after it."""
        first = np.flatnonzero(self.t_s <= start_s)[-1]
        last = np.flatnonzero(self.t_s >= end_s)[0]
        return slice(first, last + 1)

    def joules(self, start_s, end_s):
        """The energy between two times; None if the readings do not allow a figure."""
        return None if self.problem(start_s, end_s) else self.between(start_s, end_s)

    def between(self, start_s, end_s):
        """The energy between two times within the readings, however short."""
        at_start, at_end = np.interp([start_s, end_s], self.t_s, self.values)
        if self.counter:
            return float(at_end - at_start)
        inside = (self.t_s > start_s) & (self.t_s < end_s)
        t_s = np.concatenate(([start_s], self.t_s[inside], [end_s]))
        return float(np.trapezoid(np.concatenate(([at_start], self.values[inside], [at_end])), t_s))


class Source:
    """Where a component's joules come from."""

    def __init__(self, status, method, devices, unsound):
        self.status, self.method, self.devices, self.unsound = status, method, devices, unsound

    def joules(self, start_s, end_s):
        """Of all devices; None if one has no figure."""
        return total([one.joules(start_s, end_s) for one in self.devices.values()])

    @property
    def spacing_s(self):
        """Of the slowest device."""
        return max(one.spacing_s for one in self.devices.values())


class Meter:
    """A job's timeline: its sources, and the boundaries that are made of them.

    Args:
        path: the timeline. device: "cuda" or "cpu", where the job computed; None: by what was read.
        meters: the manifest's descriptions, for a timeline that has none.
    """

    def __init__(self, path, device, meters=None):
        table = pq.read_table(path)
        own = (table.schema.metadata or {}).get(b"codewatt.meters")
        self.meters = {m["name"]: m for m in (json.loads(own) if own else meters or [])}
        labels = ["meter", "component", "device", "quantity"]
        frame = table.to_pandas().astype(dict.fromkeys(labels, str))
        self.series = dict(iter(frame.groupby(labels, sort=False)))
        self.sources = {name: self._source(name) for name in COMPONENTS}
        used = self.sources["gpu"] is not None if device is None else device == "cuda"
        self.inside = ("gpu", "cpu", "dram") if used else ("cpu", "dram")
        self.share = self.fact("allocation").get("share")

    def fact(self, name):
        """What the meter of the host says of itself."""
        return (self.meters.get("host", {}).get("facts") or {}).get(name) or {}

    def add(self, parts):
        """Joules of the components, with those of node and job."""
        host = total([parts.get("cpu"), parts.get("dram")])
        card = parts.get("gpu") if "gpu" in self.inside else 0.0
        known = host is not None and card is not None
        return {
            **{name: parts.get(name) for name in COMPONENTS},
            "node": card + host if known else None,
            "job": card + self.share * host if known and self.share is not None else None,
        }

    def energy(self, start_s, end_s):
        """Joules of each part between two times."""
        return self.add(
            {n: None if s is None else s.joules(start_s, end_s) for n, s in self.sources.items()}
        )

    def status(self):
        """ "measured", "modelled" or "unavailable" of each part."""
        of = {n: "unavailable" if s is None else s.status for n, s in self.sources.items()}
        inside = {of[name] for name in self.inside}
        worst = next(s for s in ("unavailable", "modelled", "measured") if s in inside)
        return {**of, "node": worst, "job": worst if self.share is not None else "unavailable"}

    def method(self, component):
        """How a component's figure came about."""
        source = self.sources[component]
        return "none" if source is None else source.method

    def readings(self, meter, component, quantity):
        """Device -> (times, values, readings left out), of finite values and advancing times."""
        found = {}
        for (m, c, device, q), group in self.series.items():
            if (m, c, q) != (meter, component, quantity):
                continue
            sound = group[np.isfinite(group["t_s"]) & np.isfinite(group["value"])]
            sound = sound[sound["t_s"] > sound["t_s"].cummax().shift(fill_value=-math.inf)]
            values = sound["t_s"].to_numpy(), sound["value"].to_numpy()
            found[device] = (*values, len(group) - len(sound))
        return found

    def _source(self, component):
        for meter, quantity, status, method in SOURCES[component]:
            info = self.meters.get(meter, {})
            said = (info.get("components") or {}).get(component, {})
            if said.get("status") == "unavailable":
                continue
            found = self.readings(meter, component, quantity)
            listed = [
                d["device"]
                for d in info.get("devices") or []
                if d.get("component", component) == component
            ]
            if not found or set(listed) - set(found):
                continue
            kinds = {d.get("power_reading") for d in info.get("devices") or []} - {None}
            averaged = quantity == "power_average_w" or "average" in kinds
            lag_s = AVERAGE_LAG_S if meter == "nvml" and quantity != "energy_j" and averaged else 0
            devices = {
                name: Readings(found[name][0] - lag_s, found[name][1], quantity == "energy_j")
                for name in listed or sorted(found)
            }
            if not all(_alive(one) for one in devices.values()):
                continue
            if meter in GPU_METERS:
                if quantity == "power_w" and kinds:
                    method = f"{method} ({', '.join(sorted(kinds))} power)"
            elif said:
                status, method = said["status"], said["method"]
            if meter == "codecarbon" and status == "measured":
                continue  # the same counters, without asking whether they are whole
            unsound = sum(found[name][2] for name in devices)
            return Source(status, method, devices, unsound)
        return None


def _alive(one):
    if len(one.t_s) < 2:
        return False
    return bool((one.values != (one.values[0] if one.counter else 0)).any())


def total(values):
    """The sum; None if there is nothing to add or any part is absent."""
    values = list(values)
    return math.fsum(values) if values and None not in values else None


def spans(windows, phase, repeat=None):
    """(start, end) of a phase's windows, of one repeat if given."""
    return [
        (w["start_s"], w["end_s"])
        for w in windows
        if w["phase"] == phase and (repeat is None or w["repeat"] == repeat)
    ]


def seconds(edges):
    """How long windows are together; None if there are none."""
    return math.fsum(end - start for start, end in edges) if edges else None


def joules_of(meter, edges):
    """Joules of each part over windows, each of which must have a figure."""
    each = [meter.energy(*edge) for edge in edges]
    return {part: total(one[part] for one in each) for part in PARTS}


def idle_watts(meter, edges):
    """Mean power of each part over idle windows."""
    found, long_s = joules_of(meter, edges), seconds(edges)
    return {part: j / long_s if j is not None and long_s else None for part, j in found.items()}


def phase_joules(meter, edges):
    """Of a repeat's windows of one phase; short ones draw the mean power of the others."""
    parts = {}
    for name in COMPONENTS:
        source = meter.sources[name]
        each = [(end - start, source and source.joules(start, end)) for start, end in edges]
        known = [(s, j) for s, j in each if j is not None]
        all_s, known_s = math.fsum(s for s, _ in each), math.fsum(s for s, _ in known)
        if known and all_s - known_s <= MAX_UNRESOLVED_SHARE * all_s:
            parts[name] = math.fsum(j for _, j in known) * all_s / known_s
    return meter.add(parts)


def figures(joules, boundary):
    """FIGURES -> joules: every part, and "energy", the part that the study chose."""
    return {name: (joules or {}).get(boundary if name == "energy" else name) for name in FIGURES}
