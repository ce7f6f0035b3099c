"""The settings of a prune, as its pruner and the record of a variant have them."""

from typing import NotRequired

from typing_extensions import TypedDict


class PruneSettings(TypedDict):
    """A study's prune of one depth, without id and label (config.compression_settings).

    layers: how many are removed; absent for method "none".
    calibration: id of the corpus of the layer scores; absent for methods that need no scores.
    """

    method: str
    layers: NotRequired[int]
    calibration: NotRequired[str]
