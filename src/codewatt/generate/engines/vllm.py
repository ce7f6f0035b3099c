"""vLLM's offline inference: paged attention, continuous batching, its own kernels.

vLLM loads the variant itself and decodes a whole batch by one call. Its engine core runs inside
this process, so that synchronising the GPU, the seed and the job's CPU time mean what they mean for
the other engines. Its clock of tokens is time.monotonic() (vllm/v1/engine/__init__.py,
EngineCoreOutputs), the clock of all windows here. Which parts of vLLM's interface are used stands
in tests/fixtures/vllm; the versions are those of requirements/vllm.lock.txt.
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
from codewatt.generate.completion_assembly import Generated, completions_of
from codewatt.generate.engine import Batch, Completion, Decoding, Engine, InfeasibleError, Work
from codewatt.generate.generate_record import LoadedModelRecord
from codewatt.generate.prompt_batches import token_ids
from codewatt.models.generation_config import generation_defaults
from codewatt.models.loading import Loaded
from codewatt.models.model_config import read_configuration
from codewatt.models.model_files import own_files_only
from codewatt.models.packed_checkpoints import scaled_activations
from codewatt.models.tokenizers import load_tokenizer
from codewatt.models.torchao_layouts import prepare_loading
from codewatt.models.weight_headers import headers_of
from codewatt.sizing.loaded_memory import step_parameter_bytes
from codewatt.sizing.parameter_counts import architecture_of
from codewatt.sizing.roofline import Demand

# Read by vLLM when it starts: its core in this process, and no report of the run to its makers.
_ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1"}
_FINISHED = ("stop", "length")
_REASON_LENGTH = 300
_ROUNDING = 1e-5  # of a log-probability in float32


class VllmEngine(Engine):
    """vllm.LLM, a batch of prompts at a time, each request metered by vLLM itself."""

    def __init__(self, loaded: Loaded, synchronise: Callable[[], None]) -> None:
        super().__init__(loaded, synchronise)
        self._preemptions = 0

    @classmethod
    def check(cls) -> None:
        """See `Engine.check`."""
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
    def build(cls, work: Work) -> None:
        """See `Engine.build`: vLLM brings its kernels with it."""

    @classmethod
    def load(cls, work: Work) -> Loaded:
        """See `Engine.load`. Compiling and capturing, which vLLM does here, are in the window."""
        cls.check()
        from vllm import LLM
        from vllm.platforms import current_platform

        built_for = current_platform.device_type
        if built_for != work.device:
            raise InfeasibleError(
                f"engine vllm: this vLLM runs on {built_for or 'no device here'}, "
                f"the study's device is {work.device}"
            )
        check_files(work.directory, work.files)
        prepare_loading(read_configuration(work.directory), work.device)
        if scaled_activations(headers_of(work.directory)):
            raise InfeasibleError("engine vllm: it has no activations scaled by AWQ (act.scales)")
        tokenizer = load_tokenizer(work.directory)
        prompts = [prompt for batch in work.batches for prompt in batch]
        longest = max(map(len, token_ids(tokenizer, prompts)))
        with _infeasible_if_refused(), own_files_only(work.directory) as own:
            model = LLM(
                model=str(own),
                trust_remote_code=False,
                dtype=work.dtype,
                seed=work.seed,
                max_model_len=longest + work.decoding.token_limit,
                max_num_seqs=work.batch_size * work.decoding.samples,
                enable_prefix_caching=False,  # a repeat must not find what the last one left
                disable_log_stats=False,  # or requests come back without their times
                generation_config="vllm",  # of a checkpoint's own only the ends are followed
            )
        return Loaded(
            model,
            tokenizer,
            work.device,
            work.dtype,
            generation_defaults(work.directory, tokenizer),
        )

    def describe(self) -> dict[str, Any]:
        """See `Engine.describe`. preemptions: sequences that were thrown out and done again."""
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
        """See `Engine.describe_model`; the class is vLLM's, the bytes are without its KV cache."""
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

    def complete(self, prompts: list[str], decoding: Decoding) -> Batch:
        """See `Engine.complete`.

        Raises:
            CodewattError: vLLM did not finish a request, gave no times, or reused a prefix.
        """
        self.synchronise()
        start_s = time.monotonic()
        encoded = token_ids(self.loaded.tokenizer, prompts)
        # A request for each sample: one request of n samples has the times of the last one only.
        rows = [
            (index, sample) for index in range(len(prompts)) for sample in range(decoding.samples)
        ]
        requests = self.loaded.model.generate(
            [{"prompt_token_ids": encoded[index]} for index, _ in rows],
            self._parameters(len(rows), decoding),
            use_tqdm=False,
        )
        self.synchronise()
        end_s = time.monotonic()
        completions = [
            self._completion(request, index, sample, start_s, decoding)
            for (index, sample), request in zip(rows, requests, strict=True)
        ]
        # vLLM mixes prompts and tokens of many sequences in a step; all prompts are read when the
        # last sequence has its first token.
        first_token_s = max(done.first_token_s for done in completions)
        return Batch(completions, start_s, first_token_s, end_s)

    def _parameters(self, rows: int, decoding: Decoding) -> list[Any]:
        """SamplingParams of each row; sampled rows get seeds from the repeat's own seed."""
        import torch
        from vllm import SamplingParams

        chosen = {
            "max_tokens": decoding.token_limit,
            "stop": list(decoding.stop_strings),
            # The ends of the other engines and no others: vLLM would add the tokenizer's.
            "ignore_eos": True,
            "stop_token_ids": list(self.loaded.generation.ends),
            "logprobs": 0,  # of the chosen token alone: NaN where the logits were no answer
            # vLLM looks for stop strings in its own text: they may be special tokens.
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
        }
        if decoding.temperature is None:
            return [SamplingParams(temperature=0.0, **chosen) for _ in range(rows)]
        return [
            SamplingParams(
                temperature=decoding.temperature,
                top_p=decoding.top_p or 1.0,
                top_k=0,
                seed=seed,
                **chosen,
            )
            for seed in torch.randint(2**31, (rows,)).tolist()
        ]

    def _completion(
        self, request: Any, index: int, sample: int, start_s: float, decoding: Decoding
    ) -> Completion:
        [output], times = request.outputs, request.metrics
        if output.finish_reason not in _FINISHED:
            raise CodewattError(f"engine vllm: a request ended by {output.finish_reason!r}")
        if times is None or not times.first_token_ts:
            raise CodewattError("engine vllm: a request came back without its times")
        if request.num_cached_tokens:
            raise CodewattError("engine vllm: a prompt was found in vLLM's prefix cache")
        self._preemptions += times.num_preemptions
        generated = Generated(
            [list(output.token_ids)],
            [len(request.prompt_token_ids)],
            start_s,
            [times.first_token_ts, times.last_token_ts],
            [self._first_unsound(output, decoding)],
        )
        # Without its prompt: vLLM looks for stop strings in the new text only.
        alone = replace(decoding, samples=1)
        [done] = completions_of(
            generated, self.loaded.tokenizer, self.loaded.generation.ends, [""], alone
        )
        return replace(done, prompt_index=index, sample=sample)

    def _first_unsound(self, output: Any, decoding: Decoding) -> int | None:
        """The first token of a request that was chosen from unsound logits.

        vLLM shows log-probabilities, of logits before temperature. They are NaN where a logit is
        NaN or +infinity, or none is finite. A greedy token of probability 1 / vocabulary was chosen
        from equal logits, as it is the most likely one.

        Raises:
            CodewattError: vLLM gave none.
        """
        if output.logprobs is None:
            raise CodewattError("engine vllm: a request came back without its log-probabilities")
        config = self.loaded.model.model_config.hf_config.get_text_config()
        least = -math.log(config.vocab_size)
        for index, (token, given) in enumerate(zip(output.token_ids, output.logprobs, strict=True)):
            value = given[token].logprob
            equal = decoding.temperature is None and value <= least + _ROUNDING
            if not math.isfinite(value) or equal:
                return index
        return None


def _class_and_bytes(model: Any) -> tuple[str, int]:
    """The class of vLLM's model, and the bytes of its parameters and buffers."""
    tensors = [*model.parameters(), *model.buffers()]
    return type(model).__name__, sum(tensor.nbytes for tensor in tensors)


@contextmanager
def _infeasible_if_refused() -> Iterator[None]:
    """What vLLM refuses (a format, an architecture, a length) is a fact about it, not an accident.

    Errors of the machine (CUDA's, of memory, of files) and of the code (a failed assertion, a
    missing key) are none of these and pass through.
    """
    try:
        yield
    except (ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InfeasibleError(
            f"engine vllm: cannot load this variant: {reason[:_REASON_LENGTH]}"
        ) from error


ENGINE = VllmEngine
