"""What a backend is: a library that writes checkpoints in the packed format of GPTQ or AWQ."""

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError


class Backend(ABC):
    """One library; its settings are a study's precision without id and label."""

    @abstractmethod
    def import_libraries(self) -> None:
        """Import what `quantise` needs."""

    @abstractmethod
    def quantise(
        self,
        source: Path,
        target: Path,
        settings: dict[str, Any],
        device: str,
        sequences: list[list[int]],
    ) -> dict[str, Any]:
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
