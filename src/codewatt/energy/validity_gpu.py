"""Validity of what a GPU's figures need: the right card, all of it, alone, at steady clocks."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from codewatt.energy.energy_sources import Source, Sources
from codewatt.energy.expectation import at_most, expectation
from codewatt.energy.integration import Floats
from codewatt.energy.plausibility import meters_agree
from codewatt.energy.timeline_reader import Timeline
from codewatt.energy.validity_settings import JudgingSettings

Json = dict[str, Any]

#: Bits of nvmlDeviceGetCurrentClocksThrottleReasons (NVML API reference, nvmlClocksEventReasons).
_POWER_CAP = 0x4
_SLOWDOWNS = {
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x200: "board limit",
    0x400: "reliability limit",
}


def judge_gpu(timeline: Timeline, sources: Sources) -> Iterator[Json]:
    """Expectations on the card itself; none if NVML gave no figure."""
    info = timeline.meter("nvml")
    if info is None or not _by_nvml(sources):
        return
    devices, facts = info.get("devices", []), info.get("facts", {})
    yield expectation(
        "gpu_counter_used",
        "warning",
        sources.figures["gpu"].name == "gpu_counter_j",
        sources.figures["gpu"].method,
        "NVML's total-energy counter",
        None,
        sources.passed_over.get("gpu") or "the counter is the figure, power samples beside it",
    )
    mig = [device["name"] for device in devices if device.get("mig_mode")]
    yield expectation(
        "no_mig",
        "error",
        not mig,
        ", ".join(mig) or None,
        "MIG off",
        None,
        "a partitioned GPU has one energy counter for all its tenants",
    )
    by, missing = facts.get("selected_by"), facts.get("not_polled", [])
    yield expectation(
        "gpu_selected",
        "error",
        not missing and (len(devices) == 1 or by != "all"),
        f"{len(devices)} GPUs, selected by {by}" + "".join(f", not {name}" for name in missing),
        "the GPUs that the job was given",
        None,
        "name them by CUDA_VISIBLE_DEVICES, or pass their UUIDs",
    )


def judge_gpu_run(
    timeline: Timeline,
    sources: Sources,
    run: Json,
    start_s: float,
    end_s: float,
    settings: JudgingSettings,
) -> Iterator[Json]:
    """Expectations on one repeat's GPU; none if NVML gave no figure."""
    if not _by_nvml(sources):
        return
    repeat = run["repeat"]
    state = {
        quantity: state_during(timeline, sources, quantity, start_s, end_s)
        for quantity in ("other_processes", "throttle_reasons", "sm_clock_mhz")
    }
    yield from _counter_agrees(timeline, run, settings)
    yield at_most(
        "gpu_not_shared",
        "error",
        max((float(values.max()) for values in state["other_processes"]), default=None),
        0,
        "processes",
        "processes on the GPU that are not the job's",
        repeat,
    )
    bits = [int(bits) for values in state["throttle_reasons"] for bits in values]
    slow = sorted({name for bit, name in _SLOWDOWNS.items() if any(b & bit for b in bits)})
    yield at_most(
        "no_slowdown",
        "error",
        _share(bits, sum(_SLOWDOWNS)),
        0,
        "share",
        "share of readings with the clock forced down" + (f": {', '.join(slow)}" if slow else ""),
        repeat,
    )
    yield at_most(
        "no_power_cap",
        "warning",
        _share(bits, _POWER_CAP),
        0,
        "share",
        "share of readings with the clock held down by the power limit",
        repeat,
    )
    spreads = [_spread(values) for values in state["sm_clock_mhz"]]
    yield at_most(
        "clocks_steady",
        "warning",
        max((spread for spread in spreads if spread is not None), default=None),
        settings.clock_spread,
        "share",
        "(95th - 5th percentile) / median of the SM clock",
        repeat,
    )


def _counter_agrees(timeline: Timeline, run: Json, settings: JudgingSettings) -> Iterator[Json]:
    """The energy counter and the integrated power tell the same joules.

    The one-second averages decide, as the driver makes them of more readings than it shows;
    instantaneous samples do where there are no averages.
    """
    figure_j, others = run["energy_j"]["gpu"], run["alternatives"]
    devices = (timeline.meter("nvml") or {}).get("devices", [])
    kinds = {device.get("power_reading") for device in devices}
    average_j, samples_j = others.get("gpu_average_j"), others.get("gpu_samples_j")
    sampled = "one-second averages" if "average" in kinds else "instantaneous samples"
    by_average, averages = average_j is not None, "one-second averages"
    yield meters_agree(
        "counter_agrees",
        figure_j,
        average_j if by_average else samples_j,
        settings.counter_tolerance if by_average else settings.samples_tolerance,
        "there are not both a counter and power to compare"
        if average_j is None and samples_j is None
        else f"|figure - integrated power| / the latter: {averages if by_average else sampled}",
        run["repeat"],
    )
    if by_average and samples_j is not None:
        yield meters_agree(
            "samples_agree",
            figure_j,
            samples_j,
            settings.samples_tolerance,
            f"|figure - integrated power| / the latter: {sampled}",
            run["repeat"],
            severity="warning",
        )


def _by_nvml(sources: Sources) -> Source | None:
    """The GPU's figure, if NVML gave it."""
    source = sources.figures.get("gpu")
    return source if source is not None and source.meter == "nvml" else None


def state_during(
    timeline: Timeline, sources: Sources, quantity: str, start_s: float, end_s: float
) -> list[Floats]:
    """Values of the job's GPUs within a window, an array for each GPU that has any."""
    source = _by_nvml(sources)
    found = timeline.find("nvml", "gpu", quantity)
    inside = [
        data.values[(data.t_s >= start_s) & (data.t_s <= end_s)]
        for device, data in found.items()
        if source is not None and device in source.series
    ]
    # A card that is not seen could be the one that is shared or hot.
    return inside if inside and all(len(values) for values in inside) else []


def _share(bits: list[int], mask: int) -> float | None:
    return sum(bool(b & mask) for b in bits) / len(bits) if bits else None


def _spread(values: Floats) -> float | None:
    low, median, high = np.percentile(values, [5, 50, 95])
    return float((high - low) / median) if median > 0 else None
