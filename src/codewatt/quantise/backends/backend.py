"""What a backend is: a library that writes checkpoints in the packed format of GPTQ or AWQ."""

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from codewatt.config.gptq_awq_libraries import ALTERNATIVE, BACKENDS, device_refusal, model_refusal
from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.models.tokenizers import load_tokenizer


class LibraryNotes(TypedDict):
    """Layers that a library left out of calibration; see `QuantisedCounts` for who tells which."""

    unscaled_modules: NotRequired[int]
    rounded_modules: NotRequired[int]


class Backend(ABC):
    """One library; its settings are a study's precision without id and label."""

    @abstractmethod
    def import_libraries(self) -> None:
        """Import what `quantise` needs."""

    def load_tokenizer(self, source: Path) -> Any:
        """The model's tokenizer, in the environment that the library has."""
        return load_tokenizer(source)

    @abstractmethod
    def quantise(
        self,
        source: Path,
        target: Path,
        settings: dict[str, Any],
        device: str,
        sequences: list[list[int]],
    ) -> LibraryNotes:
        """Write the quantised checkpoint: config, safetensors, tokenizer.

        What was written is counted and checked by the caller, tensor by tensor.

        Args:
            source: the model's directory.
            target: an absent directory.
            settings: the study's precision without id and label: method, bits, group_size, ...
            device: 'cpu' or 'cuda'.
            sequences: token ids to calibrate on, by the model's own tokenizer.

        Returns:
            What only the library knows of how it went, for the manifest.

        Raises:
            CodewattError: the library cannot quantise this model with these settings.
        """


def check_backend(name: str, source: Path, device: str) -> None:
    """See that a backend quantises models of this type on this device.

    Raises:
        CodewattError: it does not.
    """
    model_type = str(read_json(source / "config.json").get("model_type"))
    if why := device_refusal(name, device) or model_refusal(name, model_type):
        raise CodewattError(f"{source}: {why}")


def not_installed(name: str) -> CodewattError:
    """What to say of a backend whose library is not here."""
    backend = BACKENDS[name]
    return CodewattError(
        f"backend {name}: {backend.library} is not installed here; quantise this variant in its "
        f"own environment: envs/{backend.environment}.yaml with conda, or the one that "
        f"`make {backend.environment}` makes (docs/compression.md); or set {ALTERNATIVE}"
    )


def open_backend(name: str) -> Backend:
    """The backend of that name: the module of that name in this package."""
    try:
        module = importlib.import_module(f"codewatt.quantise.backends.{name}")
    except ModuleNotFoundError as error:
        if error.name and not error.name.startswith("codewatt"):
            raise
        raise CodewattError(f"backend {name!r}: there is no such backend") from None
    backend: Backend = module.BACKEND
    return backend
