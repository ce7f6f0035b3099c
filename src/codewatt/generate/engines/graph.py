"""Decoding at the hardware's speed: each step captured once as a CUDA graph, then only launched.

transformers' generate() launches some hundred kernels from Python for each token, and at small
batches the GPU waits for it: what is measured then is the host. Here a step is a graph over
buffers that never move (static/); the host launches it, and looks at the batch every few steps
only. Dense architectures run by a plan of joined products and our own kernels, others by
transformers' forward; the manifest says which and why. Prompts are read by transformers' own
forward. Without a GPU the same step runs as it is, by torch's functions, so that what it computes
can be tested anywhere.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import StopStringCriteria

from codewatt.errors import CodewattError
from codewatt.generate.completion_assembly import Generated, completions_of
from codewatt.generate.engine import Batch, Decoding, Engine, InfeasibleError
from codewatt.generate.prompt_batches import padded
from codewatt.generate.static.cached_forward import ForwardStep, PlannedStep, Step
from codewatt.generate.static.decode_loop import ROOM, GreedyDecoder
from codewatt.generate.static.dense_decoder import Plan, plan_of
from codewatt.generate.static.torch_ops import Operations

#: Steps between two looks of the host at which sequences are done. The answer is waited for when
#: the next steps have been launched, so a batch runs less than twice as many past its end.
_LOOK_EVERY = 8
#: Places of the cache come in multiples of this.
_PLACES = 64
#: Runs of a step before it is captured, as libraries set themselves up at their first calls.
_RUNS_BEFORE = 3


class GraphEngine(Engine):
    """Greedy decoding by one graph a batch size, over a key/value cache of fixed size."""

    readable = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._cuda = self.loaded.device == "cuda"
        self._plan: Plan | str | None = None
        self._operations = Operations()
        self._decoder: GreedyDecoder | None = None
        self._advance: Callable[[], None] = _nothing
        self._look: Callable[[], None] = _nothing
        self._decoding: Decoding | None = None
        self._places = 0
        self._captures, self._capture_s = 0, 0.0

    def describe(self) -> dict[str, Any]:
        """See `Engine.describe`.

        step: 'planned', or 'forward' with the reason why there is no plan. capture_s: seconds of
        all captures, the compiling of kernels among them; captures: how many.
        """
        reason = self._plan if isinstance(self._plan, str) else None
        return {
            "name": "graph",
            **self.describe_attention(),
            "padding_side": "left",
            "torch_threads": torch.get_num_threads(),
            "step": "forward" if reason else "planned",
            "step_reason": reason,
            "captured": self._captures > 0,
            "captures": self._captures,
            "capture_s": self._capture_s,
            "cache_places": self._places or None,
        }

    def share(self, other: "GraphEngine") -> None:
        """Take over the plan of an engine on the same model: repacked weights are kept once."""
        self._plan, self._operations = other._plan, other._operations

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
        encoded, places = self._sorted(prompts)
        decoder = self._make(len(prompts), encoded["input_ids"].shape[1], decoding, encoded)
        with torch.inference_mode():
            decoder.prefill(encoded["input_ids"], encoded["attention_mask"])
            clock.tick()
            self._decode(decoder, clock)
            self.synchronise()
            end_s = time.monotonic()
            steps_s = clock.times()
            tokens, unsound = decoder.results(len(prompts), len(steps_s))
        prompt_tokens = encoded["attention_mask"].sum(dim=1).tolist()
        generated = Generated(
            [tokens[place] for place in places],
            [prompt_tokens[place] for place in places],
            start_s,
            [*steps_s, end_s],
            [unsound[place] for place in places],
        )
        ends = self.loaded.generation.ends
        completions = completions_of(generated, self.loaded.tokenizer, ends, prompts, decoding)
        return Batch(completions, start_s, steps_s[0], end_s)

    def _decode(self, decoder: GreedyDecoder, clock: "_Clock") -> None:
        """Launch steps until all sequences have ended or reached the limit."""
        every, ahead = (_LOOK_EVERY, 1) if self._cuda else (1, 0)
        answers = deque([self._ask(decoder)])
        left = decoder.limit - 1
        while left > 0:
            if len(answers) > ahead and answers.popleft()():
                return
            for _ in range(min(every, left)):
                self._advance()
                clock.tick()
            left -= every
            answers.append(self._ask(decoder))

    def _ask(self, decoder: GreedyDecoder) -> Callable[[], bool]:
        """Have the batch looked at; the answer (all have ended?) waits for the GPU when called."""
        self._look()
        if not self._cuda:
            return lambda: bool(decoder.all_finished)
        answer = torch.empty(1, dtype=torch.bool, pin_memory=True)
        answer.copy_(decoder.all_finished, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()

        def wait() -> bool:
            copied.synchronize()
            return bool(answer)

        return wait

    def _make(self, batch: int, longest: int, decoding: Decoding, encoded: Any) -> GreedyDecoder:
        """The decoder that holds such a batch; made, and its step captured, if there is none."""
        made = self._decoder
        places = longest + max(decoding.token_limit, ROOM)
        if (
            made is not None
            and self._decoding == decoding
            and batch <= made.batch
            and places <= self._places
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
        self._decoder = None  # the old buffers' memory is given back first
        self._advance = self._look = _nothing
        start_s = time.monotonic()
        self._places = -(-places // _PLACES) * _PLACES
        with torch.inference_mode():
            decoder = GreedyDecoder(
                self.loaded.model,
                self.loaded.generation.ends,
                self._step(batch, self._places),
                batch,
                decoding.token_limit,
                stops,
                _LOOK_EVERY if self._cuda else 1,
            )
            self._advance, self._look = decoder.advance, decoder.look
            if self._cuda:
                decoder.prefill(encoded["input_ids"], encoded["attention_mask"])
                self._advance = _captured(decoder.advance, self.loaded.model)
                self._look = _captured(decoder.look, self.loaded.model)
                self._captures += 1
                self._capture_s += time.monotonic() - start_s
        self._decoder, self._decoding = decoder, decoding
        return decoder

    def _step(self, batch: int, places: int) -> Step:
        """The step of this model; its plan is made at the first call."""
        model = self.loaded.model
        if self._plan is None:
            self._plan = plan_of(model)
            if self._cuda and isinstance(self._plan, Plan):
                from codewatt.generate.static.triton_ops import kernels_for

                self._operations = kernels_for(model.device)
        if isinstance(self._plan, str):
            return ForwardStep(model, batch, places)
        return PlannedStep(model, self._plan, self._operations, batch, places)

    def _sorted(self, prompts: list[str]) -> tuple[dict[str, torch.Tensor], list[int]]:
        """Prompts encoded, shortest first, and the row of each."""
        encoded = self._encode(prompts)
        order = encoded["attention_mask"].sum(dim=1).argsort(stable=True)
        sorted_rows = {name: rows[order] for name, rows in encoded.items()}
        return sorted_rows, order.argsort().tolist()

    def _encode(self, prompts: list[str]) -> dict[str, torch.Tensor]:
        tokenizer = self.loaded.tokenizer
        filled = self.loaded.generation.padding(tokenizer)
        return padded(tokenizer, prompts, filled, self.loaded.device)


def _captured(work: Callable[[], None], model: Any) -> Callable[[], None]:
    """The launch of a CUDA graph that does what `work` does.

    Raises:
        InfeasibleError: it cannot be captured. That it cannot be run at all is another error.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_RUNS_BEFORE):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()  # what went wrong so far is no matter of capturing
    graph = torch.cuda.CUDAGraph()
    with _infeasible_if_it_fails(model), torch.cuda.graph(graph):
        work()
    graph.replay()
    torch.cuda.synchronize()
    return graph.replay  # type: ignore[no-any-return]


def _nothing() -> None:
    """Before there is a decoder."""


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
        first: BaseException = error  # later ones say only that the capture had failed already
        while isinstance(first.__context__, RuntimeError):
            first = first.__context__
        reason = " ".join(str(first).split())
        raise InfeasibleError(
            f"engine graph: a step of {type(model).__name__} cannot be captured: {reason[:200]}"
        ) from error


ENGINE = GraphEngine
