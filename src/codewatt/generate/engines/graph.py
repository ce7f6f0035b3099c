"""Engine `graph`: decoding over a static KV cache, each decode step one CUDA graph.

transformers' generate() launches hundreds of kernels from Python for each token; at small batches
the GPU waits for the host, and a measurement would measure the host. Here one decode step is
captured as a CUDA graph over buffers of fixed address (static/). The host only replays it, and
checks every few steps which sequences have ended. Dense architectures run with fused linear layers
and our own kernels, other architectures by transformers' forward; the manifest says which, and why.
Prefill is always transformers' forward. Without a GPU the same decode step runs uncaptured, by
torch's functions, so that its results can be tested anywhere.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import StopStringCriteria

from codewatt.generate.completion_assembly import GeneratedBatch, build_completions
from codewatt.generate.engine import BatchResult, DecodingParams, Engine, InfeasibleError
from codewatt.generate.generate_record import GraphEngineRecord
from codewatt.generate.prompt_batches import pad_prompts
from codewatt.generate.sampling import DEFAULT_SEEDS, SampleSeeds
from codewatt.generate.static.cached_forward import CachedForward, DenseForward, TransformersForward
from codewatt.generate.static.decode_loop import MIN_NEW_TOKENS, BatchDecoder
from codewatt.generate.static.dense_decoder import DenseDecoder, read_dense_decoder
from codewatt.generate.static.torch_ops import TorchOps
from codewatt.units import MS_PER_S

#: Decode steps between two checks for ended sequences. The host reads a check's result after it has
#: launched the next steps, so a batch runs less than twice as many steps past its end.
_CHECK_EVERY = 8
#: The length of the KV cache is a multiple of this.
_CACHE_MULTIPLE = 64
#: Warm-up runs before a graph is captured: libraries initialise and kernels compile in them.
_WARMUP_RUNS = 3


class GraphEngine(Engine):
    """Decoding by one CUDA graph per batch size, over a static KV cache."""

    keeps_packed_layout = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._cuda = self.loaded.device == "cuda"
        self._dense_decoder: DenseDecoder | str | None = None
        self._ops = TorchOps()
        self._decoder: BatchDecoder | None = None
        self._decode_one_token: Callable[[], None] = _nothing
        self._check_ended: Callable[[], None] = _nothing
        self._decoding: DecodingParams | None = None
        self._cache_length = 0
        self._captures, self._capture_s = 0, 0.0

    def describe(self) -> GraphEngineRecord:
        """See `Engine.describe`.

        decode_step: 'dense_kernels', or 'transformers_forward' with the reason. capture_s: seconds
        of warm-up, kernel compilation and graph capture; captures: how many. cache_length: cache
        positions, None before the first batch.
        """
        reason = self._dense_decoder if isinstance(self._dense_decoder, str) else None
        return {
            "name": "graph",
            **self.describe_attention(),
            "padding_side": "left",
            "torch_threads": torch.get_num_threads(),
            "decode_step": "transformers_forward" if reason else "dense_kernels",
            "decode_step_reason": reason,
            "captured": self._captures > 0,
            "captures": self._captures,
            "capture_s": self._capture_s,
            "cache_length": self._cache_length or None,
        }

    def share_weights(self, other: "GraphEngine") -> None:
        """Use the fused and repacked weights of another engine on the same model."""
        self._dense_decoder, self._ops = other._dense_decoder, other._ops

    def prepare(self, batches: Sequence[list[str]], decoding: DecodingParams) -> None:
        """Allocate buffers for the longest prompt of all batches, and capture the decode step.

        Raises:
            InfeasibleError: the decode step cannot be captured, or prompt and new tokens exceed the
                model's sliding window.
        """
        encoded = [self._encode(prompts, decoding) for prompts in batches]
        longest = max(batch["input_ids"].shape[1] for batch in encoded)
        rows = max(map(len, batches)) * decoding.samples
        self._decoder_for(rows, longest, decoding, encoded[0])

    def complete(
        self, prompts: list[str], decoding: DecodingParams, seeds: SampleSeeds = DEFAULT_SEEDS
    ) -> BatchResult:
        """See `Engine.complete`. Token times are measured by CUDA events."""
        drawn = None
        if decoding.sampler is not None:
            drawn = seeds.uniforms(len(prompts), decoding.samples, decoding.token_limit)
        self.synchronise()
        start_s = time.monotonic()
        clock = _TokenTimer(self._cuda, start_s)
        encoded, order = self._encode_by_length(prompts, decoding)
        rows = order.argsort().tolist()
        uniforms = None if drawn is None else torch.from_numpy(drawn)[order].to(self.loaded.device)
        decoder = self._decoder_for(len(rows), encoded["input_ids"].shape[1], decoding, encoded)
        with torch.inference_mode():
            decoder.prefill(encoded["input_ids"], encoded["attention_mask"], uniforms)
            clock.record()
            self._decode_n_tokens(decoder, clock)
            self.synchronise()
            end_s = time.monotonic()
            tokens_s = clock.times()
            tokens, invalid = decoder.results(len(rows), len(tokens_s))
        prompt_tokens = encoded["attention_mask"].sum(dim=1).tolist()
        generated = GeneratedBatch(
            [tokens[row] for row in rows],
            [prompt_tokens[row] for row in rows],
            start_s,
            [*tokens_s, end_s],
            [invalid[row] for row in rows],
        )
        stop_token_ids = self.loaded.generation.stop_token_ids
        completions = build_completions(
            generated, self.loaded.tokenizer, stop_token_ids, prompts, decoding
        )
        return BatchResult(completions, start_s, tokens_s[0], end_s)

    def _decode_n_tokens(self, decoder: BatchDecoder, clock: "_TokenTimer") -> None:
        """Launch decode steps until all sequences have ended or reached the token limit."""
        every, pending = (_CHECK_EVERY, 1) if self._cuda else (1, 0)
        checks = deque([self._start_check(decoder)])
        left = decoder.token_limit - 1
        while left > 0:
            if len(checks) > pending and checks.popleft()():
                return
            for _ in range(min(every, left)):
                self._decode_one_token()
                clock.record()
            left -= every
            checks.append(self._start_check(decoder))

    def _start_check(self, decoder: BatchDecoder) -> Callable[[], bool]:
        """Launch the check for ended sequences.

        Returns:
            A function that waits for the GPU and returns whether all sequences have ended.
        """
        self._check_ended()
        if not self._cuda:
            return lambda: bool(decoder.all_ended)
        all_ended = torch.empty(1, dtype=torch.bool, pin_memory=True)
        all_ended.copy_(decoder.all_ended, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()

        def wait() -> bool:
            copied.synchronize()
            return bool(all_ended)

        return wait

    def _decoder_for(
        self, batch_size: int, longest_prompt: int, decoding: DecodingParams, encoded: Any
    ) -> BatchDecoder:
        """The decoder whose buffers hold such a batch; built and captured if there is none yet.

        Args:
            longest_prompt: tokens.
            encoded: a batch for the prefill before the capture.
        """
        decoder = self._decoder
        positions = longest_prompt + max(decoding.token_limit, MIN_NEW_TOKENS)
        if (
            decoder is not None
            and self._decoding == decoding
            and batch_size <= decoder.batch_size
            and positions <= self._cache_length
        ):
            return decoder
        window = _sliding_window(self.loaded.model.config)
        if window is not None and positions > window:
            raise InfeasibleError(
                f"engine graph: {longest_prompt} prompt and {decoding.token_limit} new tokens "
                f"exceed the model's sliding window of {window} tokens, which this engine does not "
                "implement; use engine transformers or vllm"
            )
        stop_strings = None
        if decoding.stop_strings:
            stop_strings = StopStringCriteria(self.loaded.tokenizer, list(decoding.stop_strings))
        self._decoder = None  # frees the old buffers first
        self._decode_one_token = self._check_ended = _nothing
        start_s = time.monotonic()
        self._cache_length = -(-positions // _CACHE_MULTIPLE) * _CACHE_MULTIPLE
        with torch.inference_mode():
            decoder = BatchDecoder(
                self.loaded.model,
                self.loaded.generation.stop_token_ids,
                self._forward(batch_size, self._cache_length),
                batch_size,
                decoding.token_limit,
                stop_strings,
                _CHECK_EVERY if self._cuda else 1,
                decoding.sampler,
            )
            self._decode_one_token, self._check_ended = (
                decoder.decode_one_token,
                decoder.check_ended,
            )
            if self._cuda:
                decoder.prefill(encoded["input_ids"], encoded["attention_mask"])
                model = self.loaded.model
                self._decode_one_token = _capture_graph(decoder.decode_one_token, model)
                self._check_ended = _capture_graph(decoder.check_ended, model)
                self._captures += 1
                self._capture_s += time.monotonic() - start_s
        self._decoder, self._decoding = decoder, decoding
        return decoder

    def _forward(self, batch_size: int, cache_length: int) -> CachedForward:
        """The forward pass of a decode step; the first call fuses and repacks the weights."""
        model = self.loaded.model
        if self._dense_decoder is None:
            self._dense_decoder = read_dense_decoder(model)
            if self._cuda and isinstance(self._dense_decoder, DenseDecoder):
                from codewatt.generate.static.triton_ops import triton_ops_for

                self._ops = triton_ops_for(model.device)
        if isinstance(self._dense_decoder, str):
            return TransformersForward(model, batch_size, cache_length)
        return DenseForward(model, self._dense_decoder, self._ops, batch_size, cache_length)

    def _encode_by_length(
        self, prompts: list[str], decoding: DecodingParams
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Encoded prompts, one row for each sample, shortest first; and their order, on the CPU."""
        samples = decoding.samples
        encoded = {
            name: rows.repeat_interleave(samples, dim=0) if samples > 1 else rows
            for name, rows in self._encode(prompts, decoding).items()
        }
        order = encoded["attention_mask"].sum(dim=1).argsort(stable=True)
        return {name: rows[order] for name, rows in encoded.items()}, order.cpu()

    def _encode(self, prompts: list[str], decoding: DecodingParams) -> dict[str, torch.Tensor]:
        tokenizer = self.loaded.tokenizer
        padding = self.loaded.generation.padding(tokenizer)
        return pad_prompts(
            tokenizer,
            prompts,
            padding,
            self.loaded.device,
            add_special_tokens=decoding.add_special_tokens,
        )


def _capture_graph(step: Callable[[], None], model: Any) -> Callable[[], None]:
    """Capture a function as a CUDA graph.

    Returns:
        The graph's replay.

    Raises:
        InfeasibleError: it cannot be captured. If it cannot run at all, its own error is raised.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARMUP_RUNS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()  # raises errors of the warm-up here, not within the capture
    graph = torch.cuda.CUDAGraph()
    with _infeasible_if_capture_fails(model), torch.cuda.graph(graph):
        step()
    graph.replay()
    torch.cuda.synchronize()
    return graph.replay  # type: ignore[no-any-return]


def _nothing() -> None:
    """Stands for the decode step before there is a decoder."""


class _TokenTimer:
    """Time of each token: by CUDA events on a GPU, by the host's clock on a CPU."""

    def __init__(self, cuda: bool, start_s: float) -> None:
        self._start_s = start_s
        self._events: list[Any] = []
        self._host_s: list[float] = []
        self._first = self._event() if cuda else None

    def record(self) -> None:
        """Record a token: its decode step has been launched (GPU) or has ended (CPU)."""
        if self._first is None:
            self._host_s.append(time.monotonic())
        else:
            self._events.append(self._event())

    def times(self) -> list[float]:
        """CLOCK_MONOTONIC seconds of each token; call it when the GPU is idle."""
        if self._first is None:
            return self._host_s
        return [
            self._start_s + self._first.elapsed_time(event) / MS_PER_S for event in self._events
        ]

    @staticmethod
    def _event() -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def _sliding_window(config: Any) -> int | None:
    """Tokens of the model's sliding-window attention; None without one."""
    window: int | None = getattr(config, "sliding_window", None)
    return window if getattr(config, "use_sliding_window", True) else None


@contextmanager
def _infeasible_if_capture_fails(model: Any) -> Iterator[None]:
    """Raise InfeasibleError for a failed capture: a property of the model, not an accident."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:
        first: BaseException = error  # later errors only say that the capture had already failed
        while isinstance(first.__context__, RuntimeError):
            first = first.__context__
        reason = " ".join(str(first).split())
        raise InfeasibleError(
            f"engine graph: the decode step of {type(model).__name__} cannot be captured as a CUDA "
            f"graph: {reason[:200]}; use engine transformers"
        ) from error


ENGINE = GraphEngine
