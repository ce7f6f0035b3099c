"""Method `keep_last`: removes the n decoder layers before the last one.

The simple heuristic of Gromov et al. 2024, "The Unreasonable Ineffectiveness of the Deeper Layers"
(arXiv 2403.17887), section 4.4: of layers 1 to L, remove L-n to L-1. Without their finetuning
("healing").
"""

from codewatt.prune.layer_scores_record import MethodScores
from codewatt.prune.prune_settings import PruneSettings
from codewatt.prune.pruner import Pruner, check_depth


class KeepLast(Pruner):
    """Of layers 0 to L-1, keeps 0 to L-n-2, and L-1."""

    def kept_layers(
        self, layers: int, settings: PruneSettings, scores: MethodScores | None = None
    ) -> list[int]:
        """See `Pruner.kept_layers`."""
        check_depth(settings, layers, max_removed=layers - 1)
        return [*range(layers - 1 - settings["layers"]), layers - 1]


PRUNER = KeepLast()
