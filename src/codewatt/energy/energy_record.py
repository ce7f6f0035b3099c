"""The records of the energy stage: of a cell (energy.json) and of making a variant.

Energies are joules by part: "gpu", "cpu", "dram", and the boundaries "node" and "job"
(boundaries.py); None where a part has no figure.
"""

from typing import Any, Literal

from typing_extensions import TypedDict

from codewatt.energy.boundaries import Joules
from codewatt.energy.validity.check import CheckResult
from codewatt.provenance import CodeRecord
from codewatt.record_files import RecordFormat

#: Version 2: "checks" in place of "expectations".
SCHEMA: Literal[2] = 2


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


class EnergyRecord(TypedDict):
    """energy.json of a cell, without its code digests.

    Attributes:
        boundary: the energy boundary of the study.
        components: status, method and detail by part.
        allocation: CPUs of the machine and those that the job held.
        baseline: mean idle power (W) by phase and part.
        evaluate: duration, energy and status of judging; None if it was not metered.
        load, warmup: duration and energy; None without such a window.
        sampler: CPU and memory use of the sampler itself.
        carbon: carbon intensity of the country's electricity.
        valid: whether no check of severity "error" failed.
    """

    schema: Literal[2]
    cell: dict[str, Any]
    boundary: str
    components: dict[str, Any]
    allocation: dict[str, Any]
    baseline: dict[str, Joules]
    windows: list[WindowRecord]
    runs: list[RunRecord]
    evaluate: dict[str, Any] | None
    load: dict[str, Any] | None
    warmup: dict[str, Any] | None
    sampler: dict[str, Any]
    carbon: dict[str, Any]
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
    energy_status: dict[str, str | None]
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
    variant: dict[str, Any]
    quantise: StageEnergy
    score_layers: StageEnergy | None


class EnergyFileRecord(EnergyRecord, CodeRecord):
    """energy.json of a cell that ran."""


class MakingEnergyFileRecord(MakingEnergyRecord, CodeRecord):
    """making_energy.json of a variant."""


ENERGY: RecordFormat[EnergyFileRecord] = RecordFormat(EnergyFileRecord, "measure_energy")
MAKING_ENERGY: RecordFormat[MakingEnergyFileRecord] = RecordFormat(
    MakingEnergyFileRecord, "measure_making_energy"
)
