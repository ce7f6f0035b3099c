"""Loading GPTQ and AWQ checkpoints, of ours and of the hub, through transformers' from_pretrained.

transformers replaces layers by what config.json says and by lists of architectures, and fills what
then has no content with random numbers: the experts of DeepSeek-V2, the activations' scales of
StarCoder2 and GPT-NeoX. Here the checkpoint's own tensors say which layer is packed, and how;
transformers still names, places and checks each of them.
"""

from functools import cache
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.gptqmodel_library import import_gptqmodel, silenced
from codewatt.models.model_config import resolved_configuration
from codewatt.models.packed_checkpoints import (
    PackedFormat,
    PackedLayer,
    check_contents,
    packed_layers,
    scaled_activations,
)
from codewatt.models.packed_kernels import build_kernels, finish, make_packed_linear
from codewatt.models.weight_headers import headers_of

_METHOD = "codewatt_packed"


def packed_configuration(
    directory: str | Path, packing: PackedFormat, device: str, readable: bool
) -> Any:
    """The model's configuration, changed so that transformers loads it by `_quantiser`.

    Args:
        directory: the checkpoint.
        packing: what its config.json says.
        device: where it will run.
        readable: keep the packed tensors as the checkpoint has them (see `packed_kernels`).

    Raises:
        CodewattError: gptqmodel is not installed, or the layers are not what config.json says.
    """
    import_gptqmodel()
    _register()
    configuration = resolved_configuration(directory)
    headers = headers_of(directory)
    layers = packed_layers(headers, packing)
    check_contents(directory, packing, layers)
    configuration.quantization_config = {
        "quant_method": _METHOD,
        "packing": packing,
        "layers": layers,
        "scaled": scaled_activations(headers),
        "device": device,
        "readable": readable,
    }
    return configuration


def build_packed_kernels(
    directory: str | Path, packing: PackedFormat, dtype: Any, device: str, readable: bool
) -> None:
    """Build what loading a checkpoint would build first; see `packed_configuration`."""
    import_gptqmodel()
    layers = packed_layers(headers_of(directory), packing)
    with silenced():
        build_kernels(layers.values(), packing, dtype, device, readable)


@cache
def _register() -> None:
    """Make transformers know the method."""
    from transformers.quantizers.auto import register_quantization_config, register_quantizer
    from transformers.quantizers.base import HfQuantizer
    from transformers.utils.quantization_config import QuantizationConfigMixin

    class Configuration(QuantizationConfigMixin):  # type: ignore[misc]
        """Carries `packed_configuration`'s dictionary."""

        def __init__(self, **said: Any) -> None:
            self.quant_method = said.pop("quant_method")
            self.said = said

    class Quantizer(HfQuantizer):  # type: ignore[misc]
        """Replaces layers before weights are read, and finishes them afterwards."""

        requires_calibration = True

        def _process_model_before_weight_loading(self, model: Any, **options: Any) -> None:
            with silenced():
                _replace(model, self.quantization_config.said, model.dtype)

        def _process_model_after_weight_loading(self, model: Any, **options: Any) -> Any:
            with silenced():
                finish(model, self.quantization_config.said["packing"])
            return model

        def is_serializable(self) -> bool:
            return False

        @property
        def is_trainable(self) -> bool:
            return False

    register_quantization_config(_METHOD)(Configuration)
    register_quantizer(_METHOD)(Quantizer)


def _replace(model: Any, said: dict[str, Any], dtype: Any) -> None:
    """Put packed layers and scaled activations where the checkpoint has them.

    Raises:
        CodewattError: the model has no such layer there.
    """
    layers: dict[str, PackedLayer] = said["layers"]
    _split_experts(model, layers)
    for name, layer in layers.items():
        linear = _submodule(model, name)
        shape = (getattr(linear, "out_features", None), getattr(linear, "in_features", None))
        if shape != (layer.out_features, layer.in_features):
            raise CodewattError(
                f"{name}: packed as {layer.out_features} x {layer.in_features} weights; the model "
                f"has {'no such layer' if linear is None else f'{shape[0]} x {shape[1]}'}"
            )
        model.set_submodule(
            name,
            make_packed_linear(layer, said["packing"], dtype, said["device"], said["readable"]),
        )
    for name, channels in said["scaled"].items():
        _scale_activation(model, name, channels, dtype)


def _submodule(model: Any, name: str) -> Any:
    try:
        return model.get_submodule(name)
    except AttributeError:
        return None


def _split_experts(model: Any, layers: dict[str, PackedLayer]) -> None:
    """Experts that transformers keeps as one tensor become layers, if they are packed as layers."""
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
        raise CodewattError(f"{name}.scales: the model has no activation of that name")
    scales = torch.ones(channels, dtype=dtype)
    model.set_submodule(name, ScaledActivation(activation, scales))
