"""The interface of pruning methods that score a model's layers on a calibration corpus."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.decoder_layers import LayeredModel
from codewatt.prune.layer_scores_record import MethodScores
from codewatt.prune.prune_settings import PruneSettings
from codewatt.prune.pruner import Pruner, check_depth


class ScoredPruner(Pruner):
    """Scores a model's layers once, for all numbers of removed layers."""

    @abstractmethod
    def score(self, model: LayeredModel) -> MethodScores:
        """Score the decoder layers.

        Args:
            model: with the sequences of the calibration corpus.

        Returns:
            "removed": number of layers to remove (as text) -> indices of the removed layers (from
            0, in the order of removal); and the scores, under keys of the method.
        """

    def kept_layers(
        self, layers: int, settings: PruneSettings, scores: MethodScores | None = None
    ) -> list[int]:
        """See `Pruner.kept_layers`."""
        if scores is None:
            raise CodewattError(
                f"prune method {settings['method']}: layer scores are missing; run rule "
                "score_layers first"
            )
        check_depth(settings, layers, max_removed=len(scores["removed"]))
        removed = scores["removed"][str(settings["layers"])]
        return [layer for layer in range(layers) if layer not in removed]


def unit_vectors(states: Any) -> Any:
    """Hidden states (..., hidden) of any dtype as float32 unit vectors; zeros stay zeros."""
    import torch

    return torch.nn.functional.normalize(states.float(), dim=-1)


def require_finite(values: Sequence[float], what: str) -> list[float]:
    """The values as a list, if all are finite.

    Args:
        values: one per layer.
        what: name of the values, for the message.

    Raises:
        CodewattError: one is not finite.
    """
    for layer, value in enumerate(values):
        if not math.isfinite(value):
            raise CodewattError(
                f"{what} of layer {layer} is {value}; allowed: finite numbers; the hidden states "
                "overflowed"
            )
    return list(values)
