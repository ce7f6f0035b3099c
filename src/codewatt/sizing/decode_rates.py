"""Duration and GPU power of a decode step, from measured steps.

`rates.csv` contains the measurements of docs/archive/h200-engines.md: StarCoder2-3B's architecture
on an H200. They are scaled to other models and GPUs by two models of a decode step:

- host time (engine transformers only, which is limited by Python): a fixed time plus a time per
  layer;
- GPU time: bytes of the roofline / (a measured share of the GPU's memory bandwidth).

The duration of a step is the larger of the two; for engine graph it is the GPU time. GPU power is
idle power plus a share (the utilisation) of the range from idle power to TDP. For engine
transformers the utilisation is the measured one, or more on a GPU whose GPU time is longer.
"""

import csv
import itertools
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.sizing.estimate_assumptions import assumed_value
from codewatt.sizing.gpu_datasheets import Gpu, get_gpu
from codewatt.sizing.known_configs import known_models
from codewatt.sizing.parameter_counts import architecture_of
from codewatt.sizing.roofline import Demand, GeneratedSequence, decode_work
from codewatt.sizing.weight_bytes import Precision, unquantised_dtype, weight_bytes

_TABLE = Path(__file__).with_name("rates.csv")
_REFERENCE_GPU, _REFERENCE_MODEL = "h200", "bigcode/starcoder2-3b"
#: Prompt tokens by batch size, and new tokens, of these measurements; at other batch sizes prompts
#: had 64 to 152 tokens.
_REFERENCE_PROMPTS, _REFERENCE_NEW = {1: 64, 164: 172}, 128
_OTHER_PROMPTS = 108
#: Name in `rates.csv` → the precision.
_KINDS: dict[str, dict[str, object]] = {
    "float32": {"method": "none", "dtype": "float32"},
    "bfloat16": {"method": "none", "dtype": "bfloat16"},
    "llm.int8": {"method": "bitsandbytes", "quant_type": "int8", "compute_dtype": "float16"},
    "nf4": {"method": "bitsandbytes", "quant_type": "nf4", "compute_dtype": "bfloat16"},
    "int8": {"method": "torchao", "quant_type": "int8", "compute_dtype": "bfloat16"},
    "int4": {
        "method": "torchao", "quant_type": "int4", "compute_dtype": "bfloat16", "group_size": 128,
    },
}  # fmt: skip
#: Seconds per layer and step on a CPU
#: (docs/archive/small-measurements.md, 'Decode steps on a CPU').
_CPU_LAYER_S = {
    "float32": 0.30e-3,
    "bfloat16": 0.30e-3,
    "llm.int8": 2.1e-3,
    "nf4": 0.71e-3,
    "int8": 0.32e-3,
    "int4": 0.32e-3,
}


@dataclass(frozen=True)
class DecodeStepCost:
    """A decode step: duration (s), and utilisation: GPU power from idle power (0) to TDP (1)."""

    seconds: float
    utilisation: float


@dataclass(frozen=True)
class _Point:
    batch: int
    step_s: float
    gpu_w: float


def measured_kind(precision: Precision) -> tuple[str, str | None]:
    """The measured precision that stands for a precision.

    Returns:
        The name in `rates.csv`, and a note if the precision itself was not measured (else None).

    Raises:
        CodewattError: no measured precision is named for the method.
    """
    method = precision["method"]
    if method == "none":
        dtype = unquantised_dtype(precision)
        return ("float32", None) if dtype == "float32" else ("bfloat16", None)
    if method == "bitsandbytes":
        return ("llm.int8", None) if precision["quant_type"] == "int8" else ("nf4", None)
    if method == "torchao" and precision["quant_type"] in ("int8", "int4"):
        return str(precision["quant_type"]), None
    if method == "torchao":
        return "int8", "fp8 was not measured; estimated like torchao's int8"
    if method == "gguf":
        return "float32", "engine llama_cpp is estimated from bytes and FLOPs on a CPU"
    if method not in ("gptq", "awq"):
        raise CodewattError(
            f"precision method {method!r}: no measured precision is named for it, so its steps "
            "cannot be estimated; add one to measured_kind in sizing/decode_rates.py"
        )
    bits = precision["bits"]
    return (
        "int4" if bits == 4 else "int8"
    ), f"{method} was not measured; estimated like torchao's int{bits}"


def gpu_step(
    engine: str, kind: str, batch: int, demand: Demand, context: int, gpu: Gpu, dtype: str
) -> DecodeStepCost:
    """A decode step on a GPU.

    Args:
        engine: 'transformers', 'graph' or 'vllm' (not measured; treated like 'graph').
        kind: name of a measured precision (see `measured_kind`).
        batch: number of sequences.
        demand: memory traffic and FLOPs of the model.
        context: tokens that each sequence attends to.
        gpu: the GPU.
        dtype: dtype of the matrix multiplications.
    """
    moved = _step_bytes(demand, batch, context)
    busy_s = moved / (gpu.bandwidth_bytes_per_s * _bandwidth_share(kind, batch))
    if rate := gpu.flops_per_s.get(dtype):
        busy_s = max(
            busy_s, _flops(demand, batch, context) / (rate * assumed_value("product_share"))
        )
    busy = _utilisation("graph", kind, batch)
    if engine != "transformers":
        return DecodeStepCost(busy_s, busy)
    host_s = _host_step_s(kind, batch, demand.layers)
    own = _utilisation("transformers", kind, batch)
    return DecodeStepCost(max(host_s, busy_s), max(own, busy * min(busy_s / host_s, 1.0)))


def cpu_step(engine: str, kind: str, batch: int, demand: Demand, context: int) -> DecodeStepCost:
    """A decode step on a CPU; the times of host calls and of computation add up.

    Engine llama_cpp has no calls from Python but one a step; that time is not counted.

    For the arguments see `gpu_step`.
    """
    work_s = _step_bytes(demand, batch, context) / assumed_value("cpu_bytes_per_s")
    work_s += _flops(demand, batch, context) / assumed_value("cpu_flops_per_s")
    if engine == "llama_cpp":
        return DecodeStepCost(work_s, 0.0)
    call_s = assumed_value("generate_call_s" if engine == "transformers" else "graph_call_s")
    return DecodeStepCost(call_s + demand.layers * _CPU_LAYER_S[kind] + work_s, 0.0)


def idle_w(gpu: Gpu) -> float:
    """Idle power (W) of a GPU with a model loaded."""
    return gpu.idle_w if gpu.idle_w is not None else gpu.tdp_w * assumed_value("idle_share")


def power_w(gpu: Gpu, utilisation: float) -> float:
    """GPU power (W) at a utilisation: 0 is idle power, 1 the TDP."""
    return idle_w(gpu) + utilisation * (gpu.tdp_w - idle_w(gpu))


def _step_bytes(demand: Demand, batch: int, context: int) -> int:
    cache = demand.attended(context, context) * demand.kv_bytes_per_token // demand.layers
    return demand.step_weight_bytes + batch * cache


def _flops(demand: Demand, batch: int, context: int) -> int:
    attention = demand.attended(context, context) * demand.attention_flops // demand.layers
    return batch * (demand.flops_per_token + demand.head_flops + attention)


@cache
def _rows() -> dict[tuple[str, str], list[_Point]]:
    """(engine, kind) → measured points, by ascending batch size."""
    found: dict[tuple[str, str], list[_Point]] = {}
    with _TABLE.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            tokens_per_s, batch = float(row["tokens_per_s"]), int(row["batch"])
            point = _Point(batch, batch / tokens_per_s, tokens_per_s * float(row["j_per_token"]))
            found.setdefault((row["engine"], row["kind"]), []).append(point)
    return {key: sorted(points, key=lambda p: p.batch) for key, points in found.items()}


def _at(points: list[tuple[float, float]], batch: float) -> float:
    """Value at `batch`: linear interpolation between points, constant beyond the last one."""
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        if batch <= x2:
            return y1 + (y2 - y1) * (batch - x1) / (x2 - x1)
    return points[-1][1]


@cache
def _host_step_s(kind: str, batch: int, layers: int) -> float:
    """Host time (s) of a decode step of engine transformers, scaled by the number of layers."""
    rows = _rows()["transformers", kind]
    longest = itertools.accumulate(
        (row.step_s for row in rows), max
    )  # a larger batch never takes less time; smaller values are noise
    points = list(zip((float(row.batch) for row in rows), longest, strict=True))
    measured = _at(points, batch)
    # Beyond the largest measured batch, the slope of bfloat16 (measured up to 164) is used.
    (x1, y1), (x2, y2) = [(p.batch, p.step_s) for p in _rows()["transformers", "bfloat16"]][-2:]
    measured += max(batch - points[-1][0], 0.0) * (y2 - y1) / (x2 - x1)
    fixed = assumed_value("generate_call_s")
    return fixed + (measured - fixed) * layers / _reference(kind).layers


@cache
def _bandwidth_share(kind: str, batch: int) -> float:
    """Share of the data sheet's bandwidth that decode steps of engine graph reach.

    It decreases with the batch size, and is at most the share of a copy. Engine graph cannot run
    LLM.int8(), for which the share of torchao's int8 is used.
    """
    kind = "int8" if kind == "llm.int8" else kind
    share, points = assumed_value("bandwidth_share"), []
    for point in _rows()["graph", kind]:
        share = min(share, _reached_share(kind, point))
        points.append((float(point.batch), share))
    return _at(points, batch)


def _reached_share(kind: str, point: _Point) -> float:
    """Bytes of a measured step / (its duration * the data sheet's bandwidth)."""
    demand = _reference(kind)
    prompt = _REFERENCE_PROMPTS.get(point.batch, _OTHER_PROMPTS)
    one = decode_work(demand, [GeneratedSequence(prompt, _REFERENCE_NEW)]).moved_bytes
    weights = demand.step_weight_bytes * (_REFERENCE_NEW - 1)
    moved = (weights + point.batch * (one - weights)) / (_REFERENCE_NEW - 1)
    return moved / get_gpu(_REFERENCE_GPU).bandwidth_bytes_per_s / point.step_s


@cache
def _utilisation(engine: str, kind: str, batch: int) -> float:
    """(measured power - idle power) / (TDP - idle power) on the reference GPU, from 0 to 1."""
    kind = "int8" if (engine, kind) == ("graph", "llm.int8") else kind
    gpu = get_gpu(_REFERENCE_GPU)
    points = [(float(p.batch), p.gpu_w) for p in _rows()[engine, kind]]
    watts = _at(points, min(batch, points[-1][0]))
    return min(max((watts - idle_w(gpu)) / (gpu.tdp_w - idle_w(gpu)), 0.0), 1.0)


@cache
def _reference(kind: str) -> Demand:
    architecture = architecture_of(known_models()[_REFERENCE_MODEL].config)
    precision = _KINDS[kind]
    cache_bytes = 4 if kind == "float32" else 2
    return Demand.of(architecture, weight_bytes(architecture, precision).step, cache_bytes)
