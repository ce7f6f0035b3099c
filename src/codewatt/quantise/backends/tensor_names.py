"""Renames tensors of a checkpoint from transformers 5's names in memory to those in files.

For some architectures transformers 5 uses other tensor names in memory than in files, and
translates when it saves and loads. GPTQModel saves tensors itself, with the names in memory; other
libraries do not find them (AutoGPTQ then computes GPT-NeoX's head with random weights).
"""

from pathlib import Path

from codewatt.files import atomic_path, read_json, write_json
from codewatt.models.model_files import INDEX, weight_files
from codewatt.models.weight_headers import read_tensor_headers

_FILE_NAMES = {"gpt_neox": {"lm_head.weight": "embed_out.weight"}}


def restore_tensor_names(directory: Path) -> None:
    """Rename the tensors of a checkpoint, if its architecture needs it; see the module."""
    file_names = _FILE_NAMES.get(read_json(directory / "config.json").get("model_type"), {})
    for shard in weight_files(directory):
        if set(file_names) & set(read_tensor_headers(shard)):
            _rename(shard, file_names)
    if file_names and (directory / INDEX).is_file():
        index = read_json(directory / INDEX)
        moved = {file_names.get(name, name): file for name, file in index["weight_map"].items()}
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
