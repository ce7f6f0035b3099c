"""A model's decoder layers: what flows between them on a corpus, and the model without some."""

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.model_config import refuse_long_sequences

#: Tokens of a batch: what is kept at a time is (layers + 1) states of so many tokens.
_BATCH_TOKENS = 2048


class LayeredModel:
    """A causal language model, and the sequences on which its layers are looked at.

    Memory does not grow with the number of sequences. Sequences of equal length are read together,
    so that there is no padding; nothing is cached between tokens.

    Args:
        model: transformers' own, in evaluation mode.
        sequences: token ids, two or more each.
        device: 'cpu' or 'cuda', where the model is.
        judged_from: of each sequence the index of the first token that perplexity is taken of; 1
            (all but the first token) if absent.

    Attributes:
        layers: the decoder layers, in order.

    Raises:
        CodewattError: the decoder layers cannot be told, one's output is not the next's input, or a
            sequence is longer than the model can read.
    """

    def __init__(
        self,
        model: Any,
        sequences: Sequence[Sequence[int]],
        device: str,
        judged_from: Sequence[int] | None = None,
    ) -> None:
        self.device = device
        self.layers = decoder_layers(model)
        self._model = model
        refuse_long_sequences(sequences, model.config)
        self._batches = _batches(sequences, judged_from or [1] * len(sequences))
        next(self.hidden_states())  # refuses what is no chain of layers

    def hidden_states(self, *, last_token_only: bool = False) -> Iterator[list[Any]]:
        """The residual stream of each batch: layers + 1 tensors [batch, tokens, hidden].

        Tensor l is the input of layer l; the last one is the output of the last layer, before the
        final norm. With `last_token_only` each has one token, its sequence's last.
        """
        import torch

        for ids, _ in self._on_device():
            recorder = _Recorder(last_token_only)
            with torch.inference_mode(), recorder.attached(self.layers):
                self._model.base_model(input_ids=ids, use_cache=False)
            if not recorder.chained or len(recorder.states) != len(self.layers):
                raise CodewattError(
                    f"{type(self._model).__name__}: its decoder layers do not feed one another "
                    f"directly, so they can be neither scored nor skipped"
                )
            yield [*recorder.states, recorder.output]

    def perplexity(self, without: Collection[int] = ()) -> float:
        """exp of the mean negative log-likelihood of all tokens that are judged.

        Args:
            without: layers that are skipped: their input is their output.

        Raises:
            CodewattError: it is not finite, or no token is judged.
        """
        import torch

        total = torch.zeros((), dtype=torch.float64, device=self.device)
        tokens = 0
        with torch.inference_mode(), _skipped([self.layers[index] for index in without]):
            for ids, judged_from in self._on_device():
                logits = self._model(input_ids=ids, use_cache=False).logits
                for row, wanted, first in zip(logits, ids, judged_from, strict=True):
                    total += torch.nn.functional.cross_entropy(
                        row[first - 1 : -1].float(), wanted[first:], reduction="sum"
                    )  # in float32 of one sequence only
                    tokens += len(wanted[first:])
        if not tokens:
            raise CodewattError(
                "corpus: every sequence ends before the first token that perplexity is taken of; "
                "allowed: more tokens"
            )
        mean = total.item() / tokens
        if not math.isfinite(mean) or mean > 700:  # beyond, exp overflows
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
    """The modules of a transformers model that are its decoder layers.

    Raises:
        CodewattError: there is not exactly one list 'layers' or 'h' as long as the configuration
            says.
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
            f"{type(model).__name__}: {len(found)} lists 'layers' or 'h' of {count} modules in it; "
            f"one is needed"
        )
    return list(found[0])


def _batches(
    sequences: Sequence[Sequence[int]], judged_from: Sequence[int]
) -> list[list[tuple[list[int], int]]]:
    """Sequences of equal length together, at most _BATCH_TOKENS tokens of several."""
    by_length: dict[int, list[tuple[list[int], int]]] = {}
    for ids, first in zip(sequences, judged_from, strict=True):
        by_length.setdefault(len(ids), []).append((list(ids), first))
    return [
        equal[start : start + size]
        for length, equal in sorted(by_length.items())
        for size in (max(_BATCH_TOKENS // length, 1),)
        for start in range(0, len(equal), size)
    ]


class _Recorder:
    """What goes into each layer and comes out of the last one, and whether they are a chain."""

    def __init__(self, last_token_only: bool) -> None:
        self.states: list[Any] = []
        self.chained = True
        self._last_token_only = last_token_only
        self._passed: Any = None

    @property
    def output(self) -> Any:
        """The last layer's output."""
        return self._part(self._passed)

    @contextmanager
    def attached(self, layers: Sequence[Any]) -> Iterator[None]:
        """Listen to the layers."""
        hooks = [layer.register_forward_pre_hook(self._before) for layer in layers]
        hooks += [layer.register_forward_hook(self._after) for layer in layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _before(self, _: Any, inputs: tuple[Any, ...]) -> None:
        state = inputs[0] if inputs else None
        if state is None or (self.states and state is not self._passed):
            self.chained = False
        else:
            self.states.append(self._part(state))

    def _after(self, _: Any, __: tuple[Any, ...], output: Any) -> None:
        self._passed = output

    def _part(self, state: Any) -> Any:
        return state[:, -1:].clone() if self._last_token_only else state


@contextmanager
def _skipped(layers: Sequence[Any]) -> Iterator[None]:
    """Let layers hand on their input; what they are and where they stand does not change."""
    own = [vars(layer).get("forward") for layer in layers]  # None: its class's
    for layer in layers:
        layer.forward = _hand_on
    try:
        yield
    finally:
        for layer, forward in zip(layers, own, strict=True):
            del layer.forward
            if forward is not None:
                layer.forward = forward


def _hand_on(hidden_states: Any, *_: Any, **__: Any) -> Any:
    return hidden_states
