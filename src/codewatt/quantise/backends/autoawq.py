"""AutoAWQ 0.2.9 (Lin et al. 2024's method by Hansen): no longer maintained, in its own environment.

That environment has the pipeline's transformers: the codes are bit for bit those that it makes with
4.51.3, the last version that it was tested with.
"""

import warnings
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.loading import load_model
from codewatt.models.weight_headers import headers_of
from codewatt.quantise.backends.backend import Backend, LibraryNotes, not_installed
from codewatt.quantise.backends.checkpoint_files import write_description
from codewatt.quantise.linear_selection import decoder_matrices

_OUT_MULTIPLE = 64  # the search for clipping bounds takes whole blocks of outputs


class AutoAwq(Backend):
    """Scales and clips layer after layer, on a GPU wherever torch sees one."""

    def import_libraries(self) -> None:
        """See `Backend.import_libraries`."""
        _import_autoawq()

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: dict[str, Any],
        device: str,
        sequences: list[list[int]],
    ) -> LibraryNotes:
        """See `Backend.quantise`. The sequences are of one length."""
        library = _import_autoawq()
        _check_shapes(source)
        _check_device(library.utils.utils.get_best_device(), device)
        # Loaded where there is room: the library moves layers to the GPU one by one.
        loaded = load_model(source, dtype=settings["compute_dtype"], device="cpu")
        # With a cache, each pass over a layer would attend to the passes before it.
        loaded.model.config.use_cache = False
        config = loaded.model.config
        kind = library.models.auto.AWQ_CAUSAL_LM_MODEL_MAP[config.model_type]
        wrapped = kind(loaded.model, config.model_type, False, config, None, None)
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
            max_calib_seq_len=max(map(len, sequences)),  # longer ones would be dropped
        )
        # Not by `save_quantized`, which has tensors' names of memory where a file has others.
        wrapped.model.save_pretrained(target)
        packing = wrapped.quant_config.to_transformers_dict()
        write_description(source, target, packing, settings["compute_dtype"])
        return {}


def _import_autoawq() -> Any:
    """The module `awq`, and the submodules that are used here.

    Raises:
        CodewattError: it is not installed.
    """
    try:
        # It says goodbye by a warning, and first makes all of Python's deprecations visible.
        with warnings.catch_warnings(record=True):
            import awq
            import awq.models.auto
            import awq.utils.utils
    except ModuleNotFoundError as error:
        if error.name != "awq":
            raise
        raise not_installed("autoawq") from None
    return awq


def _check_shapes(source: Path) -> None:
    """See that the library takes a model's layers.

    Raises:
        CodewattError: it does not.
    """
    for name, (outs, ins) in decoder_matrices(headers_of(source)).items():
        if outs % _OUT_MULTIPLE:
            raise CodewattError(
                f"{name}: {outs} outputs of {ins} inputs; AutoAWQ takes multiples of "
                f"{_OUT_MULTIPLE} outputs"
            )


def _check_device(best: str, device: str) -> None:
    """See that the device which the library chooses for itself is the one that was asked for.

    Raises:
        CodewattError: it is another one.
    """
    if best.split(":")[0] != device:
        raise CodewattError(
            f"backend autoawq: AutoAWQ quantises on {best} here, the study's device is {device!r}; "
            "allowed: device: cuda, or a job that sees no GPU (CUDA_VISIBLE_DEVICES=)"
        )


BACKEND = AutoAwq()
