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


class QuantisedCounts(TypedDict):
    """What a checkpoint's packed tensors say.

    quantised_modules: linear layers. quantised_weights, unquantised_weights: elements of matrices
    that are packed and that are not. packed_bytes: of the packed tensors.
    unscaled_modules: gptqmodel's AWQ only, layers that it left unscaled.
    rounded_modules: gptqmodel's GPTQ only, layers that it rounded without calibration.
    """

    quantised_modules: int
    quantised_weights: int
    unquantised_weights: int
    packed_bytes: int
    unscaled_modules: NotRequired[int]
    rounded_modules: NotRequired[int]


class ModelDescription(WeightsSummary):
    """A model before provenance is added.

    source: the study's model without id and label; its keys depend on the kind of source.
    meaningful_accuracy: False for random weights.
    """

    schema: Literal[1]
    source: dict[str, Any]
    weights: WeightsRecord
    meaningful_accuracy: bool


class TrainedModel(ModelDescription):
    """A nano model before provenance is added.

    training: settings, tokens and losses of the training; no stage reads them.
    """

    training: dict[str, Any]


class ModelRecord(ModelDescription, MadeRecord):
    """models/<model>/manifest.json; that of a nano model has the field of `TrainedModel` too."""


MODEL: RecordFormat[ModelRecord] = RecordFormat(ModelRecord, "fetch_model or train_nano")
