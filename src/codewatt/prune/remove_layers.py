"""Removes decoder layers from a model directory, shard by shard, without building the model.

Works for every architecture whose decoder layers are a numbered list named 'layers' or 'h': tensors
of removed layers are left out, the others are renumbered, and config.json is changed to match. The
pruned model loads like any smaller model, with consecutive layer indices and a smaller KV cache.

Each layer keeps its type (for example sliding-window or full attention). If config.json does not
list the types, transformers derives them from layer indices, which change; then the list of types
is written into config.json.
"""

import re
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import write_json
from codewatt.models.model_config import (
    layer_count,
    layer_key,
    read_configuration,
    resolved_configuration,
)
from codewatt.models.model_files import INDEX, WEIGHTS, copy_config_files, weight_files
from codewatt.models.weight_headers import read_tensor_headers

_LAYER = re.compile(r"^(?P<head>(?:.*\.)?(?:layers|h)\.)(?P<index>\d+)(?P<tail>\..+)$")
_PER_LAYER_KEYS = ("layer_types", "mlp_layer_types", "layers_block_type", "no_rope_layers")
_FIRST_LAYERS_KEYS = ("max_window_layers", "first_k_dense_replace")  # number of first layers


def import_libraries() -> None:
    """Import what `remove_layers` needs, so that the cost of imports is not measured."""
    import safetensors.torch  # noqa: F401
    import transformers.models.auto.configuration_auto  # noqa: F401


def remove_layers(source: str | Path, target: str | Path, kept: list[int]) -> None:
    """Write a copy of a model directory with only some of its decoder layers.

    Args:
        source: a save_pretrained directory with safetensors.
        target: an empty directory, or one that does not exist yet.
        kept: indices of the layers that stay, ascending; they become 0, 1, ...

    Raises:
        CodewattError: the weights' layers differ from config.json, or config.json cannot express
            the types of the remaining layers.
    """
    root, out = Path(source), Path(target)
    out.mkdir(parents=True, exist_ok=True)
    config = read_configuration(root)
    shards = weight_files(root)
    _check_layers(root, shards, config)
    copy_config_files(root, out)
    renumbered = {old: new for new, old in enumerate(kept)}
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = WEIGHTS
        if len(shards) > 1:
            file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        names = _copy_shard(shard, out / file, renumbered)
        weight_map |= dict.fromkeys(names, file)
    config.pop("transformers_weights", None)
    if len(shards) > 1:
        total = sum((out / name).stat().st_size for name in set(weight_map.values()))
        write_json(out / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})
    resolved = resolved_configuration(root)
    types = {
        key: [values[index] for index in kept] for key, values in _layer_types(resolved).items()
    }
    # Other lists are computed from settings, as Jamba's, and are not written.
    settable = {key: values for key, values in types.items() if key in resolved.to_dict()}
    write_json(out / "config.json", _pruned_config(config, kept, settable))
    _check_types(out, types)


def _copy_shard(shard: Path, target: Path, renumbered: dict[int, int]) -> list[str]:
    """Copy a shard's kept tensors under their new names; an empty shard is not written."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    tensors: dict[str, Any] = {}
    with safe_open(shard, framework="pt") as reader:
        for name in reader.keys():  # noqa: SIM118 (not a mapping)
            match = _LAYER.match(name)
            if match is None:
                tensors[name] = reader.get_tensor(name)
            elif (old := int(match["index"])) in renumbered:
                new = f"{match['head']}{renumbered[old]}{match['tail']}"
                tensors[new] = reader.get_tensor(name)
    if tensors:
        save_file(tensors, target, metadata={"format": "pt"})
    return list(tensors)


def _check_layers(root: Path, shards: list[Path], config: dict[str, Any]) -> None:
    """Check that the weights have layers 0 to (config.json's number of layers) - 1."""
    numbers = {
        int(match["index"])
        for shard in shards
        for name in read_tensor_headers(shard)
        if (match := _LAYER.match(name))
    }
    layers = layer_count(config)
    if numbers != set(range(layers or 0)):
        raise CodewattError(
            f"{root}: the weights have decoder layers {sorted(numbers)}, but config.json says "
            f"{layers} layers; config.json does not belong to these weights"
        )


def _layer_types(resolved: Any) -> dict[str, list[Any]]:
    """Key -> type of each layer, as transformers completes config.json."""
    found = {key: getattr(resolved, key, None) for key in _PER_LAYER_KEYS}
    return {
        key: list(values)
        for key, values in found.items()
        if isinstance(values, list | tuple) and len(values) == resolved.num_hidden_layers
    }


def _pruned_config(
    config: dict[str, Any], kept: list[int], types: dict[str, list[Any]]
) -> dict[str, Any]:
    """config.json of a model with only the kept layers, of these types."""
    cut = {**config, **types, str(layer_key(config)): len(kept)}
    for key in _FIRST_LAYERS_KEYS:
        if isinstance(config.get(key), int):
            cut[key] = sum(index < config[key] for index in kept)
    return cut


def _check_types(out: Path, types: dict[str, list[Any]]) -> None:
    """Check that each layer kept its type: some models derive types from layer indices alone.

    Raises:
        CodewattError: a layer's type has changed.
    """
    found = _layer_types(resolved_configuration(out))
    for key, expected in types.items():
        if found.get(key) != expected:
            raise CodewattError(
                f"prune: the remaining layers have types {key} {expected}, which config.json of "
                f"this model cannot express; allowed: layers with types {found.get(key)}"
            )
