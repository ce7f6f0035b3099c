"""The record of a metered job: its phases, its meters and statistics of sampling.

Every stage that is metered writes these fields into its own record. They hold no joules: those are
computed afterwards, from the timeline and the windows.
"""

from typing import Any, Literal

from typing_extensions import TypedDict


class PhaseWindow(TypedDict):
    """When one phase of a job ran, in CLOCK_MONOTONIC seconds.

    repeat, batch: of a cell's repeats and batches; None for a phase that belongs to none.
    """

    phase: str
    repeat: int | None
    batch: int | None
    start_s: float
    end_s: float


class ComponentRecord(TypedDict):
    """Origin of a meter's energy for one component (`meters.meter.ComponentInfo`)."""

    status: Literal["measured", "modelled", "unavailable"]
    method: str
    detail: str | None


class MeterRecord(TypedDict):
    """One meter (`meters.meter.MeterInfo`).

    interval_s: nominal time between readings; None for a meter that is not available.
    devices, facts: open dictionaries; their keys differ between meters and driver versions.
    """

    name: str
    version: str | None
    interval_s: float | None
    components: dict[str, ComponentRecord]
    devices: list[dict[str, Any]]
    facts: dict[str, Any]


class MeterSampling(TypedDict):
    """How often one meter was read.

    rate_hz, max_gap_s: None with fewer than two readings. failures: failed reads by reason.
    """

    reads: int
    interval_s: float | None
    rate_hz: float | None
    max_gap_s: float | None
    failures: dict[str, int]


class SamplerRecord(TypedDict):
    """Statistics of sampling, and CPU time and memory of the sampler itself.

    Times are CLOCK_MONOTONIC seconds. cpu_share: CPU seconds per second of sampling.
    max_rss_bytes: None where the kernel does not report it.
    """

    started_s: float
    ready_s: float
    stopped_s: float
    startup_s: float
    startup_cpu_s: float
    sampling_cpu_s: float
    cpu_share: float
    max_rss_bytes: int | None
    meters: dict[str, MeterSampling]


class MeteredRecord(TypedDict):
    """The fields that every metered job writes.

    epoch_offset_s: Unix time minus CLOCK_MONOTONIC, so that windows can be dated.
    """

    windows: list[PhaseWindow]
    epoch_offset_s: float
    meters: list[MeterRecord]
    sampler: SamplerRecord


class JobEnergyRecord(TypedDict):
    """The metered part of a variant manifest and of layer scores.

    windows: one, of phase "quantise" or "score_layers". Nothing was made if it is empty (an
    uncompressed variant is its model's checkpoint): then timeline and sampler are None, meters is
    empty and duration_s is 0.
    duration_s: sum over the windows. timeline: path of the Parquet file with the raw telemetry.
    device: "cuda" or "cpu", where the job computed.
    """

    windows: list[PhaseWindow]
    duration_s: float
    epoch_offset_s: float | None
    timeline: str | None
    meters: list[MeterRecord]
    sampler: SamplerRecord | None
    device: str
