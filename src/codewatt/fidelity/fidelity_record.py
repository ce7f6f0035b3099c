"""The record of a variant's fidelity: what `measure_fidelity` wrote, and aggregate reads."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from codewatt.cells import VariantIds
from codewatt.corpora.corpus_record import CorpusRecord
from codewatt.energy.placement_record import PlacementRecord
from codewatt.provenance import MadeRecord
from codewatt.record_files import RecordFormat


class PerplexityRecord(TypedDict):
    """A model's perplexity, in total and by sequence.

    perplexity: exp(nats_per_token); None beyond the range of a float.
    sequence_nats, sequence_positions: negative log-likelihood and predicted tokens of each.
    """

    nats_per_token: float
    perplexity: float | None
    sequence_nats: list[float]
    sequence_positions: list[int]


#: "class" is no name in Python, so this part is declared as a call.
_LoadedModel = TypedDict(
    "_LoadedModel", {"class": str, "layers": int, "dtype": str, "logits_dtype": str | None}
)


class MeasuredModel(_LoadedModel, PerplexityRecord):
    """The model that answered, and its perplexity."""


class ComparisonRecord(TypedDict):
    """A variant's logits beside its baseline's (`fidelity_metrics.Comparison`).

    logits_cosine_quantiles: share of the positions, as text -> cosine.
    identical: whether all logits are exactly the baseline's.
    """

    logits_cosine_mean: float
    logits_cosine_min: float
    logits_cosine_quantiles: dict[str, float]
    kl_nats_per_token: float
    top1_agreement_share: float
    identical: bool


class FidelityMeasurement(TypedDict):
    """What was measured.

    sequences, positions: of the held-out corpus; positions are predicted tokens.
    baseline_model, comparison: None where the study has no baseline of this model; then `reason`
    says so.
    """

    status: Literal["ok"]
    sequences: int
    positions: int
    model: MeasuredModel
    baseline_model: MeasuredModel | None
    comparison: ComparisonRecord | None
    reason: str | None


class FidelityInfeasible(TypedDict):
    """Nothing was measured: a model does not fit the device, or its logits are unsound."""

    status: Literal["infeasible"]
    reason: str


class CommonFidelityFields(TypedDict):
    """The fields that both kinds have.

    corpus: the study's held-out corpus, with the number and the digest of its documents.
    baseline: id of the baseline variant; None if the study has none of this model.
    """

    schema: Literal[2]
    variant: VariantIds
    corpus: CorpusRecord
    baseline: str | None
    device: str
    threads: int
    placement: PlacementRecord


class MeasuredFidelity(CommonFidelityFields, FidelityMeasurement):
    """A fidelity that was measured, before provenance is added."""


class InfeasibleFidelity(CommonFidelityFields, FidelityInfeasible):
    """A fidelity that could not be measured, before provenance is added."""


class MeasuredFidelityRecord(MeasuredFidelity, MadeRecord):
    """variants/<variant>/fidelity.json of a variant that answered."""


class InfeasibleFidelityRecord(InfeasibleFidelity, MadeRecord):
    """variants/<variant>/fidelity.json of a variant that did not fit or did not answer."""


Fidelity = MeasuredFidelity | InfeasibleFidelity
FidelityRecord = MeasuredFidelityRecord | InfeasibleFidelityRecord
FIDELITY: RecordFormat[FidelityRecord] = RecordFormat(
    Annotated[FidelityRecord, Field(discriminator="status")], "measure_fidelity"
)
