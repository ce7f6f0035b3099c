"""The record of a cell's generation: what `generate_cell` wrote; all later stages read it."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from codewatt.benchmarks.prompt_format import PromptRecord
from codewatt.energy.job_energy_record import MeteredRecord, SkippedStage
from codewatt.energy.placement_record import PlacementRecord
from codewatt.energy.record_ids import CellIds
from codewatt.energy.start_record import StartRecord, WarmupRecord, WarmupSettings
from codewatt.files import FileRecord
from codewatt.models.model_record import GenerationRecord
from codewatt.provenance import MadeRecord
from codewatt.record_files import RecordFormat
from codewatt.sizing.roofline_record import DemandRecord, MachineRatesRecord


class DecodingRecord(TypedDict):
    """The study's decoding. temperature, top_p: None for greedy decoding."""

    strategy: str
    samples: int
    repeats: int
    seed: int
    warmup: WarmupSettings
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


class EngineRecord(TypedDict):
    """The engine of a cell; name: of its module.

    Each engine adds fields of its own (`AttentionEngineRecord`, `GraphEngineRecord`,
    `VllmEngineRecord`, `LlamaCppEngineRecord`). They are not read by any stage, so that an engine
    can be added without a change here.
    """

    name: str


class AttentionRecord(TypedDict):
    """The attention implementation of transformers in use, and the one config.json asks for.

    attention_requested: None where config.json asks for none.
    """

    attention: str
    attention_requested: str | None


class AttentionEngineRecord(EngineRecord, AttentionRecord):
    """What `transformers` and `graph` record. padding_side: of the prompts of a batch."""

    padding_side: str
    torch_threads: int


class GraphEngineRecord(AttentionEngineRecord):
    """What `graph` records.

    decode_step: "dense_kernels", or "transformers_forward" with the reason, else None.
    captures: captured CUDA graphs. capture_s: seconds of warm-up, kernel compilation and capture.
    cache_length: cache positions; None before the first batch.
    """

    decode_step: str
    decode_step_reason: str | None
    captured: bool
    captures: int
    capture_s: float
    cache_length: int | None


class VllmEngineRecord(EngineRecord):
    """What `vllm` records; names as of vLLM's configuration.

    quantisation: None for unquantised weights. preemptions: sequences that vLLM evicted and
    recomputed.
    """

    version: str
    torch_threads: int
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    chunked_prefill: bool
    prefix_caching: bool
    gpu_memory_utilization: float
    eager: bool
    quantisation: str | None
    preemptions: int


class LlamaCppEngineRecord(EngineRecord):
    """What `llama_cpp` records.

    version: of llama-cpp-python. system_info: llama.cpp's own list of instruction sets. file_type:
    of the GGUF file. kv_cache: 'f16' or 'f32'. sequences, cells_per_sequence: of the KV cache.
    """

    version: str
    system_info: str
    threads: int
    file_type: str | None
    kv_cache: str
    sequences: int
    cells_per_sequence: int


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

    demand: None if the model's size is unknown. reason: why demand is None; else None.
    """

    machine: MachineRatesRecord
    demand: DemandRecord | None
    reason: str | None


class PeakMemoryRecord(TypedDict):
    """The most memory that the job held; device_bytes is None on a CPU.

    host_bytes: None where Linux did not forget the peak of the roofline's probe.
    """

    device_bytes: int | None
    host_bytes: int | None


class GenerationDescription(TypedDict):
    """The model, the engine and the sampling of a cell whose model was loaded.

    engine: settings of the engine that the study does not set.
    start: the rest before the model was loaded, and the state of the devices after it.
    """

    model: GeneratingModel
    engine: EngineRecord
    generation: GenerationRecord
    logits: LogitsRecord
    roofline: RooflineRecord
    peak_memory: PeakMemoryRecord
    start: StartRecord
    warmup: WarmupRecord


class CommonCellFields(MeteredRecord):
    """The fields that both kinds have.

    repeats: that were asked for. threads: of torch on the CPU. prompt: what the model was asked.
    files: completions, tasks and timeline, beside the record.
    """

    schema: Literal[5]
    cell: CellIds
    prompt: PromptRecord
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


def skipped_stage(generate: InfeasibleCell) -> SkippedStage:
    """What a stage after generate writes for a cell that could not run, less its version."""
    return {"cell": generate["cell"], "status": "infeasible", "reason": generate["reason"]}


Generated = GeneratedCell | InfeasibleCell | InvalidLogitsCell
GenerateRecord = GeneratedCellRecord | InfeasibleCellRecord
GENERATE: RecordFormat[GenerateRecord] = RecordFormat(
    Annotated[GenerateRecord, Field(discriminator="status")], "generate"
)
