"""Methods that score a model's layers on a corpus before they choose."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.decoder_layers import LayeredModel
from codewatt.prune.layer_scores_record import MethodScores
from codewatt.prune.pruner import Pruner, refuse_depth


class ScoredPruner(Pruner):
    """A method that scores a model's layers on a corpus: once, for all depths."""

    @abstractmethod
    def score(self, model: LayeredModel) -> MethodScores:
        """Score the decoder layers.

        Returns:
            "removed": for each number of layers that can be removed, as text, which ones
            (indices from 0, in the order in which the method chose them); and the scores, under
            names of the method's own.
        """

    def kept(
        self, layers: int, settings: dict[str, Any], scores: MethodScores | None = None
    ) -> list[int]:
        """See `Pruner.kept`."""
        if scores is None:
            raise CodewattError(f"prune {settings['method']}: its layers were not scored")
        refuse_depth(settings, layers, most=len(scores["removed"]))
        removed = scores["removed"][str(settings["layers"])]
        return [layer for layer in range(layers) if layer not in removed]


def directions(states: Any) -> Any:
    """Hidden states [..., hidden] of any dtype as unit vectors in float32; zeros stay zeros."""
    import torch

    return torch.nn.functional.normalize(states.float(), dim=-1)


def finite(values: Sequence[float], what: str) -> list[float]:
    """The values, if they can be put in order.

    Raises:
        CodewattError: one is not finite.
    """
    for layer, value in enumerate(values):
        if not math.isfinite(value):
            raise CodewattError(f"{what} of layer {layer} is {value}: its states overflowed")
    return list(values)
