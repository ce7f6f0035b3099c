"""Bytes of a loaded model, asked of the model itself, and the most that its process held."""

import math
import re
import resource
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codewatt.sizing.parameter_counts import Architecture
from codewatt.units import BYTES_PER_KIB

_FORGET = Path("/proc/self/clear_refs")


def step_weight_bytes(model: Any, architecture: Architecture | None = None) -> int:
    """Bytes of weights that one pass through the model must read.

    Every parameter and buffer once, at the size it has in memory: packed 4-bit weights with their
    scales, 8-bit ones with theirs. The input embedding's table is left out, as a step looks up a
    few of its rows, unless it is also the head. Of routed experts only as many count as one token
    is sent to: a batch can read more of them, but must not.

    Args:
        model: a causal language model of transformers.
        architecture: of its configuration; without one all experts count.
    """
    table = _unshared_embedding(model)
    return _bytes((pair for pair in _tensors(model) if pair[1] is not table), architecture)


def memory_bytes(model: Any) -> int:
    """Bytes of all parameters and buffers, packed as they are, with what belongs to them.

    Args:
        model: a causal language model of transformers.
    """
    return _bytes(_tensors(model), None)


class PeakMemory:
    """The most memory that this process has held, but for what is left out."""

    def __init__(self, device: str) -> None:
        """device: 'cpu' or 'cuda'."""
        self._device = device
        self._before: dict[str, int | None] = {}
        self._forgotten = True

    def read(self) -> dict[str, int | None]:
        """{"device_bytes", "host_bytes"} at their peak until now.

        device_bytes: what torch's allocator took of the GPU (CUDA's context is not in it); None on
        a CPU. host_bytes: resident; None where Linux did not forget a peak that is left out.
        """
        now = _peak(self._device)
        peak = {name: _larger(now[name], self._before.get(name)) for name in now}
        return peak if self._forgotten else {**peak, "host_bytes": None}

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """What is held in here counts for nothing, if it is given back at the end."""
        self._before = self.read()
        yield
        if self._device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
        try:
            _FORGET.write_text("5")  # proc(5): the peak of resident memory
        except OSError:
            self._forgotten = False


def _larger(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return max(known, default=None)


def _peak(device: str) -> dict[str, int | None]:
    reserved = None
    if device == "cuda":
        import torch

        reserved = int(torch.cuda.max_memory_reserved())
    return {"device_bytes": reserved, "host_bytes": _resident_peak()}


def _resident_peak() -> int:
    """From proc(5), where there is one: getrusage's begins with that of the process before exec."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * BYTES_PER_KIB
    unit = 1 if sys.platform == "darwin" else BYTES_PER_KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def step_parameter_bytes(model: Any, architecture: Architecture, element_bytes: int) -> int:
    """The same for a model that is not transformers' own: any module whose weights are parameters.

    Buffers do not count: they hold such things as every position's rotation, of which a step reads
    a few rows.

    Args:
        model: a torch.nn.Module; names of routed experts' parameters hold ".experts.".
        architecture: of its configuration.
        element_bytes: of a number in the input embedding.
    """
    table_bytes = 0 if architecture.tied else architecture.input_embedding * element_bytes
    return _bytes(model.named_parameters(), architecture) - table_bytes


def _bytes(tensors: Iterable[tuple[str, Any]], architecture: Architecture | None) -> int:
    """Of named tensors, each once; of routed experts the share that one token is sent to."""
    share = 1.0
    if architecture is not None and architecture.experts and architecture.active_experts:
        share = architecture.active_experts / architecture.experts
    found: dict[int, tuple[str, Any]] = {}
    for name, tensor in tensors:
        found.setdefault(id(tensor), (name, tensor))
    sizes = (
        tensor.numel() * tensor.element_size() * (share if ".experts." in name else 1.0)
        for name, tensor in found.values()
    )
    return round(math.fsum(sizes))


def _unshared_embedding(model: Any) -> Any:
    """The input embedding's table; None if it is also the head's."""
    table = model.get_input_embeddings().weight
    head = model.get_output_embeddings()
    return None if head is not None and head.weight is table else table


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Parameters, buffers, and what quantised layers keep beside them."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        yield from _plain(name, tensor)
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        for holder in (getattr(weight, "quant_state", None), getattr(module, "state", None)):
            yield from _held(f"{name}.state", holder)
        scales = getattr(weight, "SCB", None)  # LLM.int8()'s, until the first forward
        if hasattr(scales, "element_size"):
            yield f"{name}.SCB", scales


def _plain(name: str, tensor: Any) -> Iterator[tuple[str, Any]]:
    """The tensors that one is made of: torchao's classes have the size of what they stand for."""
    if not hasattr(tensor, "__tensor_flatten__"):
        yield name, tensor
        return
    for part in tensor.__tensor_flatten__()[0]:
        yield from _plain(f"{name}.{part}", getattr(tensor, part))


def _held(name: str, holder: Any) -> Iterator[tuple[str, Any]]:
    """Tensors of a bitsandbytes state: scales, code book, and those of double quantisation."""
    for key in ("absmax", "code", "offset", "SCB"):
        tensor = getattr(holder, key, None)
        if hasattr(tensor, "element_size"):
            yield f"{name}.{key}", tensor
    if getattr(holder, "state2", None) is not None:
        yield from _held(f"{name}.state2", holder.state2)
