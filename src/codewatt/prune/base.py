"""What a pruning method is: it says which decoder layers stay."""

import importlib
from abc import ABC, abstractmethod
from typing import Any

from codewatt.errors import CodewattError


class Pruner(ABC):
    """A method by which decoder layers are chosen for removal."""

    @abstractmethod
    def kept(self, layers: int, settings: dict[str, Any]) -> list[int]:
        """Indices (from 0, ascending) of the layers that stay, out of `layers`.

        Raises:
            CodewattError: no layer would stay.
        """


def open_pruner(method: str) -> Pruner:
    """The pruner of a method: the module of that name in this package."""
    try:
        module = importlib.import_module(f"codewatt.prune.{method}")
    except ModuleNotFoundError:
        raise CodewattError(f"prune method {method!r}: there is no such method") from None
    pruner: Pruner = module.PRUNER
    return pruner
