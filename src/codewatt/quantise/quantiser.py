"""The interface of quantisation methods, and how a method's module is found by its name."""

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.errors import CodewattError
from codewatt.models.model_files import list_model_files
from codewatt.models.model_record import QuantisedCounts, WeightsSummary
from codewatt.models.packed_format import read_quantisation_config
from codewatt.models.weight_headers import describe_weights
from codewatt.quantise.precision_settings import PrecisionSettings

#: Methods that share a module; every other method has a module of its own name.
_SHARED_MODULES = {"gptq": "gptq_awq", "awq": "gptq_awq"}


class Quantiser(ABC):
    """Turns a model directory into a quantised one.

    A new method is a module codewatt/quantise/METHOD.py with an instance as QUANTISER.
    """

    #: Whether `summarise` counts the weights before packing.
    tensors_tell_parameters: ClassVar[bool] = False

    @abstractmethod
    def load_dtype(self, settings: PrecisionSettings) -> str:
        """The dtype of all that is not quantised, for loading the result.

        Args:
            settings: a study's precision without id and label.
        """

    def existing_counts(self, source: Path, settings: PrecisionSettings) -> QuantisedCounts | None:
        """Counts of a checkpoint that is already quantised with these settings; else None.

        Args:
            source: the model's directory.
            settings: a study's precision without id and label.

        Raises:
            CodewattError: it is quantised already, by another method or with other settings.
        """
        found = read_quantisation_config(source)
        if found is not None:
            raise CodewattError(
                f"{source}: already quantised by {found.get('quant_method')}, but precision method "
                f"{settings['method']!r} needs an unquantised model; allowed: method gptq or awq "
                "with the settings of this checkpoint, or another model"
            )
        return None

    def list_files(self, directory: Path) -> list[str]:
        """Names of the files of a variant that this method made, relative to its directory."""
        return list_model_files(directory)

    def summarise(self, directory: Path) -> WeightsSummary:
        """What the headers of a variant's files say."""
        return describe_weights(directory)

    @abstractmethod
    def import_libraries(self, settings: PrecisionSettings) -> None:
        """Import what `quantise` needs, so that the cost of imports is not measured."""

    @abstractmethod
    def quantise(
        self,
        source: Path,
        target: Path,
        settings: PrecisionSettings,
        device: str,
        calibration: PreparedCorpus | None = None,
    ) -> QuantisedCounts | None:
        """Write the quantised model to `target`.

        Args:
            source: the model's directory.
            target: a directory that does not exist yet.
            settings: a study's precision without id and label.
            device: 'cpu' or 'cuda'.
            calibration: the corpus that settings["calibration"] names, if there is one.

        Returns:
            Counts for the manifest (quantised modules, weights, bytes); None if `source` is used
            as it is and nothing was written.
        """


def quantiser_module(method: str) -> str:
    """The dotted name of a method's module."""
    return f"codewatt.quantise.{_SHARED_MODULES.get(method, method)}"


def open_quantiser(method: str) -> Quantiser:
    """The quantiser of a method: QUANTISER in the method's module.

    Raises:
        CodewattError: there is no such module.
    """
    name = quantiser_module(method)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise CodewattError(
            f"precision method {method!r}: no such method; allowed: a module of codewatt/quantise"
        ) from None
    quantiser: Quantiser = module.QUANTISER
    return quantiser
