"""Bytes of a loaded model, asked of the model itself, and the most that its process held."""

import math
import resource
from collections.abc import Iterable, Iterator
from typing import Any

from codewatt.sizing.architecture import Architecture


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


def peak_memory(device: str) -> dict[str, int | None]:
    """The most memory that this process has held so far.

    Args:
        device: 'cpu' or 'cuda'.

    Returns:
        device_bytes: what torch's allocator took of the GPU (CUDA's context is not in it); None on
        a CPU. host_bytes: resident.
    """
    reserved = None
    if device == "cuda":
        import torch

        reserved = int(torch.cuda.max_memory_reserved())
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    return {"device_bytes": reserved, "host_bytes": resident}


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
