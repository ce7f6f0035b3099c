"""The record of a cell's generation: what `generate_cell` wrote; all later stages read it."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from codewatt.energy.job_energy_record import MeteredRecord
from codewatt.energy.placement_record import PlacementRecord
from codewatt.files import FileRecord
from codewatt.provenance import MadeRecord
from codewatt.record_files import RecordFormat


class CellIds(TypedDict):
    """What a cell is: its id, its variant's id, and the study's values that make it.

    hardware: None where the study names none.
    """

    id: str
    variant: str
    model: str
    prune: str
    precision: str
    benchmark: str
    prompt: str
    token_limit: int
    batch_size: int
    engine: str
    hardware: str | None


class DecodingRecord(TypedDict):
    """The study's decoding. temperature, top_p: None for greedy decoding."""

    strategy: str
    samples: int
    repeats: int
    seed: int
    warmup_batches: int
    temperature: float | None
    top_p: float | None


#: "class" is no name in Python, so this part is declared as a call.
_ModelClass = TypedDict("_ModelClass", {"class": str})


class LoadedModelRecord(_ModelClass):
    """The model that was really loaded (`Engine.describe_model`).

    memory_bytes: of weights and buffers.
    kernels: number of linear layers by what computes them; absent with vLLM, which does not tell.
    """

    model_type: str
    dtype: str
    device: str
    layers: int
    memory_bytes: int
    kernels: NotRequired[dict[str, int]]


class GeneratingModel(LoadedModelRecord):
    """The same, with what the variant's manifest says; parameters: None where not known."""

    parameters: int | None
    meaningful_accuracy: bool


class InvalidLogitsToken(TypedDict):
    """The first token that was chosen from invalid logits; new_token 0 follows the prompt."""

    task_id: str
    repeat: int
    sample: int
    new_token: int


class LogitsRecord(TypedDict):
    """How many completions have a token that was chosen from invalid logits."""

    sequences: int
    invalid_sequences: int
    first_invalid_token: InvalidLogitsToken | None


class RooflineRecord(TypedDict):
    """Inputs of the roofline.

    machine: a `sizing.measured_machine.MachineRates` as a dictionary. demand: a
    `sizing.roofline.Demand` as a dictionary; None if the model's size is unknown. reason: why
    demand is None; else None.
    """

    machine: dict[str, Any]
    demand: dict[str, Any] | None
    reason: str | None


class PeakMemoryRecord(TypedDict):
    """The most memory that the job held; device_bytes is None on a CPU.

    host_bytes: None where Linux did not forget the peak of the roofline's probe.
    """

    device_bytes: int | None
    host_bytes: int | None


class GenerationDescription(TypedDict):
    """The model, the engine and the sampling of a cell whose model was loaded.

    engine, generation: open; their keys depend on the engine and on the model's files.
    """

    model: GeneratingModel
    engine: dict[str, Any]
    generation: dict[str, Any]
    logits: LogitsRecord
    roofline: RooflineRecord
    peak_memory: PeakMemoryRecord


class CommonCellFields(MeteredRecord):
    """The fields that both kinds have.

    repeats: that were asked for. threads: of torch on the CPU.
    files: completions, tasks and timeline, beside the record.
    """

    schema: Literal[2]
    cell: CellIds
    repeats: int
    decoding: DecodingRecord
    threads: int
    placement: PlacementRecord
    files: dict[str, FileRecord]


class GeneratedCell(CommonCellFields, GenerationDescription):
    """A cell that ran, before provenance is added."""

    status: Literal["ok"]


class InfeasibleCell(CommonCellFields):
    """A cell that could not run, before provenance is added."""

    status: Literal["infeasible"]
    reason: str


class InvalidLogitsCell(InfeasibleCell, GenerationDescription):
    """A cell whose model was loaded but gives invalid logits, before provenance is added."""


class GeneratedCellRecord(GeneratedCell, MadeRecord):
    """cells/<cell>/generate.json of a cell that ran."""


class InfeasibleCellRecord(InfeasibleCell, MadeRecord):
    """cells/<cell>/generate.json of a cell that could not run.

    With invalid logits the fields of `InvalidLogitsCell` follow; no stage reads them.
    """


class SkippedStage(TypedDict):
    """What a later stage writes, beside its own version, for a cell that could not run."""

    cell: CellIds
    status: Literal["infeasible"]
    reason: str


def skipped_stage(generate: InfeasibleCell) -> SkippedStage:
    """What a stage after generate writes for a cell that could not run, less its version."""
    return {"cell": generate["cell"], "status": "infeasible", "reason": generate["reason"]}


Generated = GeneratedCell | InfeasibleCell | InvalidLogitsCell
GenerateRecord = GeneratedCellRecord | InfeasibleCellRecord
GENERATE: RecordFormat[GenerateRecord] = RecordFormat(
    Annotated[GenerateRecord, Field(discriminator="status")], "generate"
)
