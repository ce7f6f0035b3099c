"""What a quantisation method is: it turns a model directory into a smaller one."""

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.texts.sequences import PreparedText


class Quantiser(ABC):
    """One method; its settings are a study's precision without id and label."""

    @abstractmethod
    def load_dtype(self, settings: dict[str, Any]) -> str:
        """The dtype of all that is not quantised, for loading the result."""

    @abstractmethod
    def import_libraries(self) -> None:
        """Import what `quantise` needs, so that its cost is that of quantising alone."""

    @abstractmethod
    def quantise(
        self,
        source: Path,
        target: Path,
        settings: dict[str, Any],
        device: str,
        calibration: PreparedText | None = None,
    ) -> dict[str, Any] | None:
        """Write the quantised model to `target`.

        Args:
            source: the model's directory.
            target: an absent directory.
            settings: the study's precision without id and label.
            device: 'cpu' or 'cuda'.
            calibration: the text that settings["calibration"] names, if there is one.

        Returns:
            What was done, for the manifest (counts of quantised modules and parameters), or None
            if `source` is used as it is and nothing was written.
        """


def open_quantiser(method: str) -> Quantiser:
    """The quantiser of a method: the module of that name in this package."""
    try:
        module = importlib.import_module(f"codewatt.quantise.{method}")
    except ModuleNotFoundError:
        raise CodewattError(f"precision method {method!r}: there is no such method") from None
    quantiser: Quantiser = module.QUANTISER
    return quantiser
