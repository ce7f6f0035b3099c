"""The files of a checkpoint beside its weights: the model's own, and how it is packed."""

from pathlib import Path
from typing import Any

from codewatt.files import write_json
from codewatt.models.model_config import read_configuration
from codewatt.models.model_files import copy_descriptions


def write_description(
    source: Path, target: Path, packing: dict[str, Any], compute_dtype: str
) -> None:
    """Complete a directory into which a library has written packed weights.

    The model's configuration and tokenizer are taken from where they came from, not from the
    library: its transformers may be an older one that writes down less, or other names.

    Args:
        source: the model that was quantised.
        target: has the weights.
        packing: the configuration's `quantization_config`.
        compute_dtype: of all that is not quantised.
    """
    copy_descriptions(source, target)
    config = read_configuration(source)
    config.pop("transformers_weights", None)  # the library's own names are the usual ones
    key = "torch_dtype" if "torch_dtype" in config else "dtype"
    config |= {key: compute_dtype, "quantization_config": packing}
    write_json(target / "config.json", config)
