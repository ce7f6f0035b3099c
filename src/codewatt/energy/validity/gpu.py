"""Validity checks of GPUs: whose they are, who else uses them, and at which clocks they run.

They need readings of NVML, or of zeus for an AMD GPU; a GPU whose energy comes from another meter
is not checked here. zeus reads neither partitions, other processes, throttle reasons nor clocks:
these checks are made, and not decided.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.energy_record import RunRecord
from codewatt.energy.energy_sources import Source, Sources
from codewatt.energy.gpu_meters import GPU_METERS
from codewatt.energy.integration import Floats
from codewatt.energy.timeline_reader import Timeline
from codewatt.energy.validity.check import Check, CheckResult
from codewatt.energy.validity.plausibility import relative_difference

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

_METERED = "NVML or zeus measures the job's GPUs"
GPU_COUNTER_USED = Check(
    "gpu_counter_used",
    "warning",
    purpose="GPU energy comes from the GPU's energy counter, which includes every power peak.",
    remedy="Expect larger errors: without a usable counter, power samples are integrated.",
    limit="the source is the GPU's energy counter",
    applies=_METERED,
    per="cell",
)
NO_MIG = Check(
    "no_mig",
    "error",
    purpose="No GPU is partitioned (MIG), because a GPU's energy counter includes all partitions. "
    "Likewise both chiplets of an AMD MI250 have one counter.",
    remedy="Run on a GPU with MIG off, or on another AMD GPU than MI250.",
    limit="MIG off, and an energy counter of its own, on every GPU of the job",
    applies=_METERED,
    per="cell",
)
GPU_SELECTED = Check(
    "gpu_selected",
    "error",
    purpose="The metered GPUs are exactly the GPUs of the job.",
    remedy="Set CUDA_VISIBLE_DEVICES to the job's GPUs, as Slurm does with --gres (for AMD GPUs "
    "ROCR_VISIBLE_DEVICES).",
    limit="the GPUs that the job was given",
    applies=_METERED,
    per="cell",
)
COUNTER_AGREES = Check(
    "counter_agrees",
    "error",
    purpose="The GPU's energy counter and its integrated power give the same energy.",
    remedy=(
        "If repeats take only a few seconds, make them longer. If long repeats fail too, do not "
        "trust the meter of this GPU."
    ),
    limit=(
        "relative difference at most {max_counter_difference} with one-second averages, "
        "{max_samples_difference} with instantaneous samples"
    ),
    applies=_METERED,
    per="repeat",
    unit="share",
)
SAMPLES_AGREE = Check(
    "samples_agree",
    "warning",
    purpose="The GPU's energy counter and its integrated instantaneous power samples agree.",
    remedy="Nothing needs to be done if counter_agrees passes: power changes faster than the "
    "sampling.",
    limit="relative difference at most {max_samples_difference}",
    applies=f"{_METERED}, and both averages and samples of power were recorded",
    per="repeat",
    unit="share",
)
GPU_NOT_SHARED = Check(
    "gpu_not_shared",
    "error",
    purpose="No other process runs on the job's GPUs; its energy would be counted as the job's.",
    remedy="Run on an exclusive GPU.",
    limit="0 processes",
    applies=_METERED,
    per="repeat",
    unit="processes",
)
NO_SLOWDOWN = Check(
    "no_slowdown",
    "error",
    purpose="No GPU reduces its clock because of heat or a failing power supply.",
    remedy="Cool the machine or use another one, and measure the cell again.",
    limit="0 readings with a thermal, power-brake, board or reliability slowdown",
    applies=_METERED,
    per="repeat",
    unit="share",
)
NO_POWER_CAP = Check(
    "no_power_cap",
    "warning",
    purpose="The power limit of the GPU does not reduce its clock.",
    remedy="Report the power limit with the result; compare only cells with the same limit.",
    limit="0 readings at the power limit",
    applies=_METERED,
    per="repeat",
    unit="share",
)
CLOCKS_STEADY = Check(
    "clocks_steady",
    "warning",
    purpose="The SM clock is steady within a repeat, so that repeats can be compared.",
    remedy="Add warm-up batches, or lock the clocks (nvidia-smi --lock-gpu-clocks).",
    limit="(95th - 5th percentile) / median at most {max_clock_spread}",
    applies=_METERED,
    per="repeat",
    unit="share",
)
CHECKS = (
    GPU_COUNTER_USED,
    NO_MIG,
    GPU_SELECTED,
    COUNTER_AGREES,
    SAMPLES_AGREE,
    GPU_NOT_SHARED,
    NO_SLOWDOWN,
    NO_POWER_CAP,
    CLOCKS_STEADY,
)


def check_gpus(timeline: Timeline, sources: Sources) -> Iterator[CheckResult]:
    """Run the checks of the GPUs as such; none without NVML or zeus."""
    info = timeline.meter(timeline.gpu_meter)
    if info is None or not _measured_by_gpu_meter(sources):
        return
    devices, facts = info.get("devices", []), info.get("facts", {})
    yield GPU_COUNTER_USED.result(
        sources.figures["gpu"].name == "gpu_counter_j",
        sources.figures["gpu"].method,
        "the GPU's energy counter",
        sources.rejected.get("gpu") or "power samples stand beside it as an alternative",
    )
    yield _check_partitions(info["name"], devices)
    by, missing = facts.get("selected_by"), facts.get("not_polled", [])
    yield GPU_SELECTED.result(
        not missing and (len(devices) == 1 or by != "all"),
        f"{len(devices)} GPUs, selected by {by}" + "".join(f", not {name}" for name in missing),
        "the GPUs that the job was given",
        "GPUs are selected by CUDA_VISIBLE_DEVICES or by the UUIDs that the job reports",
    )


def _check_partitions(meter: str, devices: Sequence[Mapping[str, Any]]) -> CheckResult:
    """Check that each GPU has an energy counter of its own; NVML tells MIG mode, zeus no mode."""
    shared = [d["name"] for d in devices if d.get("mig_mode") or d.get("shared_counter")]
    detail = "a partitioned GPU has one energy counter for all its partitions"
    if meter == "zeus":
        detail += "; zeus does not tell whether an AMD GPU is partitioned"
    passed = False if shared else (None if meter == "zeus" else True)
    return NO_MIG.result(passed, ", ".join(shared) or None, "MIG off", detail)


def check_gpu_repeat(
    timeline: Timeline,
    sources: Sources,
    run: RunRecord,
    start_s: float,
    end_s: float,
    settings: EnergySettings,
) -> Iterator[CheckResult]:
    """Run the checks of the GPUs during one repeat; none without NVML or zeus."""
    if not _measured_by_gpu_meter(sources):
        return
    state = {
        quantity: gpu_readings(timeline, sources, quantity, start_s, end_s)
        for quantity in ("other_processes", "throttle_reasons", "sm_clock_mhz")
    }
    yield from _check_counter(timeline, run, settings)
    bits = [int(bits) for values in state["throttle_reasons"] for bits in values]
    slow = sorted({name for bit, name in _SLOWDOWNS.items() if any(b & bit for b in bits)})
    spreads = map(_spread, state["sm_clock_mhz"])
    compared: list[tuple[Check, float | None, float, str]] = [
        (
            GPU_NOT_SHARED,
            max((float(values.max()) for values in state["other_processes"]), default=None),
            0,
            "processes of others than the job on its GPUs, the largest number seen",
        ),
        (
            NO_SLOWDOWN,
            _share(bits, sum(_SLOWDOWNS)),
            0,
            "share of readings with a lowered clock" + (f": {', '.join(slow)}" if slow else ""),
        ),
        (NO_POWER_CAP, _share(bits, _POWER_CAP), 0, "share of readings at the power limit"),
        (
            CLOCKS_STEADY,
            max((spread for spread in spreads if spread is not None), default=None),
            settings.validity.max_clock_spread,
            "(95th - 5th percentile) / median of the SM clock",
        ),
    ]
    for check, observed, limit, detail in compared:
        yield check.at_most(observed, limit, detail, run["repeat"])


def gpu_readings(
    timeline: Timeline, sources: Sources, quantity: str, start_s: float, end_s: float
) -> list[Floats]:
    """Readings of the job's GPUs within a window, by NVML or zeus.

    Returns:
        One array for each GPU that was read; empty if a GPU has no reading in the window, as
        that one could be the shared or the hot one.
    """
    source = _measured_by_gpu_meter(sources)
    found = timeline.find(timeline.gpu_meter, "gpu", quantity)
    inside = [
        data.values[(data.t_s >= start_s) & (data.t_s <= end_s)]
        for device, data in found.items()
        if source is not None and device in source.series
    ]
    return inside if inside and all(len(values) for values in inside) else []


def _check_counter(
    timeline: Timeline, run: RunRecord, settings: EnergySettings
) -> Iterator[CheckResult]:
    """Compare the energy counter with integrated power.

    The one-second averages decide, as the driver makes them of more readings than it shows;
    instantaneous samples do where there are no averages.
    """
    limits = settings.validity
    figure_j, others = run["energy_j"]["gpu"], run["alternatives"]
    average_j, samples_j = others.get("gpu_average_j"), others.get("gpu_samples_j")
    kinds = {device.get("power_reading") for device in timeline.devices(timeline.gpu_meter)}
    averages, samples = "one-second averages", "instantaneous samples"
    if timeline.gpu_meter == "zeus":
        averages = "averages over a time that AMD SMI does not tell"
    sampled = averages if "average" in kinds else samples
    compared = "|figure - integrated power| / integrated power"
    power_j, limit, detail = samples_j, limits.max_samples_difference, sampled
    if average_j is not None:
        power_j, limit, detail = average_j, limits.max_counter_difference, averages
    yield COUNTER_AGREES.at_most(
        relative_difference(figure_j, power_j),
        limit,
        "no counter or no power was recorded, so there is nothing to compare"
        if power_j is None
        else f"{compared}: {detail}",
        run["repeat"],
    )
    if average_j is not None and samples_j is not None:
        yield SAMPLES_AGREE.at_most(
            relative_difference(figure_j, samples_j),
            limits.max_samples_difference,
            f"{compared}: {sampled}",
            run["repeat"],
        )


def _measured_by_gpu_meter(sources: Sources) -> Source | None:
    """The source of GPU energy, if it is NVML or zeus."""
    source = sources.figures.get("gpu")
    return source if source is not None and source.meter in GPU_METERS else None


def _share(bits: list[int], mask: int) -> float | None:
    """The share of readings in which any bit of the mask is set."""
    return sum(bool(b & mask) for b in bits) / len(bits) if bits else None


def _spread(values: Floats) -> float | None:
    """(95th - 5th percentile) / median; None if the median is 0."""
    low, median, high = np.percentile(values, [5, 50, 95])
    return float((high - low) / median) if median > 0 else None
