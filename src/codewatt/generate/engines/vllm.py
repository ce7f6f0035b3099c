"""Engine `vllm`: vLLM's offline inference (paged attention, continuous batching, own kernels).

vLLM loads the variant itself and decodes a whole batch in one call. Its engine core runs inside
this process, so that GPU synchronisation, the seed and the job's CPU time mean the same as for the
other engines. Its token times are from time.monotonic() (vllm/v1/engine/__init__.py,
EngineCoreOutputs), the clock of all windows here. tests/fixtures/vllm records the parts of vLLM's
interface that are used; requirements/vllm.lock.txt has the versions.
"""

import importlib
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import check_files
from codewatt.generate.completion_assembly import GeneratedBatch, build_completions
from codewatt.generate.engine import (
    BatchResult,
    Completion,
    DecodingParams,
    Engine,
    InfeasibleError,
    LoadRequest,
)
from codewatt.generate.generate_record import LoadedModelRecord, VllmEngineRecord
from codewatt.generate.prompt_batches import encode_prompts
from codewatt.generate.sampling import DEFAULT_SEEDS, SampleSeeds
from codewatt.models.generation_config import read_generation_defaults
from codewatt.models.loading import Loaded
from codewatt.models.model_config import read_configuration
from codewatt.models.model_files import only_model_files
from codewatt.models.packed_checkpoints import find_scaled_activations
from codewatt.models.tokenizers import load_tokenizer
from codewatt.models.torchao_layouts import check_torchao_checkpoint
from codewatt.models.weight_headers import read_weight_headers
from codewatt.sizing.loaded_memory import step_parameter_bytes
from codewatt.sizing.parameter_counts import architecture_of
from codewatt.sizing.roofline import Demand

# vLLM reads these on import: engine core in this process, no usage statistics sent.
_ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1"}
_FINISH_REASONS = ("stop", "length")
_MESSAGE_LENGTH = 300
_LOGPROB_TOLERANCE = 1e-5  # rounding of a log-probability in float32


class VllmEngine(Engine):
    """vllm.LLM, one call per batch of prompts; token times are vLLM's own."""

    def __init__(self, loaded: Loaded, synchronise: Callable[[], None]) -> None:
        super().__init__(loaded, synchronise)
        self._preemptions = 0

    @classmethod
    def check_installed(cls) -> None:
        """See `Engine.check_installed`."""
        os.environ.update(_ENVIRONMENT)
        try:
            importlib.import_module("vllm")
        except ModuleNotFoundError as error:
            if error.name != "vllm":
                raise
            raise CodewattError(
                "engine vllm: vLLM is not installed here; run this cell in its own environment: "
                "envs/vllm.yaml with conda, or the one that `make vllm` makes (docs/how-to/vllm.md)"
            ) from None

    @classmethod
    def build_kernels(cls, request: LoadRequest) -> None:
        """See `Engine.build_kernels`: vLLM's kernels are already compiled."""

    @classmethod
    def load(cls, request: LoadRequest) -> Loaded:
        """See `Engine.load`. Includes compilation and graph capture, which vLLM does on loading."""
        cls.check_installed()
        from vllm import LLM
        from vllm.platforms import current_platform

        built_for = current_platform.device_type
        if built_for != request.device:
            raise InfeasibleError(
                f"engine vllm: the installed vLLM runs on {built_for or 'no device here'}, the "
                f"study's device is {request.device}; install a vLLM that is built for it"
            )
        check_files(request.directory, request.files)
        check_torchao_checkpoint(read_configuration(request.directory), request.device)
        if find_scaled_activations(read_weight_headers(request.directory)):
            raise InfeasibleError(
                "engine vllm: vLLM does not read AWQ's scaled activations (act.scales); use engine "
                "transformers or graph"
            )
        tokenizer = load_tokenizer(request.directory)
        prompts = [prompt for batch in request.batches for prompt in batch]
        added = request.decoding.add_special_tokens
        longest = max(map(len, encode_prompts(tokenizer, prompts, add_special_tokens=added)))
        with _infeasible_if_refused(), only_model_files(request.directory) as own:
            model = LLM(
                model=str(own),
                trust_remote_code=False,
                dtype=request.dtype,
                seed=request.seed,
                max_model_len=longest + request.decoding.token_limit,
                max_num_seqs=request.batch_size * request.decoding.samples,
                # a repeat must not reuse the prefix of the previous one
                enable_prefix_caching=False,
                disable_log_stats=False,  # otherwise requests have no token times
                # ignore generation_config.json; stop tokens are set below
                generation_config="vllm",
            )
        return Loaded(
            model,
            tokenizer,
            request.device,
            request.dtype,
            read_generation_defaults(request.directory, tokenizer),
        )

    def describe(self) -> VllmEngineRecord:
        """See `Engine.describe`. preemptions: sequences that vLLM evicted and recomputed."""
        import torch
        import vllm

        config = self.loaded.model.llm_engine.vllm_config
        scheduler = config.scheduler_config
        return {
            "name": "vllm",
            "version": vllm.__version__,
            "torch_threads": torch.get_num_threads(),
            "max_model_len": config.model_config.max_model_len,
            "max_num_seqs": scheduler.max_num_seqs,
            "max_num_batched_tokens": scheduler.max_num_batched_tokens,
            "chunked_prefill": scheduler.enable_chunked_prefill,
            "prefix_caching": config.cache_config.enable_prefix_caching,
            "gpu_memory_utilization": config.cache_config.gpu_memory_utilization,
            "eager": config.model_config.enforce_eager,
            "quantisation": config.model_config.quantization,
            "preemptions": self._preemptions,
        }

    def describe_model(self) -> LoadedModelRecord:
        """See `Engine.describe_model`; memory_bytes is without the KV cache."""
        config = self.loaded.model.model_config
        [(name, memory_bytes)] = self.loaded.model.apply_model(_class_and_bytes)
        return {
            "class": name,
            "model_type": config.hf_config.model_type,
            "dtype": str(config.dtype).removeprefix("torch."),
            "device": self.loaded.device,
            "layers": config.hf_config.num_hidden_layers,
            "memory_bytes": memory_bytes,
        }

    def demand(self) -> Demand:
        """See `Engine.demand`."""
        config = self.loaded.model.model_config
        architecture = architecture_of(config.hf_config.to_dict())
        size = config.dtype.itemsize
        count = partial(step_parameter_bytes, architecture=architecture, element_bytes=size)
        [read_bytes] = self.loaded.model.apply_model(count)
        return Demand.of(architecture, read_bytes, size)

    def complete(
        self, prompts: list[str], decoding: DecodingParams, seeds: SampleSeeds = DEFAULT_SEEDS
    ) -> BatchResult:
        """See `Engine.complete`.

        Raises:
            CodewattError: a request did not finish, has no token times, or reused a cached prefix.
        """
        self.synchronise()
        start_s = time.monotonic()
        encoded = encode_prompts(
            self.loaded.tokenizer, prompts, add_special_tokens=decoding.add_special_tokens
        )
        # One request per sample: a request of n samples has the times of its last sample only.
        rows = [
            (index, sample) for index in range(len(prompts)) for sample in range(decoding.samples)
        ]
        requests = self.loaded.model.generate(
            [{"prompt_token_ids": encoded[index]} for index, _ in rows],
            self._parameters(seeds.request_seeds(len(prompts), decoding.samples), decoding),
            use_tqdm=False,
        )
        self.synchronise()
        end_s = time.monotonic()
        completions = [
            self._completion(request, index, sample, start_s, decoding)
            for (index, sample), request in zip(rows, requests, strict=True)
        ]
        # vLLM mixes prefill and decode of different sequences in one step; prefill has ended when
        # every sequence has its first token.
        first_token_s = max(done.first_token_s for done in completions)
        return BatchResult(completions, start_s, first_token_s, end_s)

    def _parameters(self, seeds: list[int], decoding: DecodingParams) -> list[Any]:
        """vLLM's SamplingParams of each row; seeds: of each row, for sampled decoding."""
        from vllm import SamplingParams

        chosen = {
            "max_tokens": decoding.token_limit,
            "stop": list(decoding.stop_strings),
            # The stop tokens of the other engines only: vLLM would add the tokenizer's.
            "ignore_eos": True,
            "stop_token_ids": list(self.loaded.generation.stop_token_ids),
            "logprobs": 0,  # of the chosen token only; NaN if the logits are invalid
            # vLLM searches stop strings in its decoded text; they may be special tokens.
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
        }
        if decoding.temperature is None:
            return [SamplingParams(temperature=0.0, **chosen) for _ in seeds]
        return [
            SamplingParams(
                temperature=decoding.temperature,
                top_p=decoding.top_p or 1.0,
                top_k=0,
                seed=seed,
                **chosen,
            )
            for seed in seeds
        ]

    def _completion(
        self, request: Any, index: int, sample: int, start_s: float, decoding: DecodingParams
    ) -> Completion:
        [output], times = request.outputs, request.metrics
        if output.finish_reason not in _FINISH_REASONS:
            raise CodewattError(
                f"engine vllm: a request ended with finish_reason {output.finish_reason!r}; "
                f"allowed: {', '.join(_FINISH_REASONS)}"
            )
        if times is None or not times.first_token_ts:
            raise CodewattError(
                "engine vllm: a request has no token times; use the vLLM version of "
                "requirements/vllm.lock.txt"
            )
        if request.num_cached_tokens:
            raise CodewattError(
                "engine vllm: vLLM reused a cached prefix, though enable_prefix_caching is False"
            )
        self._preemptions += times.num_preemptions
        generated = GeneratedBatch(
            [list(output.token_ids)],
            [len(request.prompt_token_ids)],
            start_s,
            [times.first_token_ts, times.last_token_ts],
            [self._first_invalid_token(output, decoding)],
        )
        # No prompt: vLLM searches stop strings in the new text only.
        one_sample = replace(decoding, samples=1)
        [done] = build_completions(
            generated,
            self.loaded.tokenizer,
            self.loaded.generation.stop_token_ids,
            [""],
            one_sample,
        )
        return replace(done, prompt_index=index, sample=sample)

    def _first_invalid_token(self, output: Any, decoding: DecodingParams) -> int | None:
        """Index of the first token of a request that was chosen from invalid logits, or None.

        vLLM returns log-probabilities, of logits before temperature. They are NaN if a logit is NaN
        or +infinity, or if none is finite. If the most likely token has probability 1 / vocabulary,
        all logits are equal.

        Raises:
            CodewattError: the request has no log-probabilities.
        """
        if output.logprobs is None:
            raise CodewattError(
                "engine vllm: a request has no log-probabilities; use the vLLM version of "
                "requirements/vllm.lock.txt"
            )
        config = self.loaded.model.model_config.hf_config.get_text_config()
        least = -math.log(config.vocab_size)
        for index, (token, given) in enumerate(zip(output.token_ids, output.logprobs, strict=True)):
            value = given[token].logprob
            equal = decoding.temperature is None and value <= least + _LOGPROB_TOLERANCE
            if not math.isfinite(value) or equal:
                return index
        return None


def _class_and_bytes(model: Any) -> tuple[str, int]:
    """The class of vLLM's model, and the bytes of its parameters and buffers."""
    tensors = [*model.parameters(), *model.buffers()]
    return type(model).__name__, sum(tensor.nbytes for tensor in tensors)


@contextmanager
def _infeasible_if_refused() -> Iterator[None]:
    """Raise InfeasibleError for what vLLM refuses: a format, an architecture, a length.

    Other errors (CUDA, memory, files, a failed assertion, a missing key) pass through.
    """
    try:
        yield
    except (ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InfeasibleError(
            f"engine vllm: cannot load this variant: {reason[:_MESSAGE_LENGTH]}"
        ) from error


ENGINE = VllmEngine
