"""Hidden states between a model's decoder layers, and perplexity with some layers skipped."""

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.model_config import check_sequence_lengths

#: Maximum of tokens in a batch; memory holds (layers + 1) hidden states of these tokens.
_BATCH_TOKENS = 2048


class LayeredModel:
    """A causal language model with sequences on which its decoder layers are scored.

    Memory does not grow with the number of sequences. Sequences of equal length form batches, so
    there is no padding; there is no KV cache.

    Args:
        model: of transformers, in evaluation mode.
        sequences: token ids, at least two per sequence.
        device: 'cpu' or 'cuda', where the model is.
        scored_from: for each sequence the index of the first token that perplexity counts; 1 (all
            but the first token) if absent.

    Attributes:
        layers: the decoder layers, in order.

    Raises:
        CodewattError: the decoder layers cannot be found, the output of one is not the input of the
            next, or a sequence is longer than the model's context.
    """

    def __init__(
        self,
        model: Any,
        sequences: Sequence[Sequence[int]],
        device: str,
        scored_from: Sequence[int] | None = None,
    ) -> None:
        self.device = device
        self.layers = decoder_layers(model)
        self._model = model
        check_sequence_lengths(sequences, model.config)
        self._batches = _batches(sequences, scored_from or [1] * len(sequences))
        next(self.hidden_states())  # refuses layers that do not form a chain

    def hidden_states(self, *, last_token_only: bool = False) -> Iterator[list[Any]]:
        """Yield the hidden states of each batch: layers + 1 tensors (batch, tokens, hidden).

        Tensor l is the input of layer l; the last tensor is the output of the last layer, before
        the final norm. With `last_token_only` the tokens are each sequence's last token only.
        """
        import torch

        for ids, _ in self._on_device():
            recorder = _Recorder(last_token_only)
            with torch.inference_mode(), recorder.attached(self.layers):
                self._model.base_model(input_ids=ids, use_cache=False)
            if not recorder.chained or len(recorder.states) != len(self.layers):
                raise CodewattError(
                    f"{type(self._model).__name__}: the output of a decoder layer is not the "
                    "input of the next, so layers can be neither scored nor skipped; use prune "
                    "method last or keep_last"
                )
            yield [*recorder.states, recorder.output]

    def perplexity(self, without: Collection[int] = ()) -> float:
        """Perplexity: exp of the mean negative log-likelihood of all tokens from `scored_from` on.

        Args:
            without: indices of layers that are skipped: their output is their input.

        Raises:
            CodewattError: it is not finite, or no token counts.
        """
        import torch

        total = torch.zeros((), dtype=torch.float64, device=self.device)
        tokens = 0
        with torch.inference_mode(), _skipped([self.layers[index] for index in without]):
            for ids, scored_from in self._on_device():
                logits = self._model(input_ids=ids, use_cache=False).logits
                for row, tokens_of_row, first in zip(logits, ids, scored_from, strict=True):
                    total += torch.nn.functional.cross_entropy(
                        row[first - 1 : -1].float(), tokens_of_row[first:], reduction="sum"
                    )  # float32 logits of one sequence at a time
                    tokens += len(tokens_of_row[first:])
        if not tokens:
            raise CodewattError(
                "corpus: every sequence ends before the first token that perplexity counts; use "
                "longer sequences (more tokens)"
            )
        mean = total.item() / tokens
        if not math.isfinite(mean) or mean > 700:  # beyond 700, exp overflows
            raise CodewattError(
                f"perplexity without layers {sorted(without)}: the mean negative log-likelihood is "
                f"{mean}; allowed: a finite number up to 700"
            )
        return math.exp(mean)

    def _on_device(self) -> Iterator[tuple[Any, list[int]]]:
        import torch

        for batch in self._batches:
            yield torch.tensor([ids for ids, _ in batch], device=self.device), [n for _, n in batch]


def decoder_layers(model: Any) -> list[Any]:
    """The decoder layers of a transformers model.

    Raises:
        CodewattError: there is not exactly one module list 'layers' or 'h' of num_hidden_layers
            modules.
    """
    import torch

    count = model.config.num_hidden_layers
    found = [
        module
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in ("layers", "h")
        and isinstance(module, torch.nn.ModuleList)
        and len(module) == count
    ]
    if len(found) != 1:
        raise CodewattError(
            f"{type(model).__name__}: {len(found)} module lists 'layers' or 'h' of "
            f"num_hidden_layers = {count} modules; allowed: exactly one"
        )
    return list(found[0])


def _batches(
    sequences: Sequence[Sequence[int]], scored_from: Sequence[int]
) -> list[list[tuple[list[int], int]]]:
    """Batches of sequences of equal length; _BATCH_TOKENS tokens at most, or one sequence."""
    by_length: dict[int, list[tuple[list[int], int]]] = {}
    for ids, first in zip(sequences, scored_from, strict=True):
        by_length.setdefault(len(ids), []).append((list(ids), first))
    return [
        equal[start : start + size]
        for length, equal in sorted(by_length.items())
        for size in (max(_BATCH_TOKENS // length, 1),)
        for start in range(0, len(equal), size)
    ]


class _Recorder:
    """Records each layer's input and the last output, and whether the layers form a chain."""

    def __init__(self, last_token_only: bool) -> None:
        self.states: list[Any] = []
        self.chained = True
        self._last_token_only = last_token_only
        self._last_output: Any = None

    @property
    def output(self) -> Any:
        """The last layer's output."""
        return self._selected(self._last_output)

    @contextmanager
    def attached(self, layers: Sequence[Any]) -> Iterator[None]:
        """Record while the block runs."""
        hooks = [layer.register_forward_pre_hook(self._before) for layer in layers]
        hooks += [layer.register_forward_hook(self._after) for layer in layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _before(self, _: Any, inputs: tuple[Any, ...]) -> None:
        state = inputs[0] if inputs else None
        if state is None or (self.states and state is not self._last_output):
            self.chained = False
        else:
            self.states.append(self._selected(state))

    def _after(self, _: Any, __: tuple[Any, ...], output: Any) -> None:
        self._last_output = output

    def _selected(self, state: Any) -> Any:
        return state[:, -1:].clone() if self._last_token_only else state


@contextmanager
def _skipped(layers: Sequence[Any]) -> Iterator[None]:
    """Within the block, these layers return their input."""
    forwards = [vars(layer).get("forward") for layer in layers]  # None: the method of its class
    for layer in layers:
        layer.forward = _return_input
    try:
        yield
    finally:
        for layer, forward in zip(layers, forwards, strict=True):
            del layer.forward
            if forward is not None:
                layer.forward = forward


def _return_input(hidden_states: Any, *_: Any, **__: Any) -> Any:
    return hidden_states
