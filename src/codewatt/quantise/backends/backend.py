"""The interface of backends: libraries that write GPTQ or AWQ checkpoints."""

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from codewatt.config.gptq_awq_libraries import ALTERNATIVE, BACKENDS, device_refusal, model_refusal
from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.models.tokenizers import load_tokenizer
from codewatt.quantise.precision_settings import PrecisionSettings


class LibraryCounts(TypedDict):
    """Number of layers that a library did not calibrate; see `QuantisedCounts`."""

    unscaled_modules: NotRequired[int]
    rounded_modules: NotRequired[int]


class QuantisationBackend(ABC):
    """A library that quantises.

    A new backend is a module codewatt/quantise/backends/NAME.py with an instance as BACKEND, and an
    entry in config/gptq_awq_libraries.py.
    """

    @abstractmethod
    def import_libraries(self) -> None:
        """Import what `quantise` needs."""

    def load_tokenizer(self, source: Path) -> Any:
        """Load the model's tokenizer with the transformers version of the library's environment."""
        return load_tokenizer(source)

    @abstractmethod
    def quantise(
        self,
        source: Path,
        target: Path,
        settings: PrecisionSettings,
        device: str,
        sequences: list[list[int]],
    ) -> LibraryCounts:
        """Write the quantised checkpoint: config, safetensors, tokenizer.

        The caller checks and counts what was written, tensor by tensor.

        Args:
            source: the model's directory.
            target: a directory that does not exist yet.
            settings: a study's precision without id and label: method, bits, group_size, ...
            device: 'cpu' or 'cuda'.
            sequences: token ids to calibrate on, from the model's tokenizer.

        Returns:
            Counts for the manifest that only the library knows.

        Raises:
            CodewattError: the library cannot quantise this model with these settings.
        """


def check_backend(name: str, source: Path, device: str) -> None:
    """Check that a backend quantises models of this type on this device.

    Args:
        name: of the backend.
        source: the model's directory.
        device: 'cpu' or 'cuda'.

    Raises:
        CodewattError: it does not.
    """
    model_type = str(read_json(source / "config.json").get("model_type"))
    if why := device_refusal(name, device) or model_refusal(name, model_type):
        raise CodewattError(f"{source}: {why}")


def not_installed_error(name: str) -> CodewattError:
    """The error for a backend whose library is not installed."""
    backend = BACKENDS[name]
    return CodewattError(
        f"backend {name}: {backend.library} is not installed; quantise this variant in the "
        f"library's own environment: envs/{backend.environment}.yaml with conda, or the one that "
        f"`make {backend.environment}` makes (docs/how-to/unmaintained-backends.md); "
        f"or set {ALTERNATIVE}"
    )


def open_backend(name: str) -> QuantisationBackend:
    """The backend of a name: BACKEND in the module of that name.

    Raises:
        CodewattError: there is no such module.
    """
    try:
        module = importlib.import_module(f"codewatt.quantise.backends.{name}")
    except ModuleNotFoundError as error:
        if error.name and not error.name.startswith("codewatt"):
            raise
        raise CodewattError(
            f"backend {name!r}: no such backend; allowed: {', '.join(BACKENDS)}"
        ) from None
    backend: QuantisationBackend = module.BACKEND
    return backend
