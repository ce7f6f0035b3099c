"""The record of a model's weights: what fetching or training wrote, and later stages read."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from codewatt.files import FileRecord
from codewatt.provenance import MadeRecord
from codewatt.record_files import RecordFormat


class WeightsRecord(TypedDict):
    """Where weights are, and size and digest of each of their files."""

    directory: str
    files: dict[str, FileRecord]


class WeightsSummary(TypedDict):
    """What the headers of a directory of weights say (`weight_headers.describe_weights`).

    model_type, layers: None where config.json does not say.
    parameters: weights, tied ones once. dtypes: safetensors' names.
    """

    model_type: str | None
    layers: int | None
    parameters: int
    size_bytes: int
    dtypes: list[str]


class ImportanceRecord(TypedDict):
    """The importance matrix of a GGUF file: how many tensors it has values for, of how many tokens.

    Its corpus is among the variant's corpora.
    """

    tensors: int
    tokens: int


class GgufPackingRecord(TypedDict):
    """The GGUF file that precision method gguf made.

    llama_cpp_python: version, which pins that of llama.cpp. bits_per_weight: of all tensors, with
    scales. tensors: llama.cpp's type of packing -> number of tensors.
    """

    file_type: str
    llama_cpp_python: str
    bits_per_weight: float
    file_bytes: int
    tensors: dict[str, int]
    importance_matrix: ImportanceRecord | None


class QuantisedCounts(TypedDict):
    """What a checkpoint's packed tensors say.

    quantised_modules: linear layers. quantised_weights, unquantised_weights: elements of matrices
    that are packed and that are not. packed_bytes: of the packed tensors.
    unscaled_modules: gptqmodel's AWQ only, layers that it left unscaled.
    rounded_modules: gptqmodel's GPTQ only, layers that it rounded without calibration.
    gguf: method gguf only; modules and weights then include embeddings.
    """

    quantised_modules: int
    quantised_weights: int
    unquantised_weights: int
    packed_bytes: int
    unscaled_modules: NotRequired[int]
    rounded_modules: NotRequired[int]
    gguf: NotRequired[GgufPackingRecord]


class GenerationRecord(TypedDict):
    """Which tokens end a completion (`generation_config.GenerationDefaults`).

    stop_tokens: as text. stop_tokens_from: the file that names them; None if none does.
    ignored_settings: open; the other settings of the model's generation_config.json.
    """

    stop_token_ids: list[int]
    stop_tokens: list[str]
    stop_tokens_from: str | None
    ignored_settings: dict[str, Any]


class TokenizerSettings(TypedDict):
    """The tokenizer of an architecture with random weights.

    source: "stdlib" or "path". vocab_size: tokens, of source stdlib. path: of source path.
    """

    source: str
    vocab_size: NotRequired[int]
    path: NotRequired[str]


class GgufFileSettings(TypedDict):
    """Where a GGUF file comes from (`config.model_settings`).

    source: "hub" (repo, revision, name), "package" (package, version, name) or "path" (path).
    sha256: the digest that the file must have; None for any.
    """

    source: str
    repo: NotRequired[str]
    revision: NotRequired[str]
    package: NotRequired[str]
    version: NotRequired[str]
    name: NotRequired[str]
    path: NotRequired[str]
    sha256: str | None


class GgufRecord(TypedDict):
    """The GGUF file that weights were unpacked from.

    name: of the file. architecture: llama.cpp's name. file_type: what the file says that it is
    packed as, None if it does not. packed_as: what most of its weights are packed as, such as Q4_1
    (`gguf_header.packed_as`). tensors: llama.cpp's type of packing -> number of tensors.
    """

    name: str
    bytes: int
    sha256: str
    architecture: str
    file_type: str | None
    packed_as: str
    tensors: dict[str, int]


class ModelSource(TypedDict):
    """A study's model without id and label (config.model_settings).

    Every key but `source` belongs to some sources and is absent for the others:

    hub: repo, revision (a commit).
    path: path.
    gguf: file, dtype (of the unpacked weights).
    architecture: config (open: a config.json of any architecture), dtype, tokenizer, seed.
    nano: seed and the other fields of `nano_settings.NanoSettings`, which checks them.
    """

    source: str
    repo: NotRequired[str]
    revision: NotRequired[str]
    path: NotRequired[str]
    file: NotRequired[GgufFileSettings]
    config: NotRequired[dict[str, Any]]
    dtype: NotRequired[str]
    tokenizer: NotRequired[TokenizerSettings]
    seed: NotRequired[int]


class NanoTraining(TypedDict):
    """How a nano model was trained.

    settings: the fields of `nano_settings.NanoSettings`, all numbers but the architecture's name.
    threads: CPU threads of torch. functions, tokens: that the loss was taken over.
    loss_nats: per token of a body, mean of each tenth of the steps.
    """

    settings: dict[str, int | float | str]
    threads: int
    parameters: int
    functions: int
    tokens: int
    loss_nats: list[float]
    duration_s: float
    cpu_s: float


class ModelDescription(WeightsSummary):
    """A model before provenance is added.

    meaningful_accuracy: False for random weights.
    unpacked_from: of a model from a GGUF file only.
    """

    schema: Literal[1]
    source: ModelSource
    weights: WeightsRecord
    meaningful_accuracy: bool
    unpacked_from: NotRequired[GgufRecord]


class TrainedModel(ModelDescription):
    """A nano model before provenance is added; no stage reads its training."""

    training: NanoTraining


class ModelRecord(ModelDescription, MadeRecord):
    """models/<model>/manifest.json; that of a nano model has the field of `TrainedModel` too."""


MODEL: RecordFormat[ModelRecord] = RecordFormat(ModelRecord, "fetch_model or train_nano")
