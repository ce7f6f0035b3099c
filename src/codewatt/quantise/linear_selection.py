"""Which linear layers of a model a quantiser must quantise."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codewatt.models.model_config import resolved_configuration

# A matrix of a decoder layer, except the router of a mixture of experts, which no library
# quantises.
_MATRIX = re.compile(r"(^|\.)(layers|h)\.\d+\..+(?<!\.mlp\.gate)\.weight$")


def linear_layers(source: Path) -> dict[str, tuple[int, int]]:
    """Name -> (out, in) of each linear layer of a model except its head; reads no weights."""
    import torch
    from transformers import AutoModelForCausalLM

    configuration = resolved_configuration(source)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(configuration, trust_remote_code=False)
    head = model.get_output_embeddings()
    return {
        name: (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }


def decoder_matrices(headers: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Name -> (out, in) of each matrix of the decoder layers: what GPTQ and AWQ quantise.

    Args:
        headers: name -> header of the unquantised checkpoint's tensors.
    """
    return {
        name.removesuffix(".weight"): (header["shape"][0], header["shape"][1])
        for name, header in headers.items()
        if len(header["shape"]) == 2 and _MATRIX.search(name)
    }
