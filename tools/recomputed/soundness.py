"""Whether windows outside the repeats can be believed, and the net energy that rests on them."""

import math

import numpy as np

from recomputed.energy import COMPONENTS, GPU_METERS, seconds, spans, total

#: Watts that a device can draw, each.
POSSIBLE_W = {"gpu": (1.0, 1500.0), "cpu": (0.5, 1000.0), "dram": (0.05, 500.0)}
IDLE_PHASES = ("idle_loaded", "idle_after")


class Limits:
    """Limits of validity from the study's `energy`, as far as windows and net energy need them."""

    def __init__(self, settings):
        self.cpu_is_billed = settings.get("boundary", "node") != "gpu"
        limits = settings.get("validity") or {}
        self.other_cpus = limits.get("max_other_cpus", 0.5)
        self.other_cpu_share = limits.get("max_other_cpu_share", 0.05)
        self.gap_s = limits.get("max_gap_s", 2.0)
        self.idle_drift = limits.get("max_idle_drift", 0.1)
        self.idle_cpu_load = limits.get("max_idle_cpu_load", 0.2)


def making_note(meter, window, manifest, limits):
    """What is wrong with the figure of a variant's making; None if nothing is."""
    edges = window["start_s"], window["end_s"]
    sampler = (manifest.get("sampler") or {}).get("meters", {})
    failures = sampler.get("rapl", {}).get("failures", {})
    wrong = [what for what in failures if what.startswith("wrap")]
    wrong += [f"{name}: {why}" for name, why in problems(meter, edges, limits)]
    long_enough = [edges[1] - edges[0] >= 2 * one.spacing_s for one in _sources(meter).values()]
    judged = None if any(long_enough) else "too short for two readings of a meter"
    return "; ".join(dict.fromkeys(wrong)) or judged


def problems(meter, edges, limits, others=True):
    """(component, what is wrong with its figure of a window).

    Args:
        others: whether the work of other processes is wrong; not while judging, as the CPU time
            of killed sandboxes is not counted for the job.
    """
    start_s, end_s = edges
    for name, source in _sources(meter).items():
        if source.unsound:
            yield name, f"{source.unsound} readings are not sound"
        if end_s - start_s < 2 * source.spacing_s:
            continue
        why = _no_figure(source, edges)
        if why is not None:
            yield name, why
        else:
            yield from ((name, problem) for problem in _implausible(meter, name, edges, limits))
    inside = [
        values[(t_s >= start_s) & (t_s <= end_s)]
        for device, (t_s, values, _) in meter.readings("nvml", "gpu", "other_processes").items()
        if meter.sources["gpu"] is not None and device in meter.sources["gpu"].devices
    ]
    if inside and all(map(len, inside)) and any(values.max() > 0 for values in inside):
        yield "gpu", "other processes on the GPU"
    if others:
        yield from _others(meter, edges, limits)


def _sources(meter):
    return {name: source for name, source in meter.sources.items() if source is not None}


def _no_figure(source, edges):
    """Why a window has no figure of a source, of the first device that has none."""
    for device, one in source.devices.items():
        if problem := one.problem(*edges):
            return f"{source.method}, {device}: {problem}"
    return None


def _implausible(meter, name, edges, limits):
    source, (start_s, end_s) = meter.sources[name], edges
    gaps = [np.diff(d.t_s[d.around(start_s, end_s)]).max() for d in source.devices.values()]
    if max(gaps) > max(limits.gap_s, 10 * source.spacing_s):
        yield f"{max(gaps):.3g} s without a reading"
    low, high = (bound * len(source.devices) for bound in POSSIBLE_W[name])
    if name == "gpu":
        known = [d for m in GPU_METERS for d in meter.meters.get(m, {}).get("devices") or []]
        caps = [d.get("power_limit_w") for d in known if d["device"] in source.devices]
        high = 1.25 * sum(caps) if caps and all(caps) else high
    watts = source.joules(start_s, end_s) / (end_s - start_s)
    if source.status == "measured" and not low <= watts <= high:
        yield f"{watts:.4g} W is not possible"


def _others(meter, edges, limits):
    """Others than the job on the machine: CPU time of all less that of the job, and stolen time."""
    host = {q: meter.readings("host", "host", q).get("machine") for q in _CPU_TIMES}
    billed = limits.cpu_is_billed and meter.sources["cpu"] is not None
    if not billed or host["busy_s"] is None:
        return
    t_s = host["busy_s"][0]
    machine, job, stolen = (_per_second(host[quantity], edges) for quantity in _CPU_TIMES)
    if ((t_s >= edges[0]) & (t_s <= edges[1])).sum() < 2 or machine is None or job is None:
        return
    if job - machine > 0.1:  # not counted alike
        return
    busy = max(machine - job, 0.0) + (stolen or 0.0)
    processors = meter.fact("allocation").get("processors")
    limit = limits.other_cpus
    if processors:
        limit = float(min(limit, limits.other_cpu_share * processors))
    if busy > limit:
        yield "cpu", f"others keep {busy:.3g} CPUs busy (limit {limit:g})"


#: Seconds of processors: of the machine, of the job, and what a hypervisor took.
_CPU_TIMES = ("busy_s", "job_busy_s", "stolen_s")


def _per_second(readings, edges):
    if readings is None or len(readings[0]) < 2 or not edges[0] < edges[1]:
        return None
    t_s, values, _ = readings
    if edges[0] < t_s[0] or edges[1] > t_s[-1]:
        return None
    return float(np.diff(np.interp(edges, t_s, values))[0] / (edges[1] - edges[0]))


def idle_power(meter, windows, bounds, limits):
    """Component -> (watts, what they can be wrong by), of those whose idle windows are sound.

    Args:
        bounds: (phase, start) -> part -> joules that the window's edges leave open.
    """
    at_rest = {phase: spans(windows, phase) for phase in IDLE_PHASES}
    busy = idle_load(meter, at_rest)
    found = {}
    for name, source in _sources(meter).items():
        joules = {p: total(source.joules(*e) for e in edges) for p, edges in at_rest.items()}
        if None in joules.values():
            continue
        lasted_s = {phase: seconds(edges) for phase, edges in at_rest.items()}
        before, after = (joules[phase] / lasted_s[phase] for phase in IDLE_PHASES)
        reference = before if before > 0 else max(before, after)
        wrong = reference > 0 and abs(after - before) / reference > limits.idle_drift
        wrong = wrong or (name != "gpu" and busy is not None and busy > limits.idle_cpu_load)
        wrong = wrong or any(
            component == name
            for edges in at_rest.values()
            for edge in edges
            for component, _ in problems(meter, edge, limits)
        )
        if wrong:
            continue
        mean = math.fsum(joules.values()) / math.fsum(lasted_s.values())
        edges_j = [bounds[phase, edge[0]][name] for phase in IDLE_PHASES for edge in at_rest[phase]]
        edges_w = math.fsum(edges_j) / math.fsum(lasted_s.values())
        found[name] = mean, edges_w + max(abs(before - mean), abs(after - mean))
    return found


def idle_load(meter, at_rest):
    """Mean load of the machine in its busier idle window, of readings that began in it."""
    readings = meter.readings("host", "host", "cpu_load").get("machine")
    found = []
    for start_s, end_s in [edge for edges in at_rest.values() for edge in edges]:
        if readings is not None:
            inside = (readings[0] >= start_s) & (readings[0] <= end_s)
            t_s, values = readings[0][inside], readings[1][inside]
            if len(t_s) > 1:
                found.append(float(np.average(values[1:], weights=np.diff(t_s))))
    return max(found, default=None)


def net_joules(meter, of_run, edges_j, idle, long_s):
    """(joules above idle power, what they can be wrong by), of each part of a repeat."""
    net, bound = {}, {}
    for name in COMPONENTS:
        if name in idle and of_run[name] is not None:
            watts, wrong_w = idle[name]
            net[name] = of_run[name] - watts * long_s
            bound[name] = edges_j[name] + wrong_w * long_s
    return meter.add(net), meter.add(bound)
