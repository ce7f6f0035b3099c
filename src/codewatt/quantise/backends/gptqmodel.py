"""GPTQModel 7.6: GPTQ and AWQ, on the CPU or a GPU, by torch's functions."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.gptqmodel_library import import_gptqmodel, kept_environment, silenced
from codewatt.models.model_config import (
    attention_asked,
    read_configuration,
    resolved_configuration,
)
from codewatt.models.model_files import own_files_only
from codewatt.models.weight_headers import headers_of
from codewatt.quantise.backends.backend import Backend, LibraryNotes
from codewatt.quantise.backends.tensor_names import restore_names
from codewatt.quantise.linear_selection import decoder_matrices

_AWQ_OUT_MULTIPLE = 64  # the search for clipping bounds takes whole blocks of outputs
_WITHOUT_AWQ = ("deepseek_v2",)  # it scales low-rank attention's groups, and fails on them


class GptqModel(Backend):
    """Layer after layer, each on the inputs that the quantised layers before it give.

    GPTQ without act_order goes through a group's columns by their activations all the same (group
    aware reordering, the library's default): groups stay where they are, so it costs nothing later.
    """

    def import_libraries(self) -> None:
        """See `Backend.import_libraries`."""
        import_gptqmodel()

    def quantise(
        self,
        source: Path,
        target: Path,
        settings: dict[str, Any],
        device: str,
        sequences: list[list[int]],
    ) -> LibraryNotes:
        """See `Backend.quantise`.

        Returns:
            rounded_modules: that too few tokens reached, and whose weights were only rounded
            (GPTQ); or unscaled_modules: whose inputs no module before them can scale (AWQ).
        """
        import torch
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        if settings["method"] == "awq":
            _check_awq(source)
        library = import_gptqmodel()
        kernel = {"gptq": library.BACKEND.GPTQ_TORCH, "awq": library.BACKEND.AWQ_TORCH}
        # Refuses what cannot be read, before the library asks whether to run a model's own code.
        configuration = resolved_configuration(source)
        left_out = configuration._attn_implementation != attention_asked(read_configuration(source))
        attention = {"attn_implementation": "eager"} if left_out else {}
        with silenced(), kept_environment(), _logs_elsewhere(), own_files_only(source) as own:
            model = library.GPTQModel.load(
                str(own),
                _configuration(library, settings, device),
                dtype=getattr(torch, settings["compute_dtype"]),
                trust_remote_code=False,
                **attention,
            )
            log = model.quantize(
                [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in sequences],
                batch_size=1,
                backend=kernel[settings["method"]],
                calibration_data_min_length=0,  # none is dropped
            )
            model.save(str(target))
        restore_names(target)
        return _notes(settings["method"], log[settings["method"]])


@contextmanager
def _logs_elsewhere() -> Iterator[None]:
    """Let the library write its log, which it also returns, where it leaves nothing behind."""
    from gptqmodel.looper import loop_processor

    with tempfile.TemporaryDirectory() as scratch:
        loop_processor._PROJECT_LOG_DIR = Path(scratch)
        yield


def _configuration(library: Any, settings: dict[str, Any], device: str) -> Any:
    """The library's configuration for a study's precision."""
    shared = {
        "bits": settings["bits"],
        "group_size": settings["group_size"],
        "offload_to_disk": False,  # GPT-NeoX fails with it
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
    """See that the library's AWQ takes a model.

    Raises:
        CodewattError: it does not.
    """
    model_type = read_configuration(source).get("model_type")
    if model_type in _WITHOUT_AWQ:
        raise CodewattError(
            f"{source}: gptqmodel's AWQ fails on {model_type}; allowed: method gptq, or another "
            "model"
        )
    for name, (outs, ins) in decoder_matrices(headers_of(source)).items():
        if outs % _AWQ_OUT_MULTIPLE:
            raise CodewattError(
                f"{name}: {outs} outputs of {ins} inputs; gptqmodel's AWQ takes multiples of "
                f"{_AWQ_OUT_MULTIPLE} outputs"
            )


def _notes(method: str, log: list[dict[str, Any]]) -> LibraryNotes:
    """What the library's log says of how each module was quantised.

    Raises:
        CodewattError: the corpus that it was calibrated on had no effect.
    """
    if method == "awq":
        if any(row["activation_raw_tokens"] != row["activation_retained_tokens"] for row in log):
            raise CodewattError("gptqmodel left out part of the corpus that AWQ is calibrated on")
        marked = [row["loss"] == "not applicable" for row in log]
    else:
        marked = [row["loss"].startswith("fallback") for row in log]
    if all(marked):
        raise CodewattError(
            f"gptqmodel: {method} was not calibrated on any of {len(log)} modules; allowed: a "
            "corpus with more samples or tokens"
        )
    if method == "awq":
        return {"unscaled_modules": sum(marked)}
    return {"rounded_modules": sum(marked)}


BACKEND = GptqModel()
