"""The interface of engines: load a variant, complete batches of prompts, time their tokens."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from codewatt.errors import CodewattError
from codewatt.files import FileRecord
from codewatt.generate.generate_record import AttentionRecord, EngineRecord, LoadedModelRecord
from codewatt.generate.sampling import DEFAULT_SEEDS, SampleSeeds, TokenSampler
from codewatt.models.loading import Loaded, build_kernels, load_model
from codewatt.models.packed_kernels import count_linear_kernels
from codewatt.sizing.loaded_memory import memory_bytes, step_weight_bytes
from codewatt.sizing.parameter_counts import architecture_of
from codewatt.sizing.roofline import Demand

StopReason = Literal["eos", "stop_string", "length"]


@dataclass(frozen=True)
class DecodingParams:
    """How prompts become tokens, how new tokens are chosen, and where completions end.

    Attributes:
        token_limit: maximum of new tokens per completion.
        stop_strings: a completion ends before the first of them.
        add_special_tokens: whether the tokenizer adds its special tokens, such as BOS, to a prompt;
            False for prompts that hold them.
        samples: completions per prompt.
        temperature: None for greedy decoding.
        top_p: probability mass of nucleus sampling; None for all tokens.
    """

    token_limit: int
    stop_strings: tuple[str, ...]
    add_special_tokens: bool = True
    samples: int = 1
    temperature: float | None = None
    top_p: float | None = None

    @property
    def sampler(self) -> TokenSampler | None:
        """What draws tokens; None for greedy decoding."""
        if self.temperature is None:
            return None
        return TokenSampler(self.temperature, self.top_p)


@dataclass(frozen=True)
class LoadRequest:
    """Which variant to load, and for which batches: some engines size their buffers on loading.

    Attributes:
        directory: of the variant's weights.
        files: name -> size and digest of each file, from the variant's manifest.
        dtype: 'float32', 'bfloat16' or 'float16': of all that is not quantised.
        device: 'cpu' or 'cuda'.
        batches: the prompts of each batch.
        batch_size: maximum of prompts in a batch.
        decoding: how the batches will be decoded.
        seed: the study's seed.
    """

    directory: str
    files: dict[str, FileRecord]
    dtype: str
    device: str
    batches: Sequence[list[str]]
    batch_size: int
    decoding: DecodingParams
    seed: int


@dataclass(frozen=True)
class Completion:
    """One completion.

    Attributes:
        prompt_index: of its prompt in the batch.
        sample: number of the sample of this prompt, from 0.
        text: the completion, without what stopped it.
        prompt_tokens, new_tokens: counts.
        start_s, first_token_s, end_s: CLOCK_MONOTONIC seconds.
        stop_reason: why it ended.
        tokens: ids of the new tokens, including the token that ended them.
        invalid_logits_token: index of the first new token that was chosen from invalid logits (see
            `codewatt.models.loading.invalid_logits`); None if there is none.
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
    invalid_logits_token: int | None = None


@dataclass(frozen=True)
class BatchResult:
    """The completions of one batch, and the times of its two phases (CLOCK_MONOTONIC seconds).

    Prefill is [start_s, first_token_s], decode is [first_token_s, end_s]. The GPU was synchronised
    at each of the three times, or first_token_s is from the GPU's own clock.
    """

    completions: list[Completion]
    start_s: float
    first_token_s: float
    end_s: float


class InfeasibleError(CodewattError):
    """This engine cannot run this model here; the cell is recorded with the reason, not failed."""


class Engine(ABC):
    """Loads a variant and completes prompts with it.

    A new engine is a module codewatt/generate/engines/NAME.py with a subclass as ENGINE.

    Args:
        loaded: the model that `load` returned.
        synchronise: waits for the device.
    """

    #: Whether GPTQ and AWQ layers keep the checkpoint's tensors, for the engine's own kernels.
    keeps_packed_layout: ClassVar[bool] = False

    def __init__(self, loaded: Loaded, synchronise: Callable[[], None]) -> None:
        self.loaded = loaded
        self.synchronise = synchronise

    @classmethod  # noqa: B027
    def check_installed(cls) -> None:
        """Import the libraries of this engine; called before any measured window.

        Raises:
            CodewattError: one is not installed; the message names the environment that has it.
        """

    @classmethod
    def build_kernels(cls, request: LoadRequest) -> None:
        """Compile the kernels that the first `load` on a machine would; before any window."""
        build_kernels(
            request.directory,
            dtype=request.dtype,
            device=request.device,
            keep_packed_layout=cls.keeps_packed_layout,
        )

    @classmethod
    def load(cls, request: LoadRequest) -> Loaded:
        """Load the variant, by default through transformers; called in the window `load`.

        Raises:
            InfeasibleError: this engine cannot read this variant.
            CodewattError: see `load_model`.
        """
        return load_model(
            request.directory,
            dtype=request.dtype,
            device=request.device,
            files=request.files,
            keep_packed_layout=cls.keeps_packed_layout,
        )

    def describe_model(self) -> LoadedModelRecord:
        """Describe the loaded model, from the model itself and not from its manifest.

        Returns:
            class, model_type, dtype, device, layers, memory_bytes (weights and buffers), kernels
            (class that computes linear layers -> number of layers).
        """
        model = self.loaded.model
        return {
            "class": type(model).__name__,
            "model_type": model.config.model_type,
            "dtype": self.loaded.dtype,
            "device": self.loaded.device,
            "layers": model.config.num_hidden_layers,
            "memory_bytes": memory_bytes(model),
            "kernels": count_linear_kernels(model),
        }

    def demand(self) -> Demand:
        """FLOPs and bytes of the loaded model, for the roofline; the KV cache is in its dtype.

        Raises:
            CodewattError: the parameter counts of this architecture are not known.
        """
        import torch

        model = self.loaded.model
        architecture = architecture_of(model.config.to_dict())
        return Demand.of(
            architecture,
            step_weight_bytes(model, architecture),
            getattr(torch, self.loaded.dtype).itemsize,
        )

    def prepare(self, batches: Sequence[list[str]], decoding: DecodingParams) -> None:  # noqa: B027
        """Do what is done once for all batches of a cell, such as graph capture; in `warmup`.

        Args:
            batches: the prompts of each batch.
            decoding: of all batches.
        """

    @abstractmethod
    def complete(
        self, prompts: list[str], decoding: DecodingParams, seeds: SampleSeeds = DEFAULT_SEEDS
    ) -> BatchResult:
        """Complete prompts as one batch.

        Args:
            prompts: texts.
            decoding: how tokens are chosen.
            seeds: the random numbers of sampled decoding; greedy decoding ignores them.

        Returns:
            `decoding.samples` completions of each prompt, in the order of the prompts.
        """

    @abstractmethod
    def describe(self) -> EngineRecord:
        """Settings of the engine that the study does not set, for the manifest."""

    def describe_attention(self) -> AttentionRecord:
        """The attention implementation of transformers in use, and the one config.json asks for.

        They differ if the requested one is not installed.
        """
        return {
            "attention": self.loaded.model.config._attn_implementation,
            "attention_requested": self.loaded.attention_requested,
        }


def engine_class(name: str) -> type[Engine]:
    """The class of an engine: ENGINE in the module codewatt/generate/engines/NAME.py.

    Raises:
        CodewattError: there is no such module.
    """
    try:
        module = importlib.import_module(f"codewatt.generate.engines.{name}")
    except ModuleNotFoundError as error:
        if error.name and not error.name.startswith("codewatt"):
            raise
        raise CodewattError(
            f"engine {name!r}: no such engine; allowed: a module of codewatt/generate/engines"
        ) from None
    engine: type[Engine] = module.ENGINE
    return engine


def open_engine(name: str, loaded: Loaded, synchronise: Callable[[], None]) -> Engine:
    """An engine of that name on a model that its class has loaded."""
    return engine_class(name)(loaded, synchronise)


def truncate_at_stop_string(text: str, stop_strings: tuple[str, ...]) -> tuple[str, bool]:
    """The text before the first stop string, and whether there was one."""
    positions = [at for stop in stop_strings if (at := text.find(stop)) >= 0]
    return (text[: min(positions)], True) if positions else (text, False)


def stop_string_spans_prompt(prompt: str, text: str, stop_strings: tuple[str, ...]) -> bool:
    """Whether a stop string begins in the prompt and ends in the text after it."""
    return any(
        stop in prompt[max(len(prompt) - len(stop) + 1, 0) :] + text[: len(stop) - 1]
        for stop in stop_strings
        if len(stop) > 1
    )
