"""Little models of the studies' architectures, and jobs that are metered without CodeCarbon."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.llama_cpp import SharedConverter
from tests.support.models import save_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """tiny_model(architecture, layers=4): a save_pretrained directory, made once a session."""
    made: dict[tuple[str, int], Path] = {}

    def make(architecture: str, layers: int = 4) -> Path:
        key = (architecture, layers)
        if key not in made:
            made[key] = tmp_path_factory.mktemp(f"{architecture}-{layers}")
            save_tiny_model(architecture, made[key], layers)
        return made[key]

    return make


@pytest.fixture
def without_codecarbon(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samplers find no CodeCarbon, whose start and end take seconds; the other meters are read."""
    absent = tmp_path_factory.getbasetemp() / "no-codecarbon"
    absent.mkdir(exist_ok=True)
    (absent / "codecarbon.py").write_text("raise ImportError")
    paths = [str(absent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.fixture(scope="session")
def one_converter() -> Iterator[None]:
    """Conversions to GGUF use one process of llama.cpp's converter, whose start takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("codewatt.quantise.gguf.GgufConverter", SharedConverter)
        yield
