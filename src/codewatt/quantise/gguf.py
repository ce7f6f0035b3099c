"""Method `gguf`: a GGUF file for llama.cpp, converted and quantised by llama.cpp's own code.

llama.cpp's converter (conversion/ of its repository) writes the weights as F32 or F16. Other types
are quantised from F32 by llama_model_quantize, which also decides which tensors get more bits.
Rows that no block of the type divides get another type; the manifest has the number of tensors of
each type and the bits per weight.
"""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codewatt.config.gguf_types import gguf_model_refusal
from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.errors import CodewattError
from codewatt.models.gguf_header import GgufHeader, read_gguf_header
from codewatt.models.gguf_variants import (
    GGUF_FILE,
    bits_per_weight,
    list_variant_files,
    packed_tensors,
    summarise_variant,
    weight_tensors,
)
from codewatt.models.llama_cpp_library import (
    LOG,
    import_llama_cpp,
    llama_cpp_version,
)
from codewatt.models.model_config import read_configuration, resolved_configuration
from codewatt.models.model_files import copy_config_files
from codewatt.models.model_record import ImportanceRecord, QuantisedCounts, WeightsSummary
from codewatt.quantise.gguf_conversion import GgufConverter
from codewatt.quantise.importance_matrix import ImportanceMatrix, measure_importance
from codewatt.quantise.linear_selection import linear_layers
from codewatt.quantise.precision_settings import PrecisionSettings
from codewatt.quantise.quantiser import Quantiser

_CONVERTED = ("F32", "F16")
_DEFAULT_ROPE_BASE = 10_000.0
#: Name of a type -> llama.cpp's number of it (llama_ftype in llama.h).
_FILE_TYPES = {
    "Q8_0": "LLAMA_FTYPE_MOSTLY_Q8_0",
    "Q6_K": "LLAMA_FTYPE_MOSTLY_Q6_K",
    "Q5_K_M": "LLAMA_FTYPE_MOSTLY_Q5_K_M",
    "Q4_K_M": "LLAMA_FTYPE_MOSTLY_Q4_K_M",
    "Q4_0": "LLAMA_FTYPE_MOSTLY_Q4_0",
    "Q3_K_M": "LLAMA_FTYPE_MOSTLY_Q3_K_M",
    "Q2_K": "LLAMA_FTYPE_MOSTLY_Q2_K",
}


class GgufQuantiser(Quantiser):
    """Converts the model to GGUF and quantises the file."""

    tensors_tell_parameters = True

    def __init__(self) -> None:
        self._converter: GgufConverter | None = None

    def load_dtype(self, settings: PrecisionSettings) -> str:
        """See `Quantiser.load_dtype`: llama.cpp's activations are float32 on a CPU."""
        return str(settings["compute_dtype"])

    def import_libraries(self, settings: PrecisionSettings) -> None:
        """See `Quantiser.import_libraries`."""
        import_llama_cpp()
        self._converter = GgufConverter()
        if settings.get("calibration"):
            import transformers.modeling_utils  # noqa: F401

    def list_files(self, directory: Path) -> list[str]:
        """See `Quantiser.list_files`."""
        return list_variant_files(directory)

    def summarise(self, directory: Path) -> WeightsSummary:
        """See `Quantiser.summarise`."""
        return summarise_variant(directory)

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: PrecisionSettings,
        device: str,
        calibration: PreparedCorpus | None = None,
    ) -> QuantisedCounts:
        """See `Quantiser.quantise`.

        Raises:
            CodewattError: the model's architecture cannot be converted, the calibration corpus is
                absent, or llama.cpp refuses.
        """
        kind = settings["quant_type"]
        if why := gguf_model_refusal(read_configuration(source).get("model_type")):
            raise CodewattError(f"{source}: {why}")
        if settings.get("calibration") is not None and calibration is None:
            raise CodewattError(
                f"method gguf: corpus {settings['calibration']!r} was not read; allowed: a corpus "
                "of the study"
            )
        target.mkdir(parents=True, exist_ok=True)
        copy_config_files(source, target)
        result = target / GGUF_FILE
        importance = None
        if kind in _CONVERTED:
            self._convert(source, result, kind)
        else:
            converted = target / ".converted.gguf"
            layers = [] if calibration is None else list(linear_layers(source))
            names = self._convert(source, converted, "F32", layers)
            if calibration is not None:
                importance = measure_importance(source, calibration, device, names)
            quantise_file(converted, result, kind, importance)
            converted.unlink()
        header = read_gguf_header(result)
        if header.file_type != kind:
            raise CodewattError(
                f"{result}: llama.cpp made a file of type {header.file_type}, not {kind}"
            )
        check_rope(header, source)
        return count_weights(header, importance)

    def _convert(
        self, source: Path, target: Path, kind: str, layers: Sequence[str] = ()
    ) -> dict[str, str]:
        """See `GgufConverter.convert`; the process of `import_libraries` ends afterwards."""
        converter, self._converter = self._converter or GgufConverter(), None
        try:
            return converter.convert(source, target, kind, layers)
        finally:
            converter.close()


def check_rope(header: GgufHeader, source: Path) -> None:
    """Refuse a model whose RoPE base is not in its file: llama.cpp then takes 10,000.

    Raises:
        CodewattError: the model has another base.
    """
    found = header.of_architecture("rope.freq_base")
    rope = getattr(resolved_configuration(source), "rope_parameters", None) or {}
    base = rope.get("rope_theta", _DEFAULT_ROPE_BASE)
    if found is None and base != _DEFAULT_ROPE_BASE:
        raise CodewattError(
            f"{source}: llama.cpp's converter leaves out the RoPE base {base:g} of this model "
            f"type; allowed: {_DEFAULT_ROPE_BASE:g}"
        )


def quantise_file(
    source: Path, target: Path, kind: str, importance: ImportanceMatrix | None = None
) -> None:
    """Quantise a GGUF file by llama_model_quantize, on all CPUs that this process may use.

    Args:
        source: in F32 or F16.
        target: the file to write.
        kind: a type other than F32 and F16.
        importance: importance matrix; None for none.

    Raises:
        CodewattError: llama.cpp refuses; the message has its reason.
    """
    lib = import_llama_cpp()
    parameters = lib.llama_model_quantize_default_params()
    parameters.nthread = len(os.sched_getaffinity(0))
    parameters.ftype = getattr(lib, _FILE_TYPES[kind])
    kept: Any = None
    if importance is not None:
        kept = _importance_data(lib, importance)
        parameters.imatrix = ctypes.cast(kept[0], ctypes.POINTER(lib.llama_model_imatrix_data))
    LOG.clear()
    code = lib.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(parameters)
    )
    del kept  # read by llama.cpp until here
    if code:
        raise CodewattError(f"{source}: llama.cpp cannot quantise it to {kind}: {LOG.reason()}")


def _importance_data(lib: Any, importance: ImportanceMatrix) -> tuple[Any, list[Any]]:
    """The importance matrix as llama.cpp reads it, ended by an entry without a name."""
    values = [np.ascontiguousarray(row, np.float32) for row in importance.values.values()]
    entries = (lib.llama_model_imatrix_data * (len(values) + 1))()
    for entry, name, row in zip(entries, importance.values, values, strict=False):
        entry.name = name.encode()
        entry.data = row.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = row.size
    return entries, values


def count_weights(header: GgufHeader, importance: ImportanceMatrix | None) -> QuantisedCounts:
    """What the tensors of a GGUF file say."""
    packed = packed_tensors(header)
    matrices = [tensor for tensor in weight_tensors(header) if len(tensor.shape) > 1]
    weights = sum(tensor.weights for tensor in packed)
    described: ImportanceRecord | None = None
    if importance is not None:
        described = {"tensors": len(importance.values), "tokens": importance.tokens}
    return {
        "quantised_modules": len(packed),
        "quantised_weights": weights,
        "unquantised_weights": sum(tensor.weights for tensor in matrices) - weights,
        "packed_bytes": sum(tensor.bytes for tensor in packed),
        "gguf": {
            "file_type": str(header.file_type),
            "llama_cpp_python": llama_cpp_version(),
            "bits_per_weight": bits_per_weight(header),
            "file_bytes": header.path.stat().st_size,
            "tensors": header.packings,
            "importance_matrix": described,
        },
    }


QUANTISER = GgufQuantiser()
