"""A GGUF variant as a model that gives logits of whole sequences, for the fidelity stage."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from codewatt.files import FileRecord, check_files
from codewatt.models.generation_config import read_generation_defaults
from codewatt.models.gguf_variants import GGUF_FILE, cache_dtype
from codewatt.models.llama_cpp_model import LlamaCppModel
from codewatt.models.loading import Loaded
from codewatt.models.tokenizers import load_tokenizer


class LlamaCppLogits:
    """Answers the call `model(input_ids, use_cache=False).logits` as transformers' models do.

    Attributes:
        config: has num_hidden_layers.
    """

    def __init__(self, model: LlamaCppModel) -> None:
        self._model = model
        self.config = SimpleNamespace(num_hidden_layers=model.layers)

    def __call__(self, input_ids: Any, use_cache: bool = False) -> Any:
        """Logits, float32 (1, tokens, vocabulary).

        Args:
            input_ids: (1, tokens).
            use_cache: ignored; each call reads the whole sequence.
        """
        import torch

        [ids] = input_ids.tolist()
        if len(ids) > self._model.cells:
            self._model.allocate(1, len(ids), cache_dtype(self._model.header))
        return SimpleNamespace(logits=torch.from_numpy(self._model.all_logits(ids))[None])


def load_gguf_logits(directory: str, files: dict[str, FileRecord], dtype: str) -> Loaded:
    """Load a variant of precision method gguf on the CPU.

    Args:
        directory: of the variant.
        files: of its manifest, to check first.
        dtype: of its manifest.

    Raises:
        CodewattError: a file differs from its manifest, or llama.cpp cannot load it.
    """
    import torch

    check_files(directory, files)
    tokenizer = load_tokenizer(directory)
    generation = read_generation_defaults(directory, tokenizer)
    model = LlamaCppModel(Path(directory) / GGUF_FILE, torch.get_num_threads())
    return Loaded(LlamaCppLogits(model), tokenizer, "cpu", dtype, generation)
