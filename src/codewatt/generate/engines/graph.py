"""Decoding at the hardware's speed: each step captured once as a CUDA graph, then only launched.

transformers' generate() launches some hundred kernels from Python for each token, and at small
batches the GPU waits for it: what is measured then is the host. Here a step is a graph over
buffers that never move (static/decode.py); the host launches it, and looks at the batch every few
steps only. Prompts are read by transformers' own forward. Without a GPU the same step runs as it
is, so that what it computes can be tested anywhere.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import StopStringCriteria

from codewatt.errors import CodewattError
from codewatt.generate.assemble import Generated, completions_of
from codewatt.generate.base import Batch, Decoding, Engine, InfeasibleError
from codewatt.generate.static.decode import GreedyDecoder

#: Steps between two looks of the host at which sequences are done; a look waits for the GPU.
_LOOK_EVERY = 16
#: Places of the cache come in multiples of this.
_PLACES = 64
#: Runs of a step before it is captured, as libraries set themselves up at their first calls.
_RUNS_BEFORE = 3


class GraphEngine(Engine):
    """Greedy decoding by one graph a batch size, over a key/value cache of fixed size."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._cuda = self.loaded.device == "cuda"
        self._decoder: GreedyDecoder | None = None
        self._graph: Any = None
        self._decoding: Decoding | None = None
        self._captures, self._capture_s = 0, 0.0

    def describe(self) -> dict[str, Any]:
        """See `Engine.describe`. capture_s: seconds of all captures; captures: how many."""
        return {
            "name": "graph",
            "attention": self.loaded.model.config._attn_implementation,
            "padding_side": self.loaded.tokenizer.padding_side,
            "torch_threads": torch.get_num_threads(),
            "captured": self._graph is not None,
            "captures": self._captures,
            "capture_s": self._capture_s,
            "cache_places": None if self._decoder is None else self._decoder.length,
        }

    def prepare(self, batches: Sequence[list[str]], decoding: Decoding) -> None:
        """Make buffers for the longest prompt of all batches, and capture the step.

        Raises:
            InfeasibleError: the model's step cannot be captured, or its window is too short.
            CodewattError: the decoding is not greedy.
        """
        if decoding.temperature is not None or decoding.samples != 1:
            raise CodewattError("engine graph: greedy decoding of one sample only")
        encoded = [self._encode(prompts) for prompts in batches]
        longest = max(batch["input_ids"].shape[1] for batch in encoded)
        self._make(max(map(len, batches)), longest, decoding, encoded[0])

    def complete(self, prompts: list[str], decoding: Decoding) -> Batch:
        """See `Engine.complete`. Times of tokens are the GPU's own, by events."""
        self.synchronise()
        start_s = time.monotonic()
        clock = _Clock(self._cuda, start_s)
        encoded = self._encode(prompts)
        decoder = self._make(len(prompts), encoded["input_ids"].shape[1], decoding, encoded)
        with torch.inference_mode():
            decoder.prefill(encoded["input_ids"], encoded["attention_mask"])
            clock.tick()
            self._decode(decoder, clock)
        self.synchronise()
        end_s = time.monotonic()
        steps_s = clock.times()
        generated = Generated(
            decoder.tokens[: len(prompts), : len(steps_s)].tolist(),
            encoded["attention_mask"].sum(dim=1).tolist(),
            start_s,
            [*steps_s, end_s],
        )
        completions = completions_of(generated, self.loaded.tokenizer, prompts, decoding)
        return Batch(completions, start_s, steps_s[0], end_s)

    def _decode(self, decoder: GreedyDecoder, clock: "_Clock") -> None:
        """Launch steps until all sequences have ended or reached the limit."""
        look_every = _LOOK_EVERY if self._cuda else 1
        for number in range(1, decoder.limit):
            if (number - 1) % look_every == 0 and bool(decoder.finished.all()):
                return
            if self._graph is not None:
                self._graph.replay()
            else:
                decoder.step()
            clock.tick()

    def _make(self, batch: int, longest: int, decoding: Decoding, encoded: Any) -> GreedyDecoder:
        """The decoder that holds such a batch; made, and its step captured, if there is none."""
        made = self._decoder
        places = longest + decoding.token_limit
        if (
            made is not None
            and self._decoding == decoding
            and batch <= made.batch
            and places <= made.length
        ):
            return made
        window = _sliding_window(self.loaded.model.config)
        if window is not None and places > window:
            raise InfeasibleError(
                f"engine graph: {longest} prompt and {decoding.token_limit} new tokens reach "
                f"beyond the model's sliding window of {window}; here all layers attend to all"
            )
        stops = None
        if decoding.stop_strings:
            stops = StopStringCriteria(self.loaded.tokenizer, list(decoding.stop_strings))
        length = -(-places // _PLACES) * _PLACES
        self._graph = self._decoder = None  # the old buffers' memory is given back first
        with torch.inference_mode():
            decoder = GreedyDecoder(
                self.loaded.model,
                self.loaded.tokenizer,
                batch,
                length,
                decoding.token_limit,
                stops,
            )
            if self._cuda:
                self._graph = self._capture(decoder, encoded)
        self._decoder, self._decoding = decoder, decoding
        return decoder

    def _capture(self, decoder: GreedyDecoder, encoded: Any) -> Any:
        """The step as a CUDA graph; some prompts fill the buffers first."""
        start_s = time.monotonic()
        decoder.prefill(encoded["input_ids"], encoded["attention_mask"])
        with _infeasible_if_it_fails(self.loaded.model):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(_RUNS_BEFORE):
                    decoder.step()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                decoder.step()
            graph.replay()
            torch.cuda.synchronize()
        self._captures += 1
        self._capture_s += time.monotonic() - start_s
        return graph

    def _encode(self, prompts: list[str]) -> Any:
        encoded = self.loaded.tokenizer(prompts, return_tensors="pt", padding=True)
        return encoded.to(self.loaded.device)


class _Clock:
    """When each token came: by the GPU's events, or by the host's clock without one."""

    def __init__(self, cuda: bool, start_s: float) -> None:
        self._start_s = start_s
        self._events: list[Any] = []
        self._host_s: list[float] = []
        self._first = self._event() if cuda else None

    def tick(self) -> None:
        """A token's step has been launched (GPU), or done (host)."""
        if self._first is None:
            self._host_s.append(time.monotonic())
        else:
            self._events.append(self._event())

    def times(self) -> list[float]:
        """CLOCK_MONOTONIC seconds of each tick; the GPU is idle by now."""
        if self._first is None:
            return self._host_s
        return [self._start_s + self._first.elapsed_time(event) / 1000 for event in self._events]

    @staticmethod
    def _event() -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def _sliding_window(config: Any) -> int | None:
    """The window of a model that attends to its last tokens only; None without one."""
    window: int | None = getattr(config, "sliding_window", None)
    return window if getattr(config, "use_sliding_window", True) else None


@contextmanager
def _infeasible_if_it_fails(model: Any) -> Iterator[None]:
    """What cannot be captured (a layer that asks the host) is a fact about it, not an accident."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InfeasibleError(
            f"engine graph: a step of {type(model).__name__} cannot be captured: {reason[:200]}"
        ) from error


ENGINE = GraphEngine
