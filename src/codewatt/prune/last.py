"""Method `last`: removes the last n decoder layers (de Reus et al. 2024, section 3)."""

from codewatt.prune.layer_scores_record import MethodScores
from codewatt.prune.prune_settings import PruneSettings
from codewatt.prune.pruner import Pruner, check_depth


class LastLayers(Pruner):
    """Of layers 0 to L-1, keeps 0 to L-n-1; the final norm and the head stay."""

    def kept_layers(
        self, layers: int, settings: PruneSettings, scores: MethodScores | None = None
    ) -> list[int]:
        """See `Pruner.kept_layers`."""
        check_depth(settings, layers, max_removed=layers - 1)
        return list(range(layers - settings["layers"]))


PRUNER = LastLayers()
