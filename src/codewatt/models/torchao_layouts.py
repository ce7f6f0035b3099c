"""torchao's layouts of quantised weights: which device each is for, and how one is read back."""

from typing import Any, Literal

from codewatt.errors import CodewattError

Layout = Literal["int8_plain", "int4_cpu", "int4_tile_packed", "fp8_plain", "fp8_dynamic"]

CPU_CAPABILITY = "cpu_capability"  # the key in a checkpoint's quantization_config
_DEVICES = {"int4_cpu": "cpu", "int4_tile_packed": "cuda", "fp8_dynamic": "cuda"}
#: From this compute capability on a GPU multiplies fp8 (Ada, Hopper and later).
FP8_CAPABILITY = (8, 9)
_CONFIGURATIONS: dict[str, Layout] = {
    "Int8WeightOnlyConfig": "int8_plain",
    "PrototypeInt4WeightOnlyConfig": "int4_cpu",
    "Int4WeightOnlyConfig": "int4_tile_packed",
    "Float8WeightOnlyConfig": "fp8_plain",
    "Float8DynamicActivationFloat8WeightConfig": "fp8_dynamic",
}


def layout_for(quant_type: str, device: str) -> Layout:
    """The layout that a quantisation type has on a device ('cpu' or 'cuda').

    int8 and fp8 have one for both. int4's are those of torch's two kernels, on the CPU
    `_weight_int4pack_mm_for_cpu` and tinygemm's `_weight_int4pack_mm`; neither device reads the
    other's.

    Raises:
        CodewattError: the device cannot multiply fp8 inputs, as fp8_dynamic does.
    """
    if quant_type == "int8":
        return "int8_plain"
    if quant_type == "fp8":
        return "fp8_plain"
    if quant_type == "fp8_dynamic":
        if why := lacks_fp8(device):
            raise CodewattError(f"torchao fp8_dynamic {why}; allowed there: quant_type fp8")
        return "fp8_dynamic"
    return "int4_cpu" if device == "cpu" else "int4_tile_packed"


def lacks_fp8(device: str) -> str | None:
    """Why a device cannot multiply fp8 numbers, or None if it can."""
    import torch

    needed = ".".join(map(str, FP8_CAPABILITY))
    if device == "cpu":
        return f"needs a GPU of compute capability {needed} or later, and the device is 'cpu'"
    found = torch.cuda.get_device_capability()
    if found < FP8_CAPABILITY:
        return f"needs compute capability {needed}, and this GPU has {found[0]}.{found[1]}"
    return None


def cpu_capability() -> str:
    """The vector instructions that torch uses here, e.g. 'AVX512': int4_cpu depends on them."""
    import torch

    return str(torch.backends.cpu.get_cpu_capability())


def prepare_loading(configuration: dict[str, Any], device: str) -> None:
    """See that a checkpoint can be read and run here, before anything is loaded.

    Args:
        configuration: a checkpoint's config.json; nothing happens unless torchao quantised it.
        device: 'cpu' or 'cuda'.

    Raises:
        CodewattError: the weights are packed for another device or for other vector instructions.
            torch would not notice the latter: the model would load and answer nonsense.
    """
    quantised = configuration.get("quantization_config") or {}
    if quantised.get("quant_method") != "torchao":
        return
    name = quantised["quant_type"]["default"]["_type"]
    layout = _CONFIGURATIONS.get(name)
    if layout is None:
        raise CodewattError(
            f"torchao's {name} is not read here; allowed: {', '.join(sorted(_CONFIGURATIONS))}"
        )
    if layout == "fp8_dynamic":
        layout_for("fp8_dynamic", device)
    if device != _DEVICES.get(layout, device):
        raise CodewattError(
            f"torchao's int4 weights are packed for device '{_DEVICES[layout]}', not '{device}': "
            "quantise on the device that runs them"
        )
    if layout == "int4_cpu":
        packed, here = quantised.get(CPU_CAPABILITY), cpu_capability()
        if packed != here:
            raise CodewattError(
                f"torchao's int4 weights are packed for a CPU with {packed}, and torch uses {here} "
                "here: quantise again on this machine"
            )
        admit_int4_cpu()


def admit_int4_cpu() -> None:
    """Let torchao save and read the CPU's int4 layout as safetensors.

    torchao 0.18 can write each tensor of this layout, but leaves its class out of the lists that
    name what may be written and read.
    """
    from torchao.core import config
    from torchao.prototype.quantization.int4 import Int4OpaqueTensor
    from torchao.prototype.safetensors import safetensors_utils

    name = Int4OpaqueTensor.__name__
    config.ALLOWED_AO_MODULES.add("torchao.prototype.quantization.int4")
    safetensors_utils.ALLOWED_CLASSES[name] = Int4OpaqueTensor
    if name not in safetensors_utils.ALLOWED_TENSORS_SUBCLASSES:
        safetensors_utils.ALLOWED_TENSORS_SUBCLASSES.append(name)
