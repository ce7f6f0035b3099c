"""Removing decoder layers from a model directory, shard by shard, without building the model.

Works for every architecture whose decoder layers are a numbered list named 'layers' or 'h': the
tensors of dropped layers are left out, the others are renumbered, and the configuration is cut to
match. The model that is then loaded never had more layers, so its layer indices and its KV cache
are those of a model built that small.

Each layer stays of the kind that it was (with a sliding window or without, say). Where config.json
does not list the kinds, transformers derives them from a layer's number, which changes: the list is
then written out.
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
from codewatt.models.model_files import INDEX, WEIGHTS, copy_descriptions, weight_files
from codewatt.models.weight_headers import tensor_headers

_LAYER = re.compile(r"^(?P<head>(?:.*\.)?(?:layers|h)\.)(?P<index>\d+)(?P<tail>\..+)$")
_PER_LAYER_KEYS = ("layer_types", "mlp_layer_types", "layers_block_type", "no_rope_layers")
_FIRST_LAYERS_KEYS = ("max_window_layers", "first_k_dense_replace")  # how many are of one kind


def import_libraries() -> None:
    """Import what `remove_layers` needs, so that its cost is that of pruning alone."""
    import safetensors.torch  # noqa: F401
    import transformers.models.auto.configuration_auto  # noqa: F401


def remove_layers(source: str | Path, target: str | Path, kept: list[int]) -> None:
    """Write a copy of a model directory that has only some of its decoder layers.

    Args:
        source: a save_pretrained directory with safetensors.
        target: an empty or absent directory.
        kept: indices of the layers that stay, ascending; they become 0, 1, ...

    Raises:
        CodewattError: the weights' layers are not those of the configuration, or no configuration
            can say of which kinds the layers left are.
    """
    root, out = Path(source), Path(target)
    out.mkdir(parents=True, exist_ok=True)
    config = read_configuration(root)
    shards = weight_files(root)
    _check_layers(root, shards, config)
    copy_descriptions(root, out)
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
    kinds = {
        key: [values[index] for index in kept] for key, values in _layer_kinds(resolved).items()
    }
    # Others are no settings but computed from some, as Jamba's are.
    settable = {key: values for key, values in kinds.items() if key in resolved.to_dict()}
    write_json(out / "config.json", _cut(config, kept, settable))
    _check_kinds(out, kinds)


def _copy_shard(shard: Path, target: Path, renumbered: dict[int, int]) -> list[str]:
    """Copy a shard's kept tensors under their new names; a shard left empty is not written."""
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
    """The layer numbers in the weights must be 0 ... one less than the configuration's number."""
    numbers = {
        int(match["index"])
        for shard in shards
        for name in tensor_headers(shard)
        if (match := _LAYER.match(name))
    }
    layers = layer_count(config)
    if numbers != set(range(layers or 0)):
        raise CodewattError(
            f"{root}: its weights have decoder layers {sorted(numbers)}, its configuration {layers}"
        )


def _layer_kinds(resolved: Any) -> dict[str, list[Any]]:
    """Key -> what transformers takes each layer for; what config.json leaves out included."""
    found = {key: getattr(resolved, key, None) for key in _PER_LAYER_KEYS}
    return {
        key: list(values)
        for key, values in found.items()
        if isinstance(values, list | tuple) and len(values) == resolved.num_hidden_layers
    }


def _cut(config: dict[str, Any], kept: list[int], kinds: dict[str, list[Any]]) -> dict[str, Any]:
    """The configuration of a model with only the kept layers, which are of these kinds."""
    cut = {**config, **kinds, str(layer_key(config)): len(kept)}
    for key in _FIRST_LAYERS_KEYS:
        if isinstance(config.get(key), int):
            cut[key] = sum(index < config[key] for index in kept)
    return cut


def _check_kinds(out: Path, kinds: dict[str, list[Any]]) -> None:
    """See that transformers takes each layer for what it was: some kinds follow from numbers alone.

    Raises:
        CodewattError: it does not.
    """
    found = _layer_kinds(resolved_configuration(out))
    for key, wanted in kinds.items():
        if found.get(key) != wanted:
            raise CodewattError(
                f"prune: the layers left are of the kinds {key} {wanted}, which this model's "
                f"configuration cannot say; allowed: layers whose kinds are {found.get(key)}"
            )
