"""Engine `llama_cpp`: llama.cpp on the CPU, for variants of precision method gguf.

llama.cpp computes the logits. Prompts become token ids by the model's tokenizer, tokens are chosen
and completions end as in the other engines. A sequence that has ended leaves the batch, so later
steps compute fewer sequences.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import StopStringCriteria

from codewatt.errors import CodewattError
from codewatt.files import check_files
from codewatt.generate.completion_assembly import GeneratedBatch, build_completions
from codewatt.generate.engine import (
    BatchResult,
    DecodingParams,
    Engine,
    InfeasibleError,
    LoadRequest,
)
from codewatt.generate.generate_record import LlamaCppEngineRecord, LoadedModelRecord
from codewatt.generate.prompt_batches import encode_prompts
from codewatt.generate.sampling import DEFAULT_SEEDS, SampleSeeds
from codewatt.models.generation_config import read_generation_defaults
from codewatt.models.gguf_variants import (
    GGUF_FILE,
    cache_dtype,
    loaded_tensor_bytes,
    step_tensor_bytes,
)
from codewatt.models.llama_cpp_library import import_llama_cpp, llama_cpp_version, system_info
from codewatt.models.llama_cpp_model import LlamaCppModel
from codewatt.models.loading import Loaded, check_logits, invalid_logits
from codewatt.models.model_config import read_configuration
from codewatt.models.tokenizers import load_tokenizer
from codewatt.sizing.parameter_counts import architecture_of
from codewatt.sizing.roofline import Demand

_TEST_TOKENS = 8
_CACHE_BYTES = {"f16": 2, "f32": 4}


class LlamaCppEngine(Engine):
    """llama.cpp with a KV cache for each sequence; one llama_decode for each decode step."""

    def __init__(self, loaded: Loaded, synchronise: Callable[[], None]) -> None:
        super().__init__(loaded, synchronise)
        self._stop_criteria: dict[tuple[str, ...], StopStringCriteria] = {}
        self._sequences = 0

    @classmethod
    def check_installed(cls) -> None:
        """See `Engine.check_installed`."""
        import_llama_cpp()

    @classmethod
    def build_kernels(cls, request: LoadRequest) -> None:
        """See `Engine.build_kernels`: llama.cpp's kernels are compiled on its installation."""

    @classmethod
    def load(cls, request: LoadRequest) -> Loaded:
        """See `Engine.load`."""
        if request.device != "cpu":
            raise InfeasibleError(
                "engine llama_cpp: llama.cpp is built for the CPU here, the study's device is "
                f"{request.device}; set device: cpu"
            )
        file = Path(request.directory) / GGUF_FILE
        if GGUF_FILE not in request.files:
            raise CodewattError(
                f"{request.directory}: no {GGUF_FILE}; engine llama_cpp runs variants of precision "
                "method gguf only"
            )
        check_files(request.directory, request.files)
        tokenizer = load_tokenizer(request.directory)
        generation = read_generation_defaults(request.directory, tokenizer)
        model = LlamaCppModel(file, torch.get_num_threads())
        model.allocate(1, _TEST_TOKENS, cache_dtype(model.header))
        ids = [index % model.vocabulary for index in range(1, _TEST_TOKENS + 1)]
        check_logits(torch.from_numpy(model.all_logits(ids)), str(file))
        model.free_cache()
        return Loaded(model, tokenizer, "cpu", request.dtype, generation)

    def describe_model(self) -> LoadedModelRecord:
        """See `Engine.describe_model`. kernels: type of packing -> number of matrices."""
        model: LlamaCppModel = self.loaded.model
        return {
            "class": f"llama.cpp {model.header.architecture}",
            "model_type": self._configuration()["model_type"],
            "dtype": self.loaded.dtype,
            "device": self.loaded.device,
            "layers": model.layers,
            "memory_bytes": loaded_tensor_bytes(model.header),
            "kernels": {f"llama.cpp {name}": n for name, n in model.header.packings.items()},
        }

    def demand(self) -> Demand:
        """See `Engine.demand`."""
        header = self.loaded.model.header
        architecture = architecture_of(self._configuration())
        return Demand.of(architecture, step_tensor_bytes(header), _CACHE_BYTES[cache_dtype(header)])

    def describe(self) -> LlamaCppEngineRecord:
        """See `Engine.describe`."""
        model: LlamaCppModel = self.loaded.model
        return {
            "name": "llama_cpp",
            "version": llama_cpp_version(),
            "system_info": system_info(),
            "threads": model.threads,
            "file_type": model.header.file_type,
            "kv_cache": cache_dtype(model.header),
            "sequences": self._sequences,
            "cells_per_sequence": model.cells,
        }

    def prepare(self, batches: Sequence[list[str]], decoding: DecodingParams) -> None:
        """Allocate the KV cache for the largest batch and the longest prompt."""
        longest = max(len(row) for prompts in batches for row in self._encode(prompts, decoding))
        self._check_window(longest + decoding.token_limit)
        rows = max(map(len, batches)) * decoding.samples
        self._allocate(rows, longest + decoding.token_limit)

    def complete(
        self, prompts: list[str], decoding: DecodingParams, seeds: SampleSeeds = DEFAULT_SEEDS
    ) -> BatchResult:
        """See `Engine.complete`."""
        model: LlamaCppModel = self.loaded.model
        choose = _TokenChooser(decoding, seeds, len(prompts))
        start_s = time.monotonic()
        encoded = self._encode(prompts, decoding)
        rows = [ids for ids in encoded for _ in range(decoding.samples)]
        self._allocate(len(rows), max(map(len, rows)) + decoding.token_limit)
        model.clear()
        stops = _StopRules(
            self.loaded.generation.stop_token_ids, self._stop_criterion(decoding.stop_strings)
        )
        active = list(range(len(rows)))
        histories = [list(row) for row in rows]
        invalid: list[int | None] = [None] * len(rows)
        logits = model.prefill(rows)
        times_s: list[float] = []
        for number in range(decoding.token_limit):
            tokens, bad = choose(logits, active, number)
            times_s.append(time.monotonic())
            for row, token, unsound in zip(active, tokens, bad, strict=True):
                histories[row].append(token)
                if unsound and invalid[row] is None:
                    invalid[row] = number
            ended = stops([histories[row] for row in active])
            active = [row for row, end in zip(active, ended, strict=True) if not end]
            if not active or number + 1 == decoding.token_limit:
                break
            logits = model.step(
                [histories[row][-1] for row in active],
                [len(histories[row]) - 1 for row in active],
                active,
            )
        end_s = time.monotonic()
        generated = GeneratedBatch(
            [history[len(row) :] for history, row in zip(histories, rows, strict=True)],
            [len(row) for row in rows],
            start_s,
            [*times_s, end_s],
            invalid,
        )
        completions = build_completions(
            generated,
            self.loaded.tokenizer,
            self.loaded.generation.stop_token_ids,
            prompts,
            decoding,
        )
        return BatchResult(completions, start_s, times_s[0], end_s)

    def _check_window(self, tokens: int) -> None:
        """Refuse sequences beyond a sliding window: llama.cpp has none for some model types.

        Raises:
            InfeasibleError: they are longer.
        """
        configuration = self._configuration()
        window = configuration.get("sliding_window")
        if window is None or not configuration.get("use_sliding_window", True) or tokens <= window:
            return
        raise InfeasibleError(
            f"engine llama_cpp: prompt and new tokens ({tokens}) exceed the model's sliding window "
            f"of {window} tokens, which this engine does not use; use engine transformers"
        )

    def _configuration(self) -> dict[str, Any]:
        return read_configuration(self.loaded.model.header.path.parent)

    def _encode(self, prompts: list[str], decoding: DecodingParams) -> list[list[int]]:
        return encode_prompts(
            self.loaded.tokenizer, prompts, add_special_tokens=decoding.add_special_tokens
        )

    def _allocate(self, sequences: int, tokens: int) -> None:
        """Allocate a KV cache for a batch, unless the one that is there is large enough."""
        model: LlamaCppModel = self.loaded.model
        if sequences > self._sequences or tokens > model.cells:
            self._sequences = max(sequences, self._sequences)
            model.allocate(self._sequences, max(tokens, model.cells), cache_dtype(model.header))

    def _stop_criterion(self, stop_strings: tuple[str, ...]) -> StopStringCriteria | None:
        """Built once for all batches: it reads the whole vocabulary, which takes half a second."""
        if not stop_strings:
            return None
        if stop_strings not in self._stop_criteria:
            self._stop_criteria[stop_strings] = StopStringCriteria(
                self.loaded.tokenizer, list(stop_strings)
            )
        return self._stop_criteria[stop_strings]


class _TokenChooser:
    """Chooses the next token of each sequence: the most likely one, or one that is drawn."""

    def __init__(self, decoding: DecodingParams, seeds: SampleSeeds, prompts: int) -> None:
        self._sampler = decoding.sampler
        self._uniforms: Any = None
        if self._sampler is not None:
            drawn = seeds.uniforms(prompts, decoding.samples, decoding.token_limit)
            self._uniforms = torch.from_numpy(drawn)

    def __call__(
        self, logits: NDArray[np.float32], rows: Sequence[int], number: int
    ) -> tuple[list[int], list[bool]]:
        """Token ids, and whether each was chosen from invalid logits.

        Args:
            logits: (rows, vocabulary).
            rows: numbers of the rows in the batch.
            number: of the new token, from 0.
        """
        tensor = torch.from_numpy(logits)
        minima, maxima = tensor.aminmax(dim=-1)
        invalid = invalid_logits(minima, maxima)
        if self._sampler is None:
            tokens = tensor.argmax(dim=-1)
        else:
            uniforms = self._uniforms[list(rows), number]
            tokens = self._sampler.draw(tensor, maxima, invalid, uniforms)
        return tokens.tolist(), invalid.tolist()


class _StopRules:
    """Which sequences their latest token ended, by the rules of the other engines."""

    def __init__(
        self, stop_token_ids: Sequence[int], stop_strings: StopStringCriteria | None
    ) -> None:
        self._stop_token_ids, self._stop_strings = frozenset(stop_token_ids), stop_strings

    def __call__(self, histories: Sequence[Sequence[int]]) -> list[bool]:
        """Whether each sequence has ended; histories: tokens of prompt and completion so far."""
        ended = [history[-1] in self._stop_token_ids for history in histories]
        if self._stop_strings is None:
            return ended
        width = self._stop_strings.maximum_token_len
        # Token 0 stands for what is before a short prompt, as in engine graph.
        recent = [[0] * (width - len(row[-width:])) + list(row[-width:]) for row in histories]
        met = self._stop_strings(torch.tensor(recent), None).tolist()
        return [one or other for one, other in zip(ended, met, strict=True)]


ENGINE = LlamaCppEngine
