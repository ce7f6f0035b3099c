"""torchao's layouts of quantised weights: for which device each is, and how it is loaded."""

from typing import Any, Literal

from codewatt.errors import CodewattError

Layout = Literal["int8_plain", "int4_cpu", "int4_tile_packed", "fp8_plain", "fp8_dynamic"]

#: Key in a checkpoint's quantization_config: vector instructions that int4_cpu was packed for.
CPU_CAPABILITY = "cpu_capability"
_DEVICES = {"int4_cpu": "cpu", "int4_tile_packed": "cuda", "fp8_dynamic": "cuda"}
#: The lowest compute capability whose GPUs multiply fp8 (Ada, Hopper and later).
FP8_CAPABILITY = (8, 9)
_CONFIGURATIONS: dict[str, Layout] = {
    "Int8WeightOnlyConfig": "int8_plain",
    "PrototypeInt4WeightOnlyConfig": "int4_cpu",
    "Int4WeightOnlyConfig": "int4_tile_packed",
    "Float8WeightOnlyConfig": "fp8_plain",
    "Float8DynamicActivationFloat8WeightConfig": "fp8_dynamic",
}


def choose_layout(quant_type: str, device: str) -> Layout:
    """The layout of a quantisation type on a device.

    int8 and fp8 have one layout for both devices. int4 has the layouts of torch's kernels
    `_weight_int4pack_mm_for_cpu` and `_weight_int4pack_mm` (tinygemm); neither device reads the
    other's.

    Args:
        quant_type: 'int8', 'int4', 'fp8' or 'fp8_dynamic'.
        device: 'cpu' or 'cuda'.

    Raises:
        CodewattError: quant_type is fp8_dynamic and the device cannot multiply fp8 numbers.
    """
    if quant_type == "int8":
        return "int8_plain"
    if quant_type == "fp8":
        return "fp8_plain"
    if quant_type == "fp8_dynamic":
        if why := fp8_refusal(device):
            raise CodewattError(f"torchao fp8_dynamic {why}; allowed there: quant_type fp8")
        return "fp8_dynamic"
    return "int4_cpu" if device == "cpu" else "int4_tile_packed"


def fp8_refusal(device: str) -> str | None:
    """Why a device ('cpu' or 'cuda') cannot multiply fp8 numbers; None if it can."""
    import torch

    needed = ".".join(map(str, FP8_CAPABILITY))
    if device == "cpu":
        return f"needs a GPU of compute capability {needed} or later, and the device is 'cpu'"
    found = torch.cuda.get_device_capability()
    if found < FP8_CAPABILITY:
        return f"needs compute capability {needed}, and this GPU has {found[0]}.{found[1]}"
    return None


def cpu_capability() -> str:
    """The vector instructions that torch uses on this CPU, e.g. 'AVX512'; int4_cpu needs them."""
    import torch

    return str(torch.backends.cpu.get_cpu_capability())


def check_torchao_checkpoint(configuration: dict[str, Any], device: str) -> None:
    """Check that a torchao checkpoint can be loaded and run on a device; before loading it.

    Args:
        configuration: a checkpoint's config.json; other checkpoints than torchao's always pass.
        device: 'cpu' or 'cuda'.

    Raises:
        CodewattError: the weights are packed for another device or for other vector instructions.
            torch does not check the latter: the model would load and compute wrong logits.
    """
    quantised = configuration.get("quantization_config") or {}
    if quantised.get("quant_method") != "torchao":
        return
    name = quantised["quant_type"]["default"]["_type"]
    layout = _CONFIGURATIONS.get(name)
    if layout is None:
        raise CodewattError(
            f"config.json: torchao checkpoints of type {name} are not supported; allowed: "
            f"{', '.join(sorted(_CONFIGURATIONS))}"
        )
    if layout == "fp8_dynamic":
        choose_layout("fp8_dynamic", device)
    if device != _DEVICES.get(layout, device):
        raise CodewattError(
            f"torchao's int4 weights are packed for device '{_DEVICES[layout]}', not '{device}': "
            "quantise the model on the device that runs it"
        )
    if layout == "int4_cpu":
        packed, here = quantised.get(CPU_CAPABILITY), cpu_capability()
        if packed != here:
            raise CodewattError(
                f"torchao's int4 weights are packed for a CPU with {packed}, and torch uses {here} "
                "on this machine: quantise again on this machine"
            )
        register_int4_cpu_tensor()


def register_int4_cpu_tensor() -> None:
    """Let torchao save and load the CPU's int4 layout as safetensors.

    torchao 0.18 can serialise this tensor class, but does not list it as allowed.
    """
    from torchao.core import config
    from torchao.prototype.quantization.int4 import Int4OpaqueTensor
    from torchao.prototype.safetensors import safetensors_utils

    name = Int4OpaqueTensor.__name__
    config.ALLOWED_AO_MODULES.add("torchao.prototype.quantization.int4")
    safetensors_utils.ALLOWED_CLASSES[name] = Int4OpaqueTensor
    if name not in safetensors_utils.ALLOWED_TENSORS_SUBCLASSES:
        safetensors_utils.ALLOWED_TENSORS_SUBCLASSES.append(name)
