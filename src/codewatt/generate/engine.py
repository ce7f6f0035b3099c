"""What an engine is: it completes batches of prompts and says when each token came."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from codewatt.errors import CodewattError
from codewatt.files import FileRecord
from codewatt.generate.generate_record import LoadedModelRecord
from codewatt.models.loading import Loaded, build_kernels, load_model
from codewatt.models.packed_kernels import kernel_counts
from codewatt.sizing.loaded_memory import memory_bytes, step_weight_bytes
from codewatt.sizing.parameter_counts import architecture_of
from codewatt.sizing.roofline import Demand

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
class Work:
    """What a model is loaded for; some engines size their buffers while they load.

    Attributes:
        directory, files: the variant's weights, and what its manifest says of each file.
        dtype: 'float32', 'bfloat16' or 'float16': of all that is not quantised.
        device: 'cpu' or 'cuda'.
        batches: the prompts of each batch.
        batch_size: prompts in a batch, at most.
        seed: the study's.
    """

    directory: str
    files: dict[str, FileRecord]
    dtype: str
    device: str
    batches: Sequence[list[str]]
    batch_size: int
    decoding: Decoding
    seed: int


@dataclass(frozen=True)
class Completion:
    """One completion; times are CLOCK_MONOTONIC seconds.

    Attributes:
        tokens: the new tokens' ids, `new_tokens` of them, the token that ended them among them.
        unsound_token: index of the first new token that was chosen from logits that are no answer
            (NaN, infinite, all the same); None if there is none.
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
    unsound_token: int | None = None


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
    """One way to load a variant and to run it."""

    #: Whether packed layers stay as the checkpoint has them, for kernels of the engine's own.
    readable: ClassVar[bool] = False

    def __init__(self, loaded: Loaded, synchronise: Callable[[], None]) -> None:
        self.loaded = loaded
        self.synchronise = synchronise

    @classmethod  # noqa: B027
    def check(cls) -> None:
        """See that what this engine runs on is installed, and import it; before any window.

        Raises:
            CodewattError: it is not; the message names the environment that has it.
        """

    @classmethod
    def build(cls, work: Work) -> None:
        """Build what loading would build at its first time on a machine; before any window."""
        build_kernels(work.directory, dtype=work.dtype, device=work.device, readable=cls.readable)

    @classmethod
    def load(cls, work: Work) -> Loaded:
        """Load the variant: here through transformers; in the window `load`.

        Raises:
            InfeasibleError: this engine cannot read this variant.
            CodewattError: see `load_model`.
        """
        return load_model(
            work.directory,
            dtype=work.dtype,
            device=work.device,
            files=work.files,
            readable=cls.readable,
        )

    def describe_model(self) -> LoadedModelRecord:
        """What was really loaded, asked of the model itself.

        Returns:
            class, model_type, dtype, device, layers, memory_bytes (of weights and buffers), kernels
            (linear layers by what computes them).
        """
        model = self.loaded.model
        return {
            "class": type(model).__name__,
            "model_type": model.config.model_type,
            "dtype": self.loaded.dtype,
            "device": self.loaded.device,
            "layers": model.config.num_hidden_layers,
            "memory_bytes": memory_bytes(model),
            "kernels": kernel_counts(model),
        }

    def demand(self) -> Demand:
        """What the loaded model asks of the machine; its cache is in the dtype of the rest.

        Raises:
            CodewattError: the size of such a model is not known.
        """
        import torch

        model = self.loaded.model
        architecture = architecture_of(model.config.to_dict())
        return Demand.of(
            architecture,
            step_weight_bytes(model, architecture),
            getattr(torch, self.loaded.dtype).itemsize,
        )

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

    def describe_attention(self) -> dict[str, Any]:
        """Which attention implementation of transformers is used, and which config.json asks for.

        They differ where the one that is asked for is not installed.
        """
        return {
            "attention": self.loaded.model.config._attn_implementation,
            "attention_asked": self.loaded.attention_asked,
        }


def engine_named(name: str) -> type[Engine]:
    """The engine of that name: what the module codewatt.generate.engines.<name> calls ENGINE.

    Raises:
        CodewattError: there is none.
    """
    try:
        module = importlib.import_module(f"codewatt.generate.engines.{name}")
    except ModuleNotFoundError as error:
        if error.name and not error.name.startswith("codewatt"):
            raise
        raise CodewattError(f"engine {name!r}: there is no such engine") from None
    engine: type[Engine] = module.ENGINE
    return engine


def open_engine(name: str, loaded: Loaded, synchronise: Callable[[], None]) -> Engine:
    """The engine of that name on a model that it loaded."""
    return engine_named(name)(loaded, synchronise)


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
