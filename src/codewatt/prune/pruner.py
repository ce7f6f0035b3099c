"""What a pruning method is: it says which decoder layers stay."""

import importlib
from abc import ABC, abstractmethod
from typing import Any

from codewatt.errors import CodewattError
from codewatt.prune.layer_scores_record import MethodScores


class Pruner(ABC):
    """A method by which decoder layers are chosen for removal; settings["layers"] is how many."""

    @abstractmethod
    def kept(
        self, layers: int, settings: dict[str, Any], scores: MethodScores | None = None
    ) -> list[int]:
        """Indices (from 0, ascending) of the layers that stay, out of `layers`.

        Args:
            settings: a study's prune without id and label.
            scores: layer scores, for a method that reads them (`scored_pruner`).

        Raises:
            CodewattError: there are not so many layers to remove.
        """


def refuse_depth(settings: dict[str, Any], layers: int, most: int) -> None:
    """Refuse to remove more layers than a method can.

    Raises:
        CodewattError: settings["layers"] is not from 1 to `most`.
    """
    wanted = settings["layers"]
    if not 0 < wanted <= most:
        allowed = f"1 to {most}" if most > 0 else "none"
        raise CodewattError(
            f"prune {settings['method']} {wanted}: the model has {layers} layers; "
            f"allowed: {allowed}"
        )


def open_pruner(method: str) -> Pruner:
    """The pruner of a method: the module of that name in this package."""
    try:
        module = importlib.import_module(f"codewatt.prune.{method}")
    except ModuleNotFoundError:
        raise CodewattError(f"prune method {method!r}: there is no such method") from None
    pruner: Pruner = module.PRUNER
    return pruner
