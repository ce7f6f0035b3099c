"""One step of a decoder: the newest token of each sequence in, logits out."""

from typing import Any, Protocol

import torch

from codewatt.generate.static.dense_decoder import Plan
from codewatt.generate.static.kv_cache import fixed_cache
from codewatt.generate.static.torch_ops import Memory, Operations


class Step(Protocol):
    """A step over buffers of fixed size. Same shapes, same addresses, no host: capturable.

    Attributes:
        cache: transformers' cache that a prompt is read into.
        place: int64 (1,), where the next token's keys and values go.
        start: int64 (batch,), the first place of each sequence; places before are padding.
    """

    cache: Any
    place: torch.Tensor
    start: torch.Tensor

    def __call__(self, latest: torch.Tensor) -> torch.Tensor:
        """Logits (batch, vocabulary) after the newest tokens int64 (batch,)."""


class ForwardStep:
    """transformers' own forward over a cache of fixed size; any architecture."""

    def __init__(self, model: Any, batch: int, length: int) -> None:
        self.model = model
        device = model.device
        self.place = torch.zeros(1, dtype=torch.int64, device=device)
        self.start = torch.zeros(batch, dtype=torch.int64, device=device)
        self._places = torch.arange(length, device=device)
        self.cache = fixed_cache(model.config.num_hidden_layers, batch, length, self.place)

    def __call__(self, latest: torch.Tensor) -> torch.Tensor:
        """See `Step`."""
        seen = (self._places <= self.place) & (self._places >= self.start[:, None])
        logits = self.model(
            input_ids=latest[:, None],
            attention_mask=seen[:, None, None],
            position_ids=(self.place - self.start)[:, None],
            past_key_values=self.cache,
            use_cache=True,
        ).logits
        return logits[:, -1]  # type: ignore[no-any-return]


class PlannedStep:
    """The products and attentions of a plan, one after the other; dense architectures."""

    def __init__(
        self, model: Any, plan: Plan, operations: Operations, batch: int, length: int
    ) -> None:
        self.plan, self.operations = plan, operations
        device = model.device
        self.place = torch.zeros(1, dtype=torch.int64, device=device)
        self.start = torch.zeros(batch, dtype=torch.int64, device=device)
        self.cache = fixed_cache(model.config.num_hidden_layers, batch, length, self.place)
        self._memory = Memory(*plan.rotations(length), self.place, self.start)

    def __call__(self, latest: torch.Tensor) -> torch.Tensor:
        """See `Step`."""
        plan, project = self.plan, self.operations.project
        hidden = torch.nn.functional.embedding(latest, plan.embedding)
        for layer, kept in zip(plan.layers, self.cache.layers, strict=True):
            entering = hidden
            qkv = project(layer.qkv, entering, norm=layer.attention_norm)
            attended = self.operations.attend(qkv, plan.heads, self._memory, kept.keys, kept.values)
            hidden = project(layer.out, attended, residual=entering)
            read = entering if layer.parallel else hidden
            wide = project(layer.up, read, norm=layer.mlp_norm, activation=plan.activation)
            hidden = project(layer.down, wide, residual=hidden)
        return project(plan.head, hidden, norm=plan.norm)
