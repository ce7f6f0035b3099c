"""The settings behind tables 5.14, 5.19, 5.25, 5.30 and 5.35, found from their printed numbers.

The thesis states neither the rates nor the numbers of tokens. They follow from the tables:

- 256 tokens (table 5.14) and 660 (the others): prefill compute / (2 * n_params), equation 3.27.
- 864 GB/s, and 362.05 TFLOP/s for unquantised models: TTFT and TPOT, equations 3.31 and 3.32. These
  are the values of the L40S's data sheet (dense, 16 bits). The L40's rate with sparsity, 362.1,
  would give 0.0834 s, where table 5.35 has 0.0835 (TTFT of 14B-Instruct).
- 181.05 TFLOP/s for the prefill of table 5.14 only: the dense 16-bit rate of the L40, another GPU.
- 733 TOP/s for quantised models: the dense 8-bit integer rate of the L40S.
- 15.8 billion parameters of DeepSeek-V2-Lite: its decode compute, 31.60.
"""

from dataclasses import dataclass

from codewatt.sizing.gpu_datasheets import get_gpu
from codewatt.units import FLOPS_PER_TFLOP

#: Tables of estimates, in the order of the thesis.
ESTIMATE_TABLES = ("5.14", "5.19", "5.25", "5.30", "5.35")
#: Dense INT8 rate of the L40S (1/s), NVIDIA L40S data sheet.
INT8_RATE = 733 * FLOPS_PER_TFLOP
_DTYPE = "float16"
#: Rows of table 5.14 -> number of parameters that it was computed with, and the model.
_BATCH_ROWS = {
    "Qwen2.5-Coder-7B": (7e9, "Qwen2.5-Coder-7B-Instruct"),
    "Meta-Llama-3.1-8B": (8e9, "Llama-3.1-8B-Instruct"),
    "DeepSeek-V2-Lite-16B": (15.8e9, "DeepSeek-Coder-V2-Lite-Instruct"),
}
_BATCH_TOKENS, _QWEN_TOKENS = 256, 660
#: Precision by suffix of the row: what the estimates multiply everything with, and what it is.
_SHARES = {"AWQ": 0.5, "GPTQ-Int8": 0.5, "GPTQ-Int4": 0.25}
_GROUPED = {"group_size": 128, "compute_dtype": _DTYPE}
UNQUANTISED: dict[str, object] = {"method": "none", "dtype": _DTYPE}
#: Suffix -> precision, as Qwen's published checkpoints have it: AWQ has 4 bits, not the 8 that
#: table 5.30 counts.
PRECISIONS: dict[str, dict[str, object]] = {
    "": UNQUANTISED,
    "AWQ": {"method": "awq", "bits": 4, **_GROUPED},
    "GPTQ-Int8": {"method": "gptq", "bits": 8, **_GROUPED},
    "GPTQ-Int4": {"method": "gptq", "bits": 4, **_GROUPED},
}


@dataclass(frozen=True)
class EstimateSettings:
    """What one row of a table of estimates was computed with.

    Attributes:
        model: name in `study_models`.
        suffix: "", "AWQ", "GPTQ-Int8" or "GPTQ-Int4".
        n_params: number of parameters.
        share: factor on compute and memory: 1, 0.5 (8 bits) or 0.25 (4 bits).
        tokens: tokens of the prompt, and new tokens.
        prefill_rate, decode_rate: FLOPs per second.
        memory_rate: bytes per second.
    """

    model: str
    suffix: str
    n_params: float
    share: float
    tokens: int
    prefill_rate: float
    decode_rate: float
    memory_rate: float

    @property
    def precision(self) -> dict[str, object]:
        """The precision of the study file that the suffix stands for."""
        return PRECISIONS[self.suffix]


def settings_of_model(model: str, n_params: float) -> EstimateSettings:
    """The settings of tables 5.19 to 5.35 for any model, in 16 bits."""
    gpu = get_gpu("l40s")
    rate = gpu.flops_per_s[_DTYPE]
    memory = gpu.bandwidth_bytes_per_s
    return EstimateSettings(model, "", n_params, 1.0, _QWEN_TOKENS, rate, rate, memory)


def split_label(label: str) -> tuple[str, str, str]:
    """A Qwen2.5 label as (size, "" or "-Instruct", suffix): "7B-Instruct-AWQ", "14 B"."""
    size, _, rest = label.replace(" ", "").partition("-")
    kind, _, suffix = rest.partition("-")
    return size, f"-{kind}" if kind else "", suffix


def settings_of(table: str, row: str) -> EstimateSettings:
    """The settings of a row of a table of estimates."""
    gpu = get_gpu("l40s")
    rate, memory = gpu.flops_per_s[_DTYPE], gpu.bandwidth_bytes_per_s
    if table == "5.14":
        n_params, model = _BATCH_ROWS[row]
        prefill = get_gpu("l40").flops_per_s[_DTYPE]
        return EstimateSettings(model, "", n_params, 1.0, _BATCH_TOKENS, prefill, rate, memory)
    size, kind, suffix = split_label(row)
    rate = INT8_RATE if suffix else rate
    return EstimateSettings(
        f"Qwen2.5-{size}{kind}",
        suffix,
        float(size.removesuffix("B")) * 1e9,
        _SHARES.get(suffix, 1.0),
        _QWEN_TOKENS,
        rate,
        rate,
        memory,
    )
