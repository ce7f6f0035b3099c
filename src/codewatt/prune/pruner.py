"""The interface of pruning methods, which choose the decoder layers to remove."""

import importlib
from abc import ABC, abstractmethod

from codewatt.errors import CodewattError
from codewatt.prune.layer_scores_record import MethodScores
from codewatt.prune.prune_settings import PruneSettings


class Pruner(ABC):
    """Chooses the decoder layers that stay; settings["layers"] is how many are removed.

    A new method is a module codewatt/prune/METHOD.py with an instance as PRUNER.
    """

    @abstractmethod
    def kept_layers(
        self, layers: int, settings: PruneSettings, scores: MethodScores | None = None
    ) -> list[int]:
        """Indices (from 0, ascending) of the layers that stay.

        Args:
            layers: number of decoder layers of the model.
            settings: a study's prune without id and label.
            scores: what `ScoredPruner.score` returned; None for methods without scores.

        Raises:
            CodewattError: settings["layers"] is more than the method can remove.
        """


def check_depth(settings: PruneSettings, layers: int, max_removed: int) -> None:
    """Check how many layers are to be removed.

    Args:
        settings: a study's prune without id and label.
        layers: number of decoder layers of the model, for the message.
        max_removed: maximum of layers that the method can remove.

    Raises:
        CodewattError: settings["layers"] is not from 1 to `max_removed`.
    """
    removed = settings["layers"]
    if not 0 < removed <= max_removed:
        allowed = f"layers from 1 to {max_removed}" if max_removed > 0 else "none"
        raise CodewattError(
            f"prune method {settings['method']}: cannot remove {removed} layers, the model has "
            f"{layers}; allowed: {allowed}"
        )


def open_pruner(method: str) -> Pruner:
    """The pruner of a method: PRUNER in the module of that name.

    Raises:
        CodewattError: there is no such module.
    """
    name = f"codewatt.prune.{method}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise CodewattError(
            f"prune method {method!r}: no such method; allowed: a module of codewatt/prune"
        ) from None
    pruner: Pruner = module.PRUNER
    return pruner
