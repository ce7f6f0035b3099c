"""The importance matrix of llama.cpp's quantisers: mean squared inputs of each linear layer.

llama.cpp minimises the rounding error weighted by it. llama-imatrix (tools/imatrix/imatrix.cpp of
llama.cpp) computes sum(x^2) / n for each input of a matrix over n tokens; the same is computed here
by transformers on the calibration corpus of the study.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.models.loading import load_model
from codewatt.models.model_config import check_sequence_lengths


@dataclass(frozen=True)
class ImportanceMatrix:
    """Mean squared inputs.

    Attributes:
        values: llama.cpp's name of a matrix -> float32 (inputs,).
        tokens: number of tokens of the mean.
    """

    values: dict[str, NDArray[np.float32]]
    tokens: int


def measure_importance(
    source: Path, calibration: PreparedCorpus, device: str, names: Mapping[str, str]
) -> ImportanceMatrix:
    """Run a model on a corpus and take the mean squared inputs of its linear layers.

    Args:
        source: the model's directory.
        calibration: the corpus.
        device: 'cpu' or 'cuda'.
        names: transformers' name of each linear layer -> llama.cpp's name of its matrix.

    Raises:
        CodewattError: a sequence is longer than the model's context.
    """
    import torch

    loaded = load_model(source, dtype="float32", device=device)
    sequences = calibration.sequences(loaded.tokenizer)
    check_sequence_lengths(sequences, loaded.model.config, f"corpus {calibration.settings['id']!r}")
    sums: dict[str, Any] = {}

    def record(name: str) -> Any:
        def hook(module: Any, inputs: tuple[Any, ...]) -> None:
            squared = inputs[0].detach().square().flatten(0, -2).sum(dim=0).double()
            sums[name] = sums[name] + squared if name in sums else squared

        return hook

    hooks = [
        loaded.model.get_submodule(name).register_forward_pre_hook(record(name)) for name in names
    ]
    with torch.inference_mode():
        for ids in sequences:
            loaded.model(input_ids=torch.tensor([ids], device=device), use_cache=False)
    for hook in hooks:
        hook.remove()
    tokens = sum(map(len, sequences))
    return ImportanceMatrix(
        {
            names[name]: (total / tokens).cpu().numpy().astype(np.float32)
            for name, total in sums.items()
        },
        tokens,
    )
