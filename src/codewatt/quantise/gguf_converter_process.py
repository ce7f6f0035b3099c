"""Runs llama.cpp's converter of transformers' checkpoints to GGUF, in a process of its own.

The converter needs the package gguf of its own llama.cpp. codewatt uses another version of it, and
a process can have only one. `codewatt.quantise.gguf_conversion` starts this process.

Usage: python -m codewatt.quantise.gguf_converter_process FOLDER, where FOLDER has `conversion` and
`gguf-py`. It writes a line when its imports are done. Then it reads requests (JSON, one a line) and
writes a reply to each (JSON, one line), until its input ends.

The files have no vocabulary (tokenizer.ggml.model is "none"): codewatt tokenises with the model's
own tokenizer, and the converter knows only published vocabularies.
"""

import importlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

READY = "ready"


def main(folder: str) -> None:
    """Import the converter, then answer requests."""
    replies = sys.stdout
    sys.stdout = sys.stderr  # what the converter prints is no reply
    sys.path.insert(0, folder)
    conversion = importlib.import_module("conversion")
    logging.basicConfig(level=logging.ERROR)
    print(READY, file=replies, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(conversion, json.loads(line))), file=replies, flush=True)


def answer(conversion: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Convert a model.

    Args:
        conversion: the converter's package.
        request: source (directory of the model), target (file), kind ('F32' or 'F16') and layers
            (transformers' names of linear layers).

    Returns:
        error: why the converter refuses the model, else None. names: transformers' name of each of
        the layers -> llama.cpp's name of its matrix.
    """
    import gguf
    import torch

    source = Path(request["source"])
    kinds = {"F32": gguf.LlamaFileType.ALL_F32, "F16": gguf.LlamaFileType.MOSTLY_F16}
    with torch.inference_mode():
        try:
            hparams = conversion.ModelBase.load_hparams(source, False)
            _add_keys_of_older_versions(hparams)
            architecture = conversion.get_model_architecture(hparams, conversion.ModelType.TEXT)
            converter = _without_vocabulary(conversion.get_model_class(architecture))
            writer = converter(
                source,
                kinds[request["kind"]],
                Path(request["target"]),
                hparams=hparams,
                model_name="codewatt",
            )
            writer.write()
        except (AttributeError, KeyError, NotImplementedError, OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            return {"error": f"{type(error).__name__}: {reason}", "names": {}}
    names = {
        name: writer.tensor_map.get_name(name, try_suffixes=(".weight",))
        for name in request["layers"]
    }
    return {"error": None, "names": {name: f"{found}.weight" for name, found in names.items()}}


def _add_keys_of_older_versions(hparams: dict[str, Any]) -> None:
    """Add what the converter of GPT-NeoX reads and configurations of transformers 5 lack."""
    rope = hparams.get("rope_parameters") or {}
    if hparams.get("model_type") == "gpt_neox" and "partial_rotary_factor" in rope:
        hparams.setdefault("rotary_pct", rope["partial_rotary_factor"])


def _without_vocabulary(converter: Any) -> Any:
    """The converter of an architecture, writing the vocabulary's size in place of its tokens."""

    class WithoutVocabulary(converter):  # type: ignore[misc]
        model_arch = converter.model_arch

        def set_vocab(self) -> None:
            self._set_vocab_none()

        def set_gguf_parameters(self) -> None:
            super().set_gguf_parameters()
            key = f"{self.gguf_writer.arch}.vocab_size"
            if not any(key in part for part in self.gguf_writer.kv_data):
                self.gguf_writer.add_vocab_size(self.hparams["vocab_size"])
            if not any("general.file_type" in part for part in self.gguf_writer.kv_data):
                self.gguf_writer.add_file_type(self.ftype)

    return WithoutVocabulary


if __name__ == "__main__":
    main(sys.argv[1])
