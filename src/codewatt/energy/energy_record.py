"""The records of the energy stage: of a cell (energy.json) and of making a variant.

Energies are joules by part: "gpu", "cpu", "dram", and the boundaries "node" and "job"
(boundaries.py); None where a part has no figure.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag
from typing_extensions import TypedDict, TypeIs

from codewatt.config.carbon_intensity import CarbonIntensity
from codewatt.energy.job_energy_record import (
    ComponentRecord,
    CpuShareRecord,
    Joules,
    SkippedStage,
)
from codewatt.energy.meters.meter import Status
from codewatt.energy.record_ids import CellIds, VariantIds
from codewatt.energy.validity.check import CheckResult
from codewatt.provenance import CodeRecord
from codewatt.record_files import RecordFormat

#: Of energy.json. Version 4: the session of the cell.
SCHEMA: Literal[4] = 4
#: Of making_energy.json.
MAKING_SCHEMA: Literal[2] = 2


class WindowRecord(TypedDict):
    """One window of a cell's job.

    Attributes:
        phase, repeat, batch: what ran in it; repeat and batch are None outside repeats.
        start_s, end_s: CLOCK_MONOTONIC seconds.
        energy_j, uncertainty_j: joules by part, and the bound from the window's edges.
        net_energy_j, net_uncertainty_j: the same above idle power with the model loaded.
    """

    phase: str
    repeat: int | None
    batch: int | None
    start_s: float
    end_s: float
    duration_s: float
    energy_j: Joules
    uncertainty_j: Joules
    net_energy_j: Joules
    net_uncertainty_j: Joules


class RunRecord(TypedDict):
    """One repeat and its phases.

    Attributes:
        alternatives: energy (J) by sources that are not the chosen one.
        net_note: why a component has no net energy; None if all of them have it.
    """

    repeat: int
    duration_s: float
    energy_j: Joules
    uncertainty_j: Joules
    net_energy_j: Joules
    net_uncertainty_j: Joules
    prefill_energy_j: Joules
    prefill_uncertainty_j: Joules
    prefill_s: float | None
    decode_energy_j: Joules
    decode_uncertainty_j: Joules
    decode_s: float | None
    alternatives: dict[str, float | None]
    net_note: str | None


class PhaseEnergy(TypedDict):
    """All windows of one phase together.

    Attributes:
        duration_s: sum over the windows.
        energy_j: joules by part; None where a window has no figure for the part.
    """

    duration_s: float
    energy_j: Joules


class JudgedRunEnergy(TypedDict):
    """Judging the completions of one repeat (judging_energy.py). It uses no GPU.

    Attributes:
        energy_j, uncertainty_j: joules by part, and a bound on their error. The runs add up to the
            energy of judging all completions.
        unshared_energy_j: joules by part if each completion were judged, also where identical
            ones were judged once; the energy of a program counts once for each completion.
    """

    repeat: int
    energy_j: Joules
    uncertainty_j: Joules
    unshared_energy_j: Joules


class EvaluationEnergy(PhaseEnergy):
    """Judging a cell's completions.

    Attributes:
        uncertainty_j: joules by part, the bound from the window's edges.
        status: of each part's figure.
        runs: by repeat, ascending.
        note: why runs and tasks lack energy of a component; None if they have all.
    """

    uncertainty_j: Joules
    status: dict[str, Status]
    runs: list[JudgedRunEnergy]
    note: str | None


class SamplerCost(TypedDict):
    """What the sampler itself used.

    Attributes:
        cpu_share: CPU seconds per second of sampling; None if the job did not record it.
        max_rss_bytes: None if the job did not record it, or the kernel does not report it.
    """

    cpu_share: float | None
    max_rss_bytes: int | None


class EnergyRecord(TypedDict):
    """energy.json of a cell, without its code digests.

    Attributes:
        boundary: the energy boundary of the study.
        components: status, method and detail by part.
        allocation: CPUs of the machine and those that the job held; empty if not recorded.
        baseline: mean idle power (W) by phase and part.
        evaluate: duration, energy and status of judging; None if it was not metered.
        load, warmup: duration and energy; None without such a window.
        sampler: CPU and memory use of the sampler itself.
        carbon: carbon intensity of the country's electricity.
        valid: whether no check of severity "error" failed.
    """

    schema: Literal[4]
    cell: CellIds
    boundary: str
    components: dict[str, ComponentRecord]
    allocation: CpuShareRecord
    baseline: dict[str, Joules]
    windows: list[WindowRecord]
    runs: list[RunRecord]
    evaluate: EvaluationEnergy | None
    load: PhaseEnergy | None
    warmup: PhaseEnergy | None
    sampler: SamplerCost
    carbon: CarbonIntensity
    checks: list[CheckResult]
    valid: bool


class StageEnergy(TypedDict):
    """Duration and energy of one stage of making a variant.

    Attributes:
        duration_s: seconds; 0 if the stage had nothing to do.
        energy_j: joules by part; None if nothing was made, or a part has no figure.
        energy_status: "measured", "modelled" or "unavailable" by part; None if nothing was made.
        energy_note: why the energy cannot be trusted; None if it can.
    """

    duration_s: float | None
    energy_j: Joules
    energy_status: dict[str, Status | None]
    energy_note: str | None


class MakingEnergyRecord(TypedDict):
    """making_energy.json of a variant, without its code digests.

    Attributes:
        variant: its ids.
        quantise: pruning and quantising.
        score_layers: scoring the layers that it was pruned by, whole, even if other variants were
            pruned by the same scores; None if it was not pruned by scores.
    """

    schema: Literal[2]
    variant: VariantIds
    quantise: StageEnergy
    score_layers: StageEnergy | None


class EnergyFileRecord(EnergyRecord, CodeRecord):
    """energy.json of a cell that ran."""


class SkippedEnergyRecord(SkippedStage, CodeRecord):
    """energy.json of a cell that could not run."""

    schema: Literal[4]


class MakingEnergyFileRecord(MakingEnergyRecord, CodeRecord):
    """making_energy.json of a variant."""


AnyEnergyRecord = EnergyFileRecord | SkippedEnergyRecord


def is_measured(record: AnyEnergyRecord) -> TypeIs[EnergyFileRecord]:
    """Whether an energy.json is of a cell that ran; only that of another one has a status."""
    return "status" not in record


def _tag(content: Any) -> str:
    return "infeasible" if "status" in content else "ok"


ENERGY: RecordFormat[AnyEnergyRecord] = RecordFormat(
    Annotated[
        Annotated[EnergyFileRecord, Tag("ok")] | Annotated[SkippedEnergyRecord, Tag("infeasible")],
        Discriminator(_tag),
    ],
    "measure_energy",
)
MAKING_ENERGY: RecordFormat[MakingEnergyFileRecord] = RecordFormat(
    MakingEnergyFileRecord, "measure_making_energy"
)
