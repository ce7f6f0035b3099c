"""torchao 0.18: weights in int8 or fp8 per output channel, or in int4 per group.

fp8 is E4M3 of Micikevicius et al. 2022. As `fp8_dynamic` the inputs of a product are quantised as
well, as they come, and the matrix units multiply fp8 by fp8; weights and inputs then have one scale
a tensor, as the library's products with scales a row do not take all shapes (12288 inputs with a
bias and few rows, on an H200).
"""

from pathlib import Path
from typing import Any

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.errors import CodewattError
from codewatt.models.loading import load_model
from codewatt.models.model_record import QuantisedCounts
from codewatt.models.torchao_layouts import (
    CPU_CAPABILITY,
    Layout,
    admit_int4_cpu,
    cpu_capability,
    layout_for,
)
from codewatt.quantise.linear_selection import linear_layers
from codewatt.quantise.quantiser import Quantiser

_CPU_GROUP_SIZES = (32, 64, 128)
_CPU_OUT_MULTIPLE = 16  # torch's packing for the CPU takes whole blocks of rows
_WEIGHT_TYPES = {
    "int8_plain": "Int8Tensor",
    "int4_cpu": "Int4OpaqueTensor",
    "int4_tile_packed": "Int4TilePackedTo4dTensor",
    "fp8_plain": "Float8Tensor",
    "fp8_dynamic": "Float8Tensor",
}
_WITHOUT_GROUPS = ("int8_plain", "fp8_plain", "fp8_dynamic")
# tinygemm's kernel takes whole tiles: torchao pads what it packs for a GPU to these multiples.
_TILE_IN, _TILE_OUT = 1024, 8


class TorchAo(Quantiser):
    """Quantises each linear layer but the head while the model is loaded."""

    def load_dtype(self, settings: dict[str, Any]) -> str:
        """See `Quantiser.load_dtype`."""
        return str(settings["compute_dtype"])

    def import_libraries(self, settings: dict[str, Any]) -> None:
        """See `Quantiser.import_libraries`."""
        import torchao.prototype.quantization.int4  # noqa: F401
        import transformers.modeling_utils  # noqa: F401

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: dict[str, Any],
        device: str,
        calibration: PreparedCorpus | None = None,
    ) -> QuantisedCounts:
        """See `Quantiser.quantise`.

        Raises:
            CodewattError: the device has no kernel for these settings, the model has no linear
                layer, a layer has a shape that the settings do not fit (all before any weight is
                read), or a layer was not quantised.
        """
        layout = layout_for(settings["quant_type"], device)
        check_settings(settings, layout)
        layers = linear_layers(source)
        if not layers:
            raise CodewattError("the model has no linear layer that torchao could quantise")
        for name, shape in layers.items():
            check_layer(name, shape, settings, layout)
        loaded = load_model(
            source,
            dtype=self.load_dtype(settings),
            device=device,
            quantisation=configuration(settings, layout),
        )
        counts = count_quantised(loaded.model, layers, settings, layout)
        loaded.model.save_pretrained(target)
        loaded.tokenizer.save_pretrained(target)
        return counts


def check_settings(settings: dict[str, Any], layout: Layout) -> None:
    """Whether the device's kernel takes the settings.

    Raises:
        CodewattError: it does not; says which device or setting it needs.
    """
    if layout == "int4_tile_packed" and settings["compute_dtype"] != "bfloat16":
        raise CodewattError(
            f"torchao int4 on device 'cuda' computes in bfloat16, not {settings['compute_dtype']}: "
            "set compute_dtype: bfloat16, or device: cpu"
        )
    if layout == "int4_cpu" and settings["group_size"] not in _CPU_GROUP_SIZES:
        raise CodewattError(
            f"torchao int4 with group_size {settings['group_size']} needs device 'cuda'; on 'cpu' "
            f"it takes {', '.join(map(str, _CPU_GROUP_SIZES))}"
        )


def check_layer(
    name: str, shape: tuple[int, int], settings: dict[str, Any], layout: Layout
) -> None:
    """Whether a layer can be quantised; torchao itself skips one that does not fit, silently.

    Args:
        name: of the layer, for the message.
        shape: (out_features, in_features).
        settings: the study's precision.
        layout: where and how it is packed.

    Raises:
        CodewattError: it cannot.
    """
    if layout in _WITHOUT_GROUPS:
        return
    out_features, in_features = shape
    if in_features % settings["group_size"]:
        raise CodewattError(
            f"{name}: its {in_features} inputs are no multiple of group_size "
            f"{settings['group_size']}; allowed: 32, 64, 128 or 256 that divides them"
        )
    if layout == "int4_cpu" and out_features % _CPU_OUT_MULTIPLE:
        raise CodewattError(
            f"{name}: its {out_features} outputs are no multiple of {_CPU_OUT_MULTIPLE}, as int4 "
            "on device 'cpu' needs; device 'cuda' does not"
        )


def configuration(settings: dict[str, Any], layout: Layout) -> Any:
    """transformers' configuration for a study's precision.

    torchao's own `set_inductor_config` would change how all of torch multiplies float32 matrices
    (`set_float32_matmul_precision`), here and wherever the checkpoint is loaded: it is off.
    """
    from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig
    from transformers import TorchAoConfig

    if layout == "int8_plain":
        return TorchAoConfig(Int8WeightOnlyConfig(set_inductor_config=False))
    if layout in ("fp8_plain", "fp8_dynamic"):
        return TorchAoConfig(_fp8(layout))
    if layout == "int4_cpu":
        from torchao.prototype.quantization.int4 import PrototypeInt4WeightOnlyConfig

        admit_int4_cpu()
        asked = TorchAoConfig(
            PrototypeInt4WeightOnlyConfig(
                group_size=settings["group_size"], set_inductor_config=False
            )
        )
        # Written into config.json with the rest, and compared on loading.
        setattr(asked, CPU_CAPABILITY, cpu_capability())
        return asked
    from torchao.quantization.quantize_.workflows import Int4PackingFormat

    return TorchAoConfig(
        Int4WeightOnlyConfig(
            group_size=settings["group_size"],
            int4_packing_format=Int4PackingFormat.TILE_PACKED_TO_4D,
            set_inductor_config=False,
        )
    )


def _fp8(layout: Layout) -> Any:
    from torchao.quantization import (
        Float8DynamicActivationFloat8WeightConfig,
        Float8WeightOnlyConfig,
        PerRow,
        PerTensor,
    )

    if layout == "fp8_plain":
        return Float8WeightOnlyConfig(granularity=PerRow(), set_inductor_config=False)
    return Float8DynamicActivationFloat8WeightConfig(
        granularity=PerTensor(), set_inductor_config=False
    )


def count_quantised(
    model: Any, layers: dict[str, tuple[int, int]], settings: dict[str, Any], layout: Layout
) -> QuantisedCounts:
    """How much of a model is quantised, as its packed tensors say, and what was left as it was.

    Fused expert weights are parameters of no linear layer and stay unquantised: they count as
    left, so that a mixture of experts does not pass for quantised.

    Args:
        model: quantised.
        layers: `linear_layers` of the model that it was made from.
        settings: the study's precision.
        layout: where and how it is packed.

    Raises:
        CodewattError: a layer is not quantised, or not to the bits and groups that were asked for.
    """
    weights = 0
    packed_bytes = 0
    packed = set()
    for name, shape in layers.items():
        weight = model.get_submodule(name).weight
        tensors = _packed_tensors(weight)
        wanted = packed_tensors(shape, settings, layout)
        dynamic = getattr(weight, "act_quant_kwargs", None) is not None
        right = type(weight).__name__ == _WEIGHT_TYPES[layout] and tensors == wanted
        if not right or dynamic != (layout == "fp8_dynamic"):
            raise CodewattError(
                f"{name}: torchao made a {type(weight).__name__} with {tensors or 'nothing packed'}"
                f"{' and quantised inputs' if dynamic else ''}, not a {_WEIGHT_TYPES[layout]} "
                f"with {wanted}"
            )
        weights += shape[0] * shape[1]
        packed_bytes += sum(getattr(weight, tensor).nbytes for tensor in tensors)
        packed.add(id(weight))
    left = sum(p.numel() for p in model.parameters() if id(p) not in packed and p.dim() > 1)
    return {
        "quantised_modules": len(packed),
        "quantised_weights": weights,
        "unquantised_weights": left,
        "packed_bytes": packed_bytes,
    }


def _packed_tensors(weight: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Attribute -> (dtype, shape) of what a quantised weight holds."""
    names = [
        *getattr(weight, "tensor_data_names", ()),
        *getattr(weight, "optional_tensor_data_names", ()),
    ]
    held = {name: getattr(weight, name) for name in names if getattr(weight, name) is not None}
    return {
        name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in held.items()
    }


def packed_tensors(
    shape: tuple[int, int], settings: dict[str, Any], layout: Layout
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Attribute -> (dtype, shape) of what a layer's quantised weight has to hold.

    Source: the classes Int8Tensor, Int4OpaqueTensor, Int4TilePackedTo4dTensor and Float8Tensor of
    torchao 0.18.

    Args:
        shape: (out_features, in_features).
        settings: the study's precision.
        layout: where and how it is packed.
    """
    out, ins = shape
    if layout == "int8_plain":
        return {
            "qdata": ("int8", (out, ins)),
            "scale": ("float32", (out, 1)),
            "zero_point": ("int8", (out, 1)),
        }
    if layout in ("fp8_plain", "fp8_dynamic"):
        scales = out if layout == "fp8_plain" else 1
        return {"qdata": ("float8_e4m3fn", (out, ins)), "scale": ("float32", (scales, 1))}
    group_size, dtype = settings["group_size"], settings["compute_dtype"]
    if layout == "int4_cpu":
        return {
            "qdata": ("uint8", (out, ins // 2)),
            "scale_and_zero": (dtype, (ins // group_size, out, 2)),
        }
    out += -out % _TILE_OUT
    ins += -ins % _TILE_IN
    return {
        # Each int32 holds 8 weights: 8 rows x 128 columns x 4 bits = 32 lanes x 4 int32.
        "qdata": ("int32", (out // 8, ins // 128, 32, 4)),
        "scale_and_zero": ("bfloat16", (ins // group_size, out, 2)),
    }


QUANTISER = TorchAo()
