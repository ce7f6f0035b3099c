"""The record of layer scores: what `score_layers` wrote; pruning and a figure read it."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from codewatt.corpora.corpus_record import CorpusRecord
from codewatt.energy.job_energy_record import JobEnergyRecord
from codewatt.energy.placement_record import PlacementRecord
from codewatt.provenance import MadeRecord
from codewatt.record_files import RecordFormat


class SlebStep(TypedDict):
    """One removal by SLEB.

    perplexity: without each candidate layer (layer index as text). removed: the layer chosen.
    """

    perplexity: dict[str, float]
    removed: int


class MethodScores(TypedDict):
    """What a scoring method found.

    removed: number of layers to remove, as text -> their indices (from 0), in the order in which
    the method chose them.
    The other fields belong to one method each and are absent for the others:
    block_influence: of each layer. distance: angular distance, [first layer][block size - 1].
    perplexity, steps: SLEB's, of the whole model and of each removal.
    """

    removed: dict[str, list[int]]
    block_influence: NotRequired[list[float]]
    distance: NotRequired[list[list[float]]]
    perplexity: NotRequired[float]
    steps: NotRequired[list[SlebStep]]


class LayerScores(MethodScores, JobEnergyRecord):
    """Layer scores before provenance is added.

    model: the study's id. layers: of the model. corpus: the study's calibration corpus, with the
    number and the digest of its documents.
    sequences, tokens, judged_tokens: what was run, and on how many tokens likelihood was taken.
    """

    schema: Literal[2]
    model: str
    method: str
    layers: int
    corpus: CorpusRecord
    sequences: int
    tokens: int
    judged_tokens: int
    dtype: str
    placement: PlacementRecord


class LayerScoresRecord(LayerScores, MadeRecord):
    """models/<model>/layers.<method>.<corpus>.json."""


LAYER_SCORES: RecordFormat[LayerScoresRecord] = RecordFormat(LayerScoresRecord, "score_layers")
