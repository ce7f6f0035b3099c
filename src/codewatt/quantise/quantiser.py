"""What a quantisation method is: it turns a model directory into a smaller one."""

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.errors import CodewattError
from codewatt.models.model_record import QuantisedCounts
from codewatt.models.packed_checkpoints import quantisation_of


class Quantiser(ABC):
    """One method; its settings are a study's precision without id and label."""

    @abstractmethod
    def load_dtype(self, settings: dict[str, Any]) -> str:
        """The dtype of all that is not quantised, for loading the result."""

    def held(self, source: Path, settings: dict[str, Any]) -> QuantisedCounts | None:
        """The counts of a checkpoint that is already what the settings ask for; None if it is not.

        Raises:
            CodewattError: it is quantised already, by another method or with other settings.
        """
        found = quantisation_of(source)
        if found is not None:
            raise CodewattError(
                f"{source}: quantised already, by {found.get('quant_method')}; precision method "
                f"{settings['method']!r} takes a model that is not; allowed: gptq or awq, with the "
                "settings of the checkpoint, or another model"
            )
        return None

    @abstractmethod
    def import_libraries(self, settings: dict[str, Any]) -> None:
        """Import what `quantise` needs, so that its cost is that of quantising alone."""

    @abstractmethod
    def quantise(
        self,
        source: Path,
        target: Path,
        settings: dict[str, Any],
        device: str,
        calibration: PreparedCorpus | None = None,
    ) -> QuantisedCounts | None:
        """Write the quantised model to `target`.

        Args:
            source: the model's directory.
            target: an absent directory.
            settings: the study's precision without id and label.
            device: 'cpu' or 'cuda'.
            calibration: the corpus that settings["calibration"] names, if there is one.

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
