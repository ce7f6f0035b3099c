"""Writes the files of a quantised checkpoint other than its weights."""

from pathlib import Path
from typing import Any

from codewatt.files import write_json
from codewatt.models.model_config import read_configuration
from codewatt.models.model_files import copy_config_files


def write_checkpoint_config(
    source: Path, target: Path, packing: dict[str, Any], compute_dtype: str
) -> None:
    """Write config and tokenizer beside packed weights that a library has written.

    They are copied from the source model, not taken from the library, whose transformers may be an
    older version that writes fewer keys or other names.

    Args:
        source: directory of the unquantised model.
        target: directory with the packed weights.
        packing: config.json's `quantization_config`.
        compute_dtype: of all that is not quantised.
    """
    copy_config_files(source, target)
    config = read_configuration(source)
    config.pop("transformers_weights", None)  # libraries write the default file names
    key = "torch_dtype" if "torch_dtype" in config else "dtype"
    config |= {key: compute_dtype, "quantization_config": packing}
    write_json(target / "config.json", config)
