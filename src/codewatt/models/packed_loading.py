"""Loads GPTQ and AWQ checkpoints, our own and the hub's, through transformers' from_pretrained.

transformers decides by config.json and by lists of architectures which layers are packed, and fills
layers that get no weights with random numbers (experts of DeepSeek-V2, activation scales of
StarCoder2 and GPT-NeoX). Here the checkpoint's tensors decide which layers are packed; transformers
still loads and checks every tensor.
"""

from functools import cache
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.gptqmodel_library import import_gptqmodel, silence_output
from codewatt.models.model_config import resolved_configuration
from codewatt.models.packed_checkpoints import (
    PackedLayer,
    check_packed_tensors,
    find_scaled_activations,
    packed_layers,
)
from codewatt.models.packed_format import PackedFormat
from codewatt.models.packed_kernels import build_kernels, convert_for_kernels, make_packed_linear
from codewatt.models.weight_headers import read_weight_headers

_METHOD = "codewatt_packed"


def packed_configuration(
    directory: str | Path, packing: PackedFormat, device: str, keep_packed_layout: bool
) -> Any:
    """The model's configuration, changed so that transformers loads it by the class below.

    Args:
        directory: of the checkpoint.
        packing: format of the checkpoint.
        device: 'cpu' or 'cuda', where it will run.
        keep_packed_layout: keep the packed tensors as the checkpoint has them (see
            `packed_kernels`).

    Raises:
        CodewattError: gptqmodel is not installed, or the layers differ from config.json.
    """
    import_gptqmodel()
    _register()
    configuration = resolved_configuration(directory)
    headers = read_weight_headers(directory)
    layers = packed_layers(headers, packing)
    check_packed_tensors(directory, packing, layers)
    configuration.quantization_config = {
        "quant_method": _METHOD,
        "packing": packing,
        "layers": layers,
        "scaled": find_scaled_activations(headers),
        "device": device,
        "keep_packed_layout": keep_packed_layout,
    }
    return configuration


def build_packed_kernels(
    directory: str | Path, packing: PackedFormat, dtype: Any, device: str, keep_packed_layout: bool
) -> None:
    """Compile the kernels that the first loading would; see `packed_configuration`."""
    import_gptqmodel()
    layers = packed_layers(read_weight_headers(directory), packing)
    with silence_output():
        build_kernels(layers.values(), packing, dtype, device, keep_packed_layout)


@cache
def _register() -> None:
    """Register the quantisation method with transformers."""
    from transformers.quantizers.auto import register_quantization_config, register_quantizer
    from transformers.quantizers.base import HfQuantizer
    from transformers.utils.quantization_config import QuantizationConfigMixin

    class Configuration(QuantizationConfigMixin):  # type: ignore[misc]
        """Holds the dictionary of `packed_configuration`."""

        def __init__(self, **settings: Any) -> None:
            self.quant_method = settings.pop("quant_method")
            self.settings = settings

    class Quantizer(HfQuantizer):  # type: ignore[misc]
        """Replaces layers before weights are loaded, and converts them afterwards."""

        requires_calibration = True

        def _process_model_before_weight_loading(self, model: Any, **options: Any) -> None:
            with silence_output():
                _replace_layers(model, self.quantization_config.settings, model.dtype)

        def _process_model_after_weight_loading(self, model: Any, **options: Any) -> Any:
            with silence_output():
                convert_for_kernels(model, self.quantization_config.settings["packing"])
            return model

        def is_serializable(self) -> bool:
            return False

        @property
        def is_trainable(self) -> bool:
            return False

    register_quantization_config(_METHOD)(Configuration)
    register_quantizer(_METHOD)(Quantizer)


def _replace_layers(model: Any, settings: dict[str, Any], dtype: Any) -> None:
    """Replace a model's layers by packed layers and scaled activations, as in the checkpoint.

    Raises:
        CodewattError: the model has no such layer there.
    """
    layers: dict[str, PackedLayer] = settings["layers"]
    _split_experts(model, layers)
    for name, layer in layers.items():
        linear = _submodule(model, name)
        shape = (getattr(linear, "out_features", None), getattr(linear, "in_features", None))
        if shape != (layer.out_features, layer.in_features):
            raise CodewattError(
                f"{name}: the checkpoint has a packed layer of {layer.out_features} x "
                f"{layer.in_features} weights, the model has "
                f"{'no such layer' if linear is None else f'{shape[0]} x {shape[1]}'}; config.json "
                "does not belong to these weights"
            )
        model.set_submodule(
            name,
            make_packed_linear(
                layer,
                settings["packing"],
                dtype,
                settings["device"],
                settings["keep_packed_layout"],
            ),
        )
    for name, channels in settings["scaled"].items():
        _scale_activation(model, name, channels, dtype)


def _submodule(model: Any, name: str) -> Any:
    try:
        return model.get_submodule(name)
    except AttributeError:
        return None


def _split_experts(model: Any, layers: dict[str, PackedLayer]) -> None:
    """Split experts that transformers keeps as one tensor, if they are packed as layers."""
    if any(".experts." in name and _submodule(model, name) is None for name in layers):
        import defuser

        defuser.convert_model(model, cleanup_original=True)


def _scale_activation(model: Any, name: str, channels: int, dtype: Any) -> None:
    """Wrap an activation in its scales.

    Raises:
        CodewattError: the model has no such activation.
    """
    import torch
    from gptqmodel.quantization.awq.modules.act import ScaledActivation

    activation = _submodule(model, name)
    if activation is None:
        raise CodewattError(
            f"{name}.scales: the model has no activation {name}; config.json does not belong to "
            "these weights"
        )
    scales = torch.ones(channels, dtype=dtype)
    model.set_submodule(name, ScaledActivation(activation, scales))
