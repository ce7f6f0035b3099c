"""Tensors' names as files have them, where a library has written those of memory.

transformers 5 has other names in memory than on disk for some architectures, and translates when it
saves and loads. A library that saves tensors itself writes names that others do not find: AutoGPTQ
then computes GPT-NeoX's head with random weights. (GPTQModel's own loader, which is not used here,
makes the opposite mistake: it does not find the head of a file with the usual names.)
"""

from pathlib import Path

from codewatt.files import atomic_path, read_json, write_json
from codewatt.models.model_files import INDEX, weight_files
from codewatt.models.weight_headers import tensor_headers

_NAMES = {"gpt_neox": {"lm_head.weight": "embed_out.weight"}}


def restore_names(directory: Path) -> None:
    """Give the tensors of a checkpoint the names that files have; most have them already."""
    names = _NAMES.get(read_json(directory / "config.json").get("model_type"), {})
    for shard in weight_files(directory):
        if set(names) & set(tensor_headers(shard)):
            _rename(shard, names)
    if names and (directory / INDEX).is_file():
        index = read_json(directory / INDEX)
        moved = {names.get(name, name): file for name, file in index["weight_map"].items()}
        write_json(directory / INDEX, {**index, "weight_map": moved})


def _rename(shard: Path, names: dict[str, str]) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(shard, framework="pt") as reader:
        tensors = {
            names.get(name, name): reader.get_tensor(name)
            for name in reader.keys()  # noqa: SIM118 (not a mapping)
        }
        metadata = reader.metadata()
    with atomic_path(shard) as path:
        save_file(tensors, path, metadata=metadata)
