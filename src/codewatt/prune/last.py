"""Remove the last n decoder layers (de Reus et al. 2024, section 3)."""

from typing import Any

from codewatt.errors import CodewattError
from codewatt.prune.base import Pruner


class LastLayers(Pruner):
    """Keeps layers 0 ... L-n-1 of L; the final norm and the head stay."""

    def kept(self, layers: int, settings: dict[str, Any]) -> list[int]:
        """See `Pruner.kept`; settings["layers"] is n."""
        removed = settings["layers"]
        if not 0 < removed < layers:
            raise CodewattError(
                f"prune last {removed}: the model has {layers} layers; allowed: 1 to {layers - 1}"
            )
        return list(range(layers - removed))


PRUNER = LastLayers()
