"""Backend `autoawq`: AutoAWQ 0.2.9 (Lin et al. 2024; unmaintained, own environment).

Its environment has the pipeline's transformers. The quantised weights are equal, bit for bit, to
those with transformers 4.51.3, the last version that AutoAWQ was tested with.
"""

import warnings
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.loading import load_model
from codewatt.models.weight_headers import read_weight_headers
from codewatt.quantise.backends.backend import (
    LibraryCounts,
    QuantisationBackend,
    not_installed_error,
)
from codewatt.quantise.backends.checkpoint_files import write_checkpoint_config
from codewatt.quantise.linear_selection import decoder_matrices
from codewatt.quantise.precision_settings import PrecisionSettings

_OUT_MULTIPLE = 64  # the search for clipping thresholds takes blocks of 64 outputs


class AutoAwq(QuantisationBackend):
    """Scales and clips layer after layer; uses a GPU if torch sees one."""

    def import_libraries(self) -> None:
        """See `QuantisationBackend.import_libraries`."""
        _import_autoawq()

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: PrecisionSettings,
        device: str,
        sequences: list[list[int]],
    ) -> LibraryCounts:
        """See `QuantisationBackend.quantise`. All sequences have the same length."""
        library = _import_autoawq()
        _check_shapes(source)
        _check_device(library.utils.utils.get_best_device(), device)
        # Loaded on the CPU: the library moves layers to the GPU one by one.
        loaded = load_model(source, dtype=settings["compute_dtype"], device="cpu")
        # With a KV cache, each pass over a layer would attend to earlier passes.
        loaded.model.config.use_cache = False
        config = loaded.model.config
        wrapper_class = library.models.auto.AWQ_CAUSAL_LM_MODEL_MAP[config.model_type]
        wrapped = wrapper_class(loaded.model, config.model_type, False, config, None, None)
        wrapped.quantize(
            loaded.tokenizer,
            quant_config={
                "zero_point": True,
                "q_group_size": settings["group_size"],
                "w_bit": settings["bits"],
                "version": "GEMM",
            },
            calib_data=sequences,
            max_calib_samples=len(sequences),
            max_calib_seq_len=max(map(len, sequences)),  # longer sequences would be dropped
        )
        # Not `save_quantized`: it writes tensor names of transformers 5's memory (tensor_names.py).
        wrapped.model.save_pretrained(target)
        packing = wrapped.quant_config.to_transformers_dict()
        write_checkpoint_config(source, target, packing, settings["compute_dtype"])
        return {}


def _import_autoawq() -> Any:
    """Import the module `awq` and the submodules that are used here.

    Raises:
        CodewattError: it is not installed.
    """
    try:
        # On import it enables all of Python's deprecation warnings and raises one itself.
        with warnings.catch_warnings(record=True):
            import awq
            import awq.models.auto
            import awq.utils.utils
    except ModuleNotFoundError as error:
        if error.name != "awq":
            raise
        raise not_installed_error("autoawq") from None
    return awq


def _check_shapes(source: Path) -> None:
    """Check that the library supports the shapes of a model's layers.

    Raises:
        CodewattError: it does not.
    """
    for name, (outs, ins) in decoder_matrices(read_weight_headers(source)).items():
        if outs % _OUT_MULTIPLE:
            raise CodewattError(
                f"{name}: {outs} outputs and {ins} inputs; allowed for AutoAWQ: multiples of "
                f"{_OUT_MULTIPLE} outputs"
            )


def _check_device(best: str, device: str) -> None:
    """Check that the device which the library chooses itself is the study's.

    Raises:
        CodewattError: it is another one.
    """
    if best.split(":")[0] != device:
        raise CodewattError(
            f"backend autoawq: AutoAWQ quantises on {best} on this machine, the study's device is "
            f"{device!r}; allowed: device: cuda, or a job that sees no GPU (CUDA_VISIBLE_DEVICES=)"
        )


BACKEND = AutoAwq()
