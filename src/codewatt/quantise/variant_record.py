"""The record of a variant: what `quantise_variant` wrote; all later stages read it."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from codewatt.corpora.corpus_record import CorpusRecord
from codewatt.energy.job_energy_record import MadeVariant
from codewatt.energy.placement_record import PlacementRecord
from codewatt.models.model_record import ModelSource, QuantisedCounts, WeightsRecord
from codewatt.provenance import MadeRecord
from codewatt.prune.prune_settings import PruneSettings
from codewatt.quantise.precision_settings import PrecisionSettings
from codewatt.record_files import RecordFormat


class VariantSettings(TypedDict):
    """The study's prune and precision without id and label."""

    prune: PruneSettings
    precision: PrecisionSettings


class BaseModel(TypedDict):
    """The model that a variant was made of (`models.model_record`).

    packed_as: of a model from a GGUF file only, what its weights were unpacked from, such as Q4_1.
    """

    source: ModelSource
    layers: int | None
    parameters: int
    dtypes: list[str]
    packed_as: NotRequired[str]


class PackingRecord(TypedDict):
    """How GPTQ or AWQ packed a variant. made_here: False for a checkpoint published packed."""

    format: str
    symmetric: bool
    made_here: bool


class VariantDescription(MadeVariant):
    """A variant before provenance is added.

    size_bytes: of the weights as they are loaded. dtype: in which unquantised weights run.
    layers, model_type: None where config.json does not say.
    parameters: weights before packing; None where a packed file does not tell (a pruned one).
    quantised: None if nothing was quantised. packing: None unless GPTQ or AWQ packed it.
    corpora: the calibration corpora that were used.
    kept_layers: None if nothing was pruned.
    placement: None where nothing was made.
    """

    schema: Literal[2]
    method: str
    settings: VariantSettings
    base: BaseModel
    weights: WeightsRecord
    size_bytes: int
    dtype: str
    layers: int | None
    parameters: int | None
    model_type: str | None
    quantised: QuantisedCounts | None
    meaningful_accuracy: bool
    placement: PlacementRecord | None
    packing: PackingRecord | None
    corpora: list[CorpusRecord]
    kept_layers: list[int] | None


class VariantRecord(VariantDescription, MadeRecord):
    """variants/<variant>/manifest.json."""


VARIANT: RecordFormat[VariantRecord] = RecordFormat(VariantRecord, "quantise")
