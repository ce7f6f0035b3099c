"""Remove the last n decoder layers (de Reus et al. 2024, section 3)."""

from typing import Any

from codewatt.prune.layer_scores_record import MethodScores
from codewatt.prune.pruner import Pruner, refuse_depth


class LastLayers(Pruner):
    """Keeps layers 0 ... L-n-1 of L; the final norm and the head stay."""

    def kept(
        self, layers: int, settings: dict[str, Any], scores: MethodScores | None = None
    ) -> list[int]:
        """See `Pruner.kept`."""
        refuse_depth(settings, layers, most=layers - 1)
        return list(range(layers - settings["layers"]))


PRUNER = LastLayers()
