"""Backend `gptqmodel`: GPTQModel 7.6, for GPTQ and AWQ on the CPU or a GPU."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.gptqmodel_library import import_gptqmodel, preserve_environment, silence_output
from codewatt.models.model_config import (
    read_configuration,
    requested_attention,
    resolved_configuration,
)
from codewatt.models.model_files import only_model_files
from codewatt.models.weight_headers import read_weight_headers
from codewatt.quantise.backends.backend import LibraryCounts, QuantisationBackend
from codewatt.quantise.backends.tensor_names import restore_tensor_names
from codewatt.quantise.linear_selection import decoder_matrices
from codewatt.quantise.precision_settings import PrecisionSettings

_AWQ_OUT_MULTIPLE = 64  # the search for clipping thresholds takes blocks of 64 outputs
_AWQ_FAILS_ON = ("deepseek_v2",)  # cannot scale its low-rank attention


class GptqModel(QuantisationBackend):
    """Quantises layer after layer, each on the outputs of the quantised layers before it.

    Without act_order, GPTQ still quantises columns within groups in the order of their activations
    (group-aware reordering, the library's default). Groups stay in place, so inference costs
    nothing extra.
    """

    def import_libraries(self) -> None:
        """See `QuantisationBackend.import_libraries`."""
        import_gptqmodel()

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: PrecisionSettings,
        device: str,
        sequences: list[list[int]],
    ) -> LibraryCounts:
        """See `QuantisationBackend.quantise`.

        Returns:
            GPTQ: rounded_modules, the number of modules that too few tokens reached, so that their
            weights were rounded to nearest. AWQ: unscaled_modules, the number of modules without a
            module before them that can scale their inputs.
        """
        import torch
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        if settings["method"] == "awq":
            _check_awq(source)
        library = import_gptqmodel()
        kernel = {"gptq": library.BACKEND.GPTQ_TORCH, "awq": library.BACKEND.AWQ_TORCH}
        # Refuses models that need their own code, before the library asks whether to run it.
        configuration = resolved_configuration(source)
        unavailable = configuration._attn_implementation != requested_attention(
            read_configuration(source)
        )
        attention = {"attn_implementation": "eager"} if unavailable else {}
        with (
            silence_output(),
            preserve_environment(),
            _temporary_log_directory(),
            only_model_files(source) as own,
        ):
            model = library.GPTQModel.load(
                str(own),
                _quantisation_config(library, settings, device),
                dtype=getattr(torch, settings["compute_dtype"]),
                trust_remote_code=False,
                **attention,
            )
            log = model.quantize(
                [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in sequences],
                batch_size=1,
                backend=kernel[settings["method"]],
                calibration_data_min_length=0,  # drop no sequence
            )
            model.save(str(target))
        restore_tensor_names(target)
        return _count_exceptions(settings["method"], log[settings["method"]])


@contextmanager
def _temporary_log_directory() -> Iterator[None]:
    """Let the library write its log, which it also returns, into a temporary directory."""
    from gptqmodel.looper import loop_processor

    with tempfile.TemporaryDirectory() as scratch:
        loop_processor._PROJECT_LOG_DIR = Path(scratch)
        yield


def _quantisation_config(library: Any, settings: PrecisionSettings, device: str) -> Any:
    """The library's quantisation config for a study's precision."""
    shared = {
        "bits": settings["bits"],
        "group_size": settings["group_size"],
        "offload_to_disk": False,  # True fails on GPT-NeoX
        "device": device,
    }
    if settings["method"] == "awq":
        return library.QuantizeConfig(quant_method="awq", format="gemm", sym=False, **shared)
    return library.QuantizeConfig(
        quant_method="gptq",
        format="gptq",
        sym=True,
        desc_act=settings["act_order"],
        act_group_aware=not settings["act_order"] and settings["group_size"] != -1,
        **shared,
    )


def _check_awq(source: Path) -> None:
    """Check that the library's AWQ supports a model.

    Raises:
        CodewattError: it does not.
    """
    model_type = read_configuration(source).get("model_type")
    if model_type in _AWQ_FAILS_ON:
        raise CodewattError(
            f"{source}: AWQ of backend gptqmodel does not support model type {model_type}; "
            "allowed: method gptq, or another model"
        )
    for name, (outs, ins) in decoder_matrices(read_weight_headers(source)).items():
        if outs % _AWQ_OUT_MULTIPLE:
            raise CodewattError(
                f"{name}: {outs} outputs and {ins} inputs; allowed for AWQ of backend gptqmodel: "
                f"multiples of {_AWQ_OUT_MULTIPLE} outputs"
            )


def _count_exceptions(method: str, log: list[dict[str, Any]]) -> LibraryCounts:
    """Count modules that were not calibrated, from the library's log; see `quantise`.

    Raises:
        CodewattError: calibration sequences were dropped or had no effect.
    """
    if method == "awq":
        if any(row["activation_raw_tokens"] != row["activation_retained_tokens"] for row in log):
            raise CodewattError(
                "gptqmodel: AWQ used only part of the calibration corpus; report this model, or "
                "use backend: autoawq"
            )
        exceptions = [row["loss"] == "not applicable" for row in log]
    else:
        exceptions = [row["loss"].startswith("fallback") for row in log]
    if all(exceptions):
        raise CodewattError(
            f"gptqmodel: {method} calibrated none of {len(log)} modules; use a calibration corpus "
            "with more samples or tokens"
        )
    if method == "awq":
        return {"unscaled_modules": sum(exceptions)}
    return {"rounded_modules": sum(exceptions)}


BACKEND = GptqModel()
