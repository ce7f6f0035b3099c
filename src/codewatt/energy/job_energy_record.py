"""The record of a metered job: its phases, its meters and statistics of sampling.

Every stage that is metered writes these fields into its own record. They hold no joules: those are
computed afterwards, from the timeline and the windows.
"""

from collections.abc import Sequence
from typing import Any, Literal

from typing_extensions import ReadOnly, TypedDict

from codewatt.benchmarks.prompt_format import PromptRecord
from codewatt.energy.record_ids import CellIds, VariantIds
from codewatt.energy.start_record import StartRecord, WarmupRecord, WarmupSettings
from codewatt.files import FileRecord

#: Joules (or watts) by part (`boundaries.PARTS`); None where a part has no figure.
Joules = dict[str, float | None]


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


class CpuShareRecord(TypedDict, total=False):
    """What a job holds of its machine's logical CPUs.

    `cpu_share.job_cpu_share` gives all fields. They are absent from telemetry that does not record
    them: it was taken without the host's meter, or by an older version of codewatt.

    processors_held: CPUs; a fraction under a quota. processors: of the machine; None if they cannot
    be counted. share: 0 to 1; None without `processors`. source: what processors_held comes from.
    slurm_processors: CPUs of the node for jobs; None where Slurm does not tell them.
    slurm: Slurm's variables of the job; empty outside Slurm.
    """

    processors_held: float
    processors: int | None
    share: float | None
    source: str
    slurm_processors: int | None
    slurm: dict[str, str]


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


class JudgedCompletion(TypedDict):
    """The fields of a verdict (`evaluate.evaluate_record`) that the energy of judging rests on.

    base: None if the task is excluded, so that no program ran.
    program: identical completions have the same number; their program ran once.
    start_s, end_s: when that program ran (CLOCK_MONOTONIC s); None if none ran, or if it was not
        recorded.
    """

    task_id: str
    repeat: int
    sample: int
    base: str | None
    program: int
    start_s: float | None
    end_s: float | None


class MeteredEvaluation(MeteredRecord):
    """The fields of evaluate.json that the energy of judging rests on."""

    verdicts: ReadOnly[Sequence[JudgedCompletion]]


class ComputeDevice(TypedDict):
    """Where a cell's model computed: "cuda" or "cpu"."""

    device: str


class MeteredDecoding(TypedDict):
    """How the next token was chosen ("greedy" or "sampled"), and how the cell was warmed up."""

    strategy: str
    warmup: WarmupSettings


class MeteredCell(MeteredRecord):
    """The fields of generate.json (`generate.generate_record`) that a cell's energy rests on."""

    cell: CellIds
    prompt: PromptRecord
    model: ReadOnly[ComputeDevice]
    decoding: ReadOnly[MeteredDecoding]
    files: dict[str, FileRecord]
    start: StartRecord
    warmup: WarmupRecord


class SkippedStage(TypedDict):
    """What a later stage writes, beside its own version, for a cell that could not run."""

    cell: CellIds
    status: Literal["infeasible"]
    reason: str


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


class ScoresFile(TypedDict):
    """The layer scores by which layers were removed, and their digest at that time."""

    path: str
    sha256: str


class MadeVariant(JobEnergyRecord):
    """The fields of a variant's manifest that the energy of making it rests on.

    scores: None if nothing was pruned, or by a method that needs no scores.
    """

    variant: VariantIds
    scores: ScoresFile | None
