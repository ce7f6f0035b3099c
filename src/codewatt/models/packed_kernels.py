"""Chooses the GPTQModel kernel of a packed layer, independently of what else is installed.

On a CPU it is the torch kernel, which dequantises the layer at each call. On a GPU it is Marlin
(Frantar et al. 2024), else Triton, else torch. With `keep_packed_layout`, layers keep the
checkpoint's tensors for the kernels of our own engine (Marlin reorders them), except layers that
our kernels cannot read.
"""

import importlib
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any

from codewatt.models.packed_checkpoints import PackedLayer
from codewatt.models.packed_format import PackedFormat

_LOG = logging.getLogger(__name__)
_PACKAGE = "gptqmodel.nn_modules.qlinear"
_TORCH = {"gptq": ("torch", "TorchLinear"), "awq": ("torch_awq", "AwqTorchLinear")}
_GPU = {
    "gptq": (("marlin", "MarlinLinear"), ("tritonv2", "TritonV2Linear")),
    "awq": (("marlin_awq", "AwqMarlinLinear"), ("gemm_awq_triton", "AwqGEMMTritonLinear")),
}


def make_packed_linear(
    layer: PackedLayer, packing: PackedFormat, dtype: Any, device: str, keep_packed_layout: bool
) -> Any:
    """Make the module of a packed layer, on the default device, without weights.

    Args:
        layer: shape of the layer.
        packing: format of the checkpoint.
        dtype: torch.dtype of all that is not packed.
        device: 'cpu' or 'cuda', where the layer will run.
        keep_packed_layout: keep the checkpoint's tensors, if our kernels read this format.
    """
    import torch

    kernel = _kernel(layer, packing, dtype, device, keep_packed_layout)
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
        module.scales = module.scales.to(dtype)  # else weights would be rounded to half precision
    return module.requires_grad_(False)


def _kernel(
    layer: PackedLayer, packing: PackedFormat, dtype: Any, device: str, keep_packed_layout: bool
) -> Any:
    """The class of the first kernel that supports a layer."""
    if device != "cpu" and not (keep_packed_layout and packing.unpackable):
        for module, name in _GPU[packing.method]:
            kernel = _kernel_class(module, name)
            if _fits(kernel, layer, packing, dtype):
                return kernel
    return _kernel_class(*_TORCH[packing.method])


def build_kernels(
    layers: Iterable[PackedLayer],
    packing: PackedFormat,
    dtype: Any,
    device: str,
    keep_packed_layout: bool,
) -> None:
    """Compile the kernels of layers: Marlin compiles at its first use, which takes minutes.

    Args: see `make_packed_linear`.
    """
    for layer in set(layers):
        _kernel(layer, packing, dtype, device, keep_packed_layout)


def _kernel_class(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name)


def _fits(kernel: Any, layer: PackedLayer, packing: PackedFormat, dtype: Any) -> bool:
    """Whether a GPU kernel supports a layer and is available (Marlin compiles at first use)."""
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
        _LOG.info("%s does not support a layer: %s", kernel.__name__, " ".join(str(why).split()))
    return bool(fits)


def convert_for_kernels(model: Any, packing: PackedFormat) -> None:
    """Convert the loaded tensors of packed layers into the layouts of their kernels."""
    import torch
    from gptqmodel.nn_modules.qlinear import BaseQuantLinear
    from gptqmodel.utils.model import convert_gptq_v1_to_v2_format_module

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, BaseQuantLinear):
                if packing.stores_zero_points_minus_one and module.REQUIRES_FORMAT_V2:
                    convert_gptq_v1_to_v2_format_module(module, packing.bits, torch.int32)
                elif packing.method == "gptq" and not packing.stores_zero_points_minus_one:
                    module.qzero_format(format=2)
                module.optimized = True  # prevents torch.compile of each layer's dequantisation
                module.post_init()


def count_linear_kernels(model: Any) -> dict[str, int]:
    """Count a model's linear layers by the class that computes them: name -> number of layers.

    torchao keeps torch.nn.Linear; there the class of the weight counts.
    """
    names = [
        type(module.weight).__name__
        if _is_torchao(getattr(module, "weight", None))
        else type(module).__name__
        for module in model.modules()
        if hasattr(module, "in_features") and hasattr(module, "out_features")
    ]
    return dict(sorted(Counter(names).items()))


def _is_torchao(weight: Any) -> bool:
    return type(weight).__module__.startswith("torchao.")
