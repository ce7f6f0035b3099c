"""The settings of a precision, as its quantiser and the record of a variant have them."""

from typing import NotRequired

from typing_extensions import TypedDict


class PrecisionSettings(TypedDict):
    """A study's precision without id and label (config.compression_settings).

    Every key but `method` belongs to some methods and is absent for the others:

    none: dtype.
    bitsandbytes: quant_type, compute_dtype, double_quantisation, outlier_threshold.
    torchao: quant_type, compute_dtype, group_size.
    gptq: bits, group_size, act_order, compute_dtype, calibration, backend.
    awq: bits, group_size, compute_dtype, calibration, backend.
    gguf: quant_type, compute_dtype, calibration.

    calibration: id of the corpus; None for a checkpoint that is published packed, and for a GGUF
    file without importance matrix.
    """

    method: str
    dtype: NotRequired[str]
    quant_type: NotRequired[str]
    compute_dtype: NotRequired[str]
    double_quantisation: NotRequired[bool]
    outlier_threshold: NotRequired[float]
    group_size: NotRequired[int]
    bits: NotRequired[int]
    act_order: NotRequired[bool]
    calibration: NotRequired[str | None]
    backend: NotRequired[str]
