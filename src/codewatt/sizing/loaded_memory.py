"""Memory of a loaded model, from its tensors, and peak memory of the process."""

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

_CLEAR_REFS = Path("/proc/self/clear_refs")


def step_weight_bytes(model: Any, architecture: Architecture | None = None) -> int:
    """Bytes of weights that one forward pass of the model must read.

    Every parameter and buffer counts once, with its size in memory (quantised weights with their
    scales). The input embedding does not count unless it is tied to the head, because a step reads
    only a few of its rows. Of routed experts, only the number that one token uses is counted, which
    is the minimum for a batch.

    Args:
        model: a causal language model of transformers.
        architecture: the model's architecture; None: all experts count.
    """
    table = _unshared_embedding(model)
    return _bytes((pair for pair in _tensors(model) if pair[1] is not table), architecture)


def memory_bytes(model: Any) -> int:
    """Bytes of all parameters and buffers; quantised weights count packed, with their scales.

    Args:
        model: a causal language model of transformers.
    """
    return _bytes(_tensors(model), None)


class PeakMemory:
    """Peak memory of this process, without the peaks inside `excluded` blocks."""

    def __init__(self, device: str) -> None:
        """Start from the peak so far.

        Args:
            device: 'cpu' or 'cuda'.
        """
        self._device = device
        self._before: dict[str, int | None] = {}
        self._peak_was_reset = True

    def read(self) -> dict[str, int | None]:
        """Peak memory so far.

        Returns:
            device_bytes: GPU memory that torch's allocator reserved (without the CUDA context);
            None on a CPU. host_bytes: resident host memory; None if the kernel could not reset the
            peak of an excluded block.
        """
        now = _peak(self._device)
        peak = {name: _larger(now[name], self._before.get(name)) for name in now}
        return peak if self._peak_was_reset else {**peak, "host_bytes": None}

    @contextmanager
    def excluded(self) -> Iterator[None]:
        """Memory that is allocated and freed inside the block does not count towards the peak."""
        self._before = self.read()
        yield
        if self._device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
        try:
            _CLEAR_REFS.write_text("5")  # proc(5): reset the peak of resident memory
        except OSError:
            self._peak_was_reset = False


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
    """Peak resident memory (bytes), from /proc if it exists.

    getrusage is the fallback; it includes the peak of the process before exec.
    """
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * BYTES_PER_KIB
    unit = 1 if sys.platform == "darwin" else BYTES_PER_KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def step_parameter_bytes(model: Any, architecture: Architecture, element_bytes: int) -> int:
    """`step_weight_bytes` of a model that is not from transformers, such as vLLM's.

    Only parameters count. Buffers do not: they are tables (such as rotary embeddings) of which a
    step reads a few rows.

    Args:
        model: a torch.nn.Module; names of routed experts' parameters contain ".experts.".
        architecture: the model's architecture.
        element_bytes: bytes of one element of the input embedding.
    """
    table_bytes = 0 if architecture.tied else architecture.input_embedding * element_bytes
    return _bytes(model.named_parameters(), architecture) - table_bytes


def _bytes(tensors: Iterable[tuple[str, Any]], architecture: Architecture | None) -> int:
    """Bytes of tensors, each counted once; of routed experts only the share that one token uses."""
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
    """Weight of the input embedding; None if it is tied to the head."""
    table = model.get_input_embeddings().weight
    head = model.get_output_embeddings()
    return None if head is not None and head.weight is table else table


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name, tensor) of parameters, buffers and the quantisation state of layers."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        yield from _plain_tensors(name, tensor)
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        for holder in (getattr(weight, "quant_state", None), getattr(module, "state", None)):
            yield from _state_tensors(f"{name}.state", holder)
        scales = getattr(weight, "SCB", None)  # scales of LLM.int8() before the first forward pass
        if hasattr(scales, "element_size"):
            yield f"{name}.SCB", scales


def _plain_tensors(name: str, tensor: Any) -> Iterator[tuple[str, Any]]:
    """The plain tensors inside a tensor subclass: torchao's classes report the unpacked size."""
    if not hasattr(tensor, "__tensor_flatten__"):
        yield name, tensor
        return
    for part in tensor.__tensor_flatten__()[0]:
        yield from _plain_tensors(f"{name}.{part}", getattr(tensor, part))


def _state_tensors(name: str, holder: Any) -> Iterator[tuple[str, Any]]:
    """Tensors of a bitsandbytes quantisation state: scales, code book, double quantisation."""
    for key in ("absmax", "code", "offset", "SCB"):
        tensor = getattr(holder, key, None)
        if hasattr(tensor, "element_size"):
            yield f"{name}.{key}", tensor
    if getattr(holder, "state2", None) is not None:
        yield from _state_tensors(f"{name}.state2", holder.state2)
