"""Which of GPTQModel's kernels computes a packed layer, chosen here and not by what is installed.

On a CPU it is torch's, which dequantises a layer each time. On a GPU it is Marlin's (Frantar et al.
2024) or else Triton's, or torch's where neither fits. `readable` layers keep their tensors as the
checkpoint has them, for an engine that multiplies by kernels of its own; Marlin's have another
order. Layers of which no such engine could make anything get the fastest kernel all the same.
"""

import importlib
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any

from codewatt.models.packed_checkpoints import PackedFormat, PackedLayer

_LOG = logging.getLogger(__name__)
_PACKAGE = "gptqmodel.nn_modules.qlinear"
_TORCH = {"gptq": ("torch", "TorchLinear"), "awq": ("torch_awq", "AwqTorchLinear")}
_GPU = {
    "gptq": (("marlin", "MarlinLinear"), ("tritonv2", "TritonV2Linear")),
    "awq": (("marlin_awq", "AwqMarlinLinear"), ("gemm_awq_triton", "AwqGEMMTritonLinear")),
}


def make_packed_linear(
    layer: PackedLayer, packing: PackedFormat, dtype: Any, device: str, readable: bool
) -> Any:
    """A module for a packed layer, on the default device, without its content.

    Args:
        layer, packing: of the checkpoint.
        dtype: torch's, of all that is not packed.
        device: 'cpu' or 'cuda', where the layer will run.
        readable: keep the checkpoint's tensors as they are, if they are plain.
    """
    import torch

    kernel = _kernel(layer, packing, dtype, device, readable)
    module = kernel(
        bits=packing.bits,
        group_size=packing.group_size,
        sym=packing.symmetric,
        desc_act=packing.act_order,
        in_features=layer.in_features,
        out_features=layer.out_features,
        bias=layer.bias,
        pack_dtype=torch.int32,
        register_buffers=True,
        **({"dtype": dtype} if dtype in kernel.SUPPORTS_DTYPES else {}),
    )
    if module.bias is not None:
        module.bias = module.bias.to(dtype)
    if dtype == torch.float32 and packing.method == "gptq":
        module.scales = module.scales.to(dtype)  # or weights would be rounded to half precision
    return module.requires_grad_(False)


def _kernel(
    layer: PackedLayer, packing: PackedFormat, dtype: Any, device: str, readable: bool
) -> Any:
    """The class of the first kernel that takes a layer."""
    if device != "cpu" and not (readable and packing.plain):
        for module, name in _GPU[packing.method]:
            kernel = _named(module, name)
            if _fits(kernel, layer, packing, dtype):
                return kernel
    return _named(*_TORCH[packing.method])


def build_kernels(
    layers: Iterable[PackedLayer], packing: PackedFormat, dtype: Any, device: str, readable: bool
) -> None:
    """Build what kernels of layers need: Marlin is compiled at its first use, for minutes.

    Args: see `make_packed_linear`.
    """
    for layer in set(layers):
        _kernel(layer, packing, dtype, device, readable)


def _named(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name)


def _fits(kernel: Any, layer: PackedLayer, packing: PackedFormat, dtype: Any) -> bool:
    """Whether a GPU's kernel takes a layer and can be had: some are compiled at their first use."""
    import torch
    from gptqmodel.models._const import DEVICE

    fits, why = kernel.validate(
        bits=packing.bits,
        group_size=packing.group_size,
        desc_act=packing.act_order,
        sym=packing.symmetric,
        in_features=layer.in_features,
        out_features=layer.out_features,
        pack_dtype=torch.int32,
        dtype=dtype,
        device=DEVICE.CUDA,
    )
    if fits and "Marlin" in kernel.__name__:
        from gptqmodel.utils.marlin import marlin_runtime_available, marlin_runtime_error

        fits = marlin_runtime_available(dtype)
        why = None if fits else marlin_runtime_error(dtype)
    if not fits:
        _LOG.info("%s does not take a layer: %s", kernel.__name__, " ".join(str(why).split()))
    return bool(fits)


def finish(model: Any, packing: PackedFormat) -> None:
    """Bring packed layers into the form that their kernels read, once their content is loaded."""
    import torch
    from gptqmodel.nn_modules.qlinear import BaseQuantLinear
    from gptqmodel.utils.model import convert_gptq_v1_to_v2_format_module

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, BaseQuantLinear):
                if packing.zeros_less_one and module.REQUIRES_FORMAT_V2:
                    convert_gptq_v1_to_v2_format_module(module, packing.bits, torch.int32)
                elif packing.method == "gptq" and not packing.zeros_less_one:
                    module.qzero_format(format=2)
                module.optimized = True  # it would have torch compile each layer's dequantising
                module.post_init()


def kernel_counts(model: Any) -> dict[str, int]:
    """Name -> layers, of the classes that compute a model's linear layers.

    torchao's layers are torch's own; what computes them is the class of their weights.
    """
    names = [
        type(module.weight).__name__
        if _of_torchao(getattr(module, "weight", None))
        else type(module).__name__
        for module in model.modules()
        if hasattr(module, "in_features") and hasattr(module, "out_features")
    ]
    return dict(sorted(Counter(names).items()))


def _of_torchao(weight: Any) -> bool:
    return type(weight).__module__.startswith("torchao.")
