"""Remove the n decoder layers before the last one.

The simple heuristic of Gromov et al. 2024, "The Unreasonable Ineffectiveness of the Deeper Layers"
(arXiv 2403.17887), section 4.4: of layers 1 ... L, drop L-n ... L-1. Without their healing.
"""

from typing import Any

from codewatt.prune.layer_scores_record import MethodScores
from codewatt.prune.pruner import Pruner, refuse_depth


class KeepLast(Pruner):
    """Keeps layers 0 ... L-n-2 and L-1 of L."""

    def kept(
        self, layers: int, settings: dict[str, Any], scores: MethodScores | None = None
    ) -> list[int]:
        """See `Pruner.kept`."""
        refuse_depth(settings, layers, most=layers - 1)
        return [*range(layers - 1 - settings["layers"]), layers - 1]


PRUNER = KeepLast()
