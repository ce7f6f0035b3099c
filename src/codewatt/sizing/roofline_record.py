"""The records of a roofline's two sides: a machine's rates, and what a model asks of a machine."""

from typing_extensions import TypedDict


class MachineRatesRecord(TypedDict):
    """What a machine can give (`measured_machine.MachineRates`).

    A rate, and the size that it was measured with, is None where too little memory was left.
    """

    bandwidth_bytes_per_s: float | None
    matmul_flops_per_s: float | None
    matrix_dtype: str
    copied_bytes: int | None
    matrix_edge: int | None


class DemandRecord(TypedDict):
    """What a loaded model asks of a machine (`roofline.Demand`).

    window: tokens that a layer with a sliding window attends to; None without such layers.
    """

    step_weight_bytes: int
    kv_bytes_per_token: int
    flops_per_token: int
    head_flops: int
    attention_flops: int
    layers: int
    windowed_layers: int
    window: int | None
