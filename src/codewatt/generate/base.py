"""What an engine is: it completes batches of prompts and says when each token came."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from codewatt.errors import CodewattError
from codewatt.models.loading import Loaded

StopReason = Literal["eos", "stop_string", "length"]


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen.

    Attributes:
        token_limit: new tokens per completion, at most.
        stop_strings: a completion ends before the first of them.
        samples: completions per prompt.
        temperature: None for greedy decoding.
        top_p: None for no nucleus.
    """

    token_limit: int
    stop_strings: tuple[str, ...]
    samples: int = 1
    temperature: float | None = None
    top_p: float | None = None


@dataclass(frozen=True)
class Completion:
    """One completion; times are CLOCK_MONOTONIC seconds.

    tokens: the new tokens' ids, `new_tokens` of them, an end-of-sequence token among them.
    """

    prompt_index: int
    sample: int
    text: str
    prompt_tokens: int
    new_tokens: int
    start_s: float
    first_token_s: float
    end_s: float
    stop_reason: StopReason
    tokens: list[int]


@dataclass(frozen=True)
class Batch:
    """The completions of one batch, and the edges of its two phases.

    prefill is [start_s, first_token_s], decode is [first_token_s, end_s]; the accelerator was
    synchronised at each of the three, or its own clock tells the one between.
    """

    completions: list[Completion]
    start_s: float
    first_token_s: float
    end_s: float


class InfeasibleError(CodewattError):
    """This engine cannot run this model here, and the reason; a record, not a failure."""


class Engine(ABC):
    """One way to run a loaded model."""

    def __init__(self, loaded: Loaded, synchronise: Callable[[], None]) -> None:
        self.loaded = loaded
        self.synchronise = synchronise

    def prepare(self, batches: Sequence[list[str]], decoding: Decoding) -> None:  # noqa: B027
        """Do beforehand what is done once for all batches of a cell; outside every window.

        Args:
            batches: the prompts of each batch.
        """

    @abstractmethod
    def complete(self, prompts: list[str], decoding: Decoding) -> Batch:
        """Complete prompts as one batch."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Settings of the engine that are not the study's, for the manifest."""


def open_engine(name: str, loaded: Loaded, synchronise: Callable[[], None]) -> Engine:
    """The engine of that name: the module codewatt.generate.engines.<name>."""
    try:
        module = importlib.import_module(f"codewatt.generate.engines.{name}")
    except ModuleNotFoundError as error:
        if error.name and not error.name.startswith("codewatt"):
            raise
        raise CodewattError(f"engine {name!r}: there is no such engine") from None
    engine: Engine = module.ENGINE(loaded, synchronise)
    return engine


def cut_at_stop(text: str, stop_strings: tuple[str, ...]) -> tuple[str, bool]:
    """The text before the first stop string, and whether there was one."""
    found = [at for stop in stop_strings if (at := text.find(stop)) >= 0]
    return (text[: min(found)], True) if found else (text, False)


def straddles(prompt: str, text: str, stop_strings: tuple[str, ...]) -> bool:
    """Whether a stop string begins in the prompt and ends in the text after it."""
    return any(
        stop in prompt[max(len(prompt) - len(stop) + 1, 0) :] + text[: len(stop) - 1]
        for stop in stop_strings
        if len(stop) > 1
    )
