"""Method `torchao` (0.18): weights in int8 or fp8 per output channel, or in int4 per group.

fp8 is E4M3 of Micikevicius et al. 2022. With `fp8_dynamic` the inputs of each linear layer are
quantised too, at each call, and tensor cores multiply fp8 by fp8. Weights and inputs then have one
scale per tensor, because the library's GEMM with one scale per row does not support all shapes
(12288 inputs with a bias and few rows, on an H200).
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
    choose_layout,
    cpu_capability,
    register_int4_cpu_tensor,
)
from codewatt.quantise.linear_selection import linear_layers
from codewatt.quantise.precision_settings import PrecisionSettings
from codewatt.quantise.quantiser import Quantiser

_CPU_GROUP_SIZES = (32, 64, 128)
_CPU_OUT_MULTIPLE = 16  # torch packs int4 for the CPU in blocks of 16 rows
_WEIGHT_TYPES = {
    "int8_plain": "Int8Tensor",
    "int4_cpu": "Int4OpaqueTensor",
    "int4_tile_packed": "Int4TilePackedTo4dTensor",
    "fp8_plain": "Float8Tensor",
    "fp8_dynamic": "Float8Tensor",
}
_WITHOUT_GROUPS = ("int8_plain", "fp8_plain", "fp8_dynamic")
# tinygemm needs whole tiles: torchao pads int4 for a GPU to these multiples.
_TILE_IN, _TILE_OUT = 1024, 8


class TorchAoQuantiser(Quantiser):
    """Quantises each linear layer except the head while transformers loads the model."""

    def load_dtype(self, settings: PrecisionSettings) -> str:
        """See `Quantiser.load_dtype`."""
        return str(settings["compute_dtype"])

    def import_libraries(self, settings: PrecisionSettings) -> None:
        """See `Quantiser.import_libraries`."""
        import torchao.prototype.quantization.int4  # noqa: F401
        import transformers.modeling_utils  # noqa: F401

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: PrecisionSettings,
        device: str,
        calibration: PreparedCorpus | None = None,
    ) -> QuantisedCounts:
        """See `Quantiser.quantise`.

        Raises:
            CodewattError: the device has no kernel for these settings, the model has no linear
                layer, a layer's shape does not fit the settings (all before any weight is read),
                or a layer was not quantised.
        """
        layout = choose_layout(settings["quant_type"], device)
        check_settings(settings, layout)
        layers = linear_layers(source)
        if not layers:
            raise CodewattError(
                "torchao: the model has no linear layer except its head, so nothing to quantise; "
                "use precision method none"
            )
        for name, shape in layers.items():
            check_layer(name, shape, settings, layout)
        loaded = load_model(
            source,
            dtype=self.load_dtype(settings),
            device=device,
            quantisation=quantisation_config(settings, layout),
        )
        counts = count_quantised(loaded.model, layers, settings, layout)
        loaded.model.save_pretrained(target)
        loaded.tokenizer.save_pretrained(target)
        return counts


def check_settings(settings: PrecisionSettings, layout: Layout) -> None:
    """Check that the device's kernel supports the settings.

    Args:
        settings: a study's precision.
        layout: of the quantised weights.

    Raises:
        CodewattError: it does not; the message says which device or setting it needs.
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
    name: str, shape: tuple[int, int], settings: PrecisionSettings, layout: Layout
) -> None:
    """Check that a layer can be quantised; torchao would silently skip one that cannot.

    Args:
        name: of the layer, for the message.
        shape: (out_features, in_features).
        settings: a study's precision.
        layout: of the quantised weights.

    Raises:
        CodewattError: its shape does not fit the group size or the layout.
    """
    if layout in _WITHOUT_GROUPS:
        return
    out_features, in_features = shape
    if in_features % settings["group_size"]:
        raise CodewattError(
            f"{name}: {in_features} inputs are not a multiple of group_size "
            f"{settings['group_size']}; allowed: one of 32, 64, 128, 256 that divides the inputs"
        )
    if layout == "int4_cpu" and out_features % _CPU_OUT_MULTIPLE:
        raise CodewattError(
            f"{name}: {out_features} outputs are not a multiple of {_CPU_OUT_MULTIPLE}, which int4 "
            "on device 'cpu' needs; use device 'cuda'"
        )


def quantisation_config(settings: PrecisionSettings, layout: Layout) -> Any:
    """transformers' quantisation config for a study's precision.

    set_inductor_config is False, because True would change float32 matrix multiplication in all of
    torch (`set_float32_matmul_precision`), now and wherever the checkpoint is loaded.

    Args:
        settings: a study's precision.
        layout: of the quantised weights.

    Returns:
        A TorchAoConfig.
    """
    from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig
    from transformers import TorchAoConfig

    if layout == "int8_plain":
        return TorchAoConfig(Int8WeightOnlyConfig(set_inductor_config=False))
    if layout in ("fp8_plain", "fp8_dynamic"):
        return TorchAoConfig(_fp8(layout))
    if layout == "int4_cpu":
        from torchao.prototype.quantization.int4 import PrototypeInt4WeightOnlyConfig

        register_int4_cpu_tensor()
        config = TorchAoConfig(
            PrototypeInt4WeightOnlyConfig(
                group_size=settings["group_size"], set_inductor_config=False
            )
        )
        # Saved in config.json, and compared on loading.
        setattr(config, CPU_CAPABILITY, cpu_capability())
        return config
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
    model: Any, layers: dict[str, tuple[int, int]], settings: PrecisionSettings, layout: Layout
) -> QuantisedCounts:
    """Count quantised and unquantised weights, from the model's tensors.

    Fused expert weights belong to no linear layer and stay unquantised. They count as unquantised,
    so that a mixture of experts is not reported as fully quantised.

    Args:
        model: the quantised model.
        layers: name -> (out, in) of the layers that must be quantised.
        settings: a study's precision.
        layout: of the quantised weights.

    Returns:
        quantised_modules, quantised_weights, unquantised_weights (in matrices), packed_bytes.

    Raises:
        CodewattError: a layer is not quantised, or not to the bits and groups of the settings.
    """
    weights = 0
    packed_bytes = 0
    packed = set()
    for name, shape in layers.items():
        weight = model.get_submodule(name).weight
        tensors = _weight_tensors(weight)
        expected = expected_tensors(shape, settings, layout)
        dynamic = getattr(weight, "act_quant_kwargs", None) is not None
        as_expected = type(weight).__name__ == _WEIGHT_TYPES[layout] and tensors == expected
        if not as_expected or dynamic != (layout == "fp8_dynamic"):
            raise CodewattError(
                f"{name}: torchao made a {type(weight).__name__} with {tensors or 'nothing packed'}"
                f"{' and quantised inputs' if dynamic else ''}; expected a {_WEIGHT_TYPES[layout]} "
                f"with {expected}"
            )
        weights += shape[0] * shape[1]
        packed_bytes += sum(getattr(weight, tensor).nbytes for tensor in tensors)
        packed.add(id(weight))
    unquantised = sum(p.numel() for p in model.parameters() if id(p) not in packed and p.dim() > 1)
    return {
        "quantised_modules": len(packed),
        "quantised_weights": weights,
        "unquantised_weights": unquantised,
        "packed_bytes": packed_bytes,
    }


def _weight_tensors(weight: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Attribute -> (dtype, shape) of the tensors in a quantised weight."""
    names = [
        *getattr(weight, "tensor_data_names", ()),
        *getattr(weight, "optional_tensor_data_names", ()),
    ]
    held = {name: getattr(weight, name) for name in names if getattr(weight, name) is not None}
    return {
        name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in held.items()
    }


def expected_tensors(
    shape: tuple[int, int], settings: PrecisionSettings, layout: Layout
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Attribute -> (dtype, shape) of the tensors that a quantised weight must have.

    Source: the classes Int8Tensor, Int4OpaqueTensor, Int4TilePackedTo4dTensor and Float8Tensor of
    torchao 0.18.

    Args:
        shape: (out_features, in_features).
        settings: a study's precision.
        layout: of the quantised weights.
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


QUANTISER = TorchAoQuantiser()
