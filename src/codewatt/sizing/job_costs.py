"""Memory, time, energy and disk of a job, from its model's architecture and its work.

Nothing is loaded or downloaded. The assumptions are in `estimate_assumptions`, measured rates of
decode steps in `decode_rates`.
"""

import math
from dataclasses import dataclass

from codewatt.sizing.decode_rates import cpu_step, gpu_step, idle_w, measured_kind, power_w
from codewatt.sizing.estimate_assumptions import assumed_value
from codewatt.sizing.gpu_datasheets import Gpu
from codewatt.sizing.parameter_counts import Architecture
from codewatt.sizing.roofline import Demand, GeneratedSequence, prefill_work
from codewatt.sizing.weight_bytes import (
    DTYPE_BYTES,
    Precision,
    WeightBytes,
    unquantised_dtype,
    weight_bytes,
)
from codewatt.sizing.workload import Workload
from codewatt.units import BYTES_PER_GB, BYTES_PER_MB, S_PER_MIN

_DEFAULT_INTERVAL_S = 0.02  # sampling interval at which telemetry_bytes_per_s was measured
_PREFILL_ROWS = 32  # engine graph prefills at most this many prompts at a time
#: Temporary memory of drawing a token, per logit: sorted scores (4), their order (8), cumulative
#: weights (8), and a copy of the weights or of the sort (8 to 12).
_SAMPLING_BYTES = 30


@dataclass(frozen=True)
class JobSize:
    """Estimated cost of a job: time, energy, memory and disk.

    Attributes:
        job_s: duration of the whole job (s).
        metered_s: duration of its metered windows (s).
        gpu_j: energy of its GPU during `metered_s` (J); 0 without a GPU.
        vram_bytes: peak GPU memory (bytes); 0 without a GPU.
        host_bytes: peak host memory (bytes).
        disk_bytes: size of its output files (bytes).
        delay_s: by how much the job may take longer (s): rest and warm-up that end at their limits.
    """

    job_s: float
    metered_s: float
    gpu_j: float
    vram_bytes: int
    host_bytes: int
    disk_bytes: int
    delay_s: float = 0.0


def generate_job(
    architecture: Architecture,
    precision: Precision,
    work: Workload,
    gpu: Gpu | None,
    stored_bytes: int,
) -> JobSize:
    """Estimate the job that generates a cell's completions.

    Args:
        architecture: architecture of the variant, after pruning.
        precision: a precision of the study file.
        work: number and length of the sequences.
        gpu: the GPU; None for a CPU.
        stored_bytes: size of the weight files that are loaded.
    """
    gpu = None if work.engine == "llama_cpp" else gpu
    device = "cpu" if gpu is None else "cuda"
    dtype = unquantised_dtype(precision)
    weights = weight_bytes(architecture, precision, device)
    demand = Demand.of(architecture, weights.step, DTYPE_BYTES[dtype])
    kind, _ = measured_kind(precision)
    prefill_s = _prefill_s(demand, work, precision, gpu, dtype)
    context = work.prompt_tokens + work.new_tokens // 2
    if gpu is None:
        step = cpu_step(work.engine, kind, work.sequences, demand, context)
    else:
        step = gpu_step(work.engine, kind, work.sequences, demand, context, gpu, dtype)
    decode_s = max(work.new_tokens - 1, 0) * step.seconds
    prefill_s = max(prefill_s, step.seconds)
    batches = work.batches * work.repeats + work.warmup_batches
    idle_time_s = min(work.idle_s, 1.0) + 2 * work.idle_s + _around_s(work, gpu, stored_bytes)
    idle_time_s += work.rest_s
    more_batches = work.most_warmup_batches - work.warmup_batches
    metered_s = idle_time_s + batches * (prefill_s + decode_s)
    gpu_j = 0.0
    if gpu is not None:
        prefill_w = power_w(gpu, assumed_value("prefill_utilisation"))
        decode_w = power_w(gpu, step.utilisation)
        gpu_j = idle_time_s * idle_w(gpu)
        gpu_j += batches * (prefill_s * prefill_w + decode_s * decode_w)
    telemetry = (
        assumed_value("telemetry_bytes_per_s") * _DEFAULT_INTERVAL_S / work.interval_s * metered_s
    )
    return JobSize(
        job_s=assumed_value("job_start_s") + metered_s,
        metered_s=metered_s,
        gpu_j=gpu_j,
        vram_bytes=0 if gpu is None else _vram(architecture, demand, weights, precision, work, gpu),
        host_bytes=_process_bytes(device) + stored_bytes + (weights.total if gpu is None else 0),
        disk_bytes=round(
            telemetry + assumed_value("completion_bytes") * work.repeats * work.completions
        ),
        delay_s=work.most_rest_s - work.rest_s + more_batches * (prefill_s + decode_s),
    )


def quantise_job(
    source: Architecture,
    pruned: Architecture,
    precision: Precision,
    gpu: Gpu | None,
    source_bytes: int,
) -> JobSize:
    """Estimate the job that makes a variant (pruning and quantising).

    A variant that is neither pruned nor quantised only gets a manifest. GPTQ and AWQ without a
    calibration corpus use the model's checkpoint, which is quantised already.

    Args:
        source: architecture of the unpruned model.
        pruned: architecture after pruning.
        precision: a precision of the study file.
        gpu: the GPU; None for a CPU.
        source_bytes: size of the model's weight files.
    """
    calibrated = precision["method"] in ("gptq", "awq")
    published = calibrated and precision.get("calibration") is None
    quantises = precision["method"] != "none" and not published
    if not quantises and pruned == source:
        return JobSize(
            assumed_value("plain_job_s"), 0.0, 0.0, 0, round(assumed_value("cpu_host_bytes")), 0
        )
    gpu = None if precision["method"] == "gguf" else gpu
    device = "cpu" if gpu is None or not quantises else "cuda"
    made = weight_bytes(pruned, precision, device)
    left_bytes = made.total if quantises else source_bytes * pruned.parameters // source.parameters
    seconds = 2 * source_bytes / assumed_value("load_bytes_per_s") + left_bytes / assumed_value(
        "save_bytes_per_s"
    )
    busy_s = 0.0
    if quantises and calibrated:
        busy_s = assumed_value(f"{precision['method']}_s_per_weight") * pruned.parameters
        seconds += busy_s
    if gpu is None or not quantises:
        gpu_j, vram = 0.0, 0
    else:
        seconds += assumed_value("load_s")
        gpu_j = (seconds - busy_s) * idle_w(gpu)
        gpu_j += busy_s * power_w(gpu, assumed_value("calibration_utilisation"))
        largest = (
            max(m.outs * m.ins for m in pruned.matrices) * DTYPE_BYTES[unquantised_dtype(precision)]
        )
        vram = round(
            assumed_value("context_bytes")
            + assumed_value("vram_margin") * (made.total + 2 * largest)
        )
    return JobSize(
        job_s=assumed_value("job_start_s") + seconds,
        metered_s=seconds,
        gpu_j=gpu_j,
        vram_bytes=vram,
        host_bytes=_process_bytes(device) + source_bytes + (left_bytes if quantises else 0),
        disk_bytes=round(left_bytes + assumed_value("telemetry_bytes_per_s") * seconds),
    )


def pass_job(
    architecture: Architecture, gpu: Gpu | None, stored_bytes: int, tokens: float, loads: int
) -> JobSize:
    """Estimate a job that runs an unquantised model over a corpus (layer scores, fidelity).

    Args:
        architecture: architecture of the model.
        gpu: the GPU; None for a CPU.
        stored_bytes: size of the model's weight files; the model runs in their dtype.
        tokens: number of tokens of all passes together.
        loads: number of times that a model is loaded.
    """
    demand = Demand.of(architecture, stored_bytes, 2)
    flops = tokens * (demand.flops_per_token + demand.head_flops)
    seconds = loads * stored_bytes / assumed_value("load_bytes_per_s")
    if gpu is None:
        seconds += flops / assumed_value("cpu_flops_per_s")
        host = _process_bytes("cpu") + 2 * stored_bytes
        return JobSize(assumed_value("job_start_s") + seconds, seconds, 0.0, 0, host, 0)
    dtype = "float32" if stored_bytes > 3 * architecture.parameters else "float16"
    rate = gpu.flops_per_s[dtype] * assumed_value("prefill_share_transformers")
    running_s = flops / rate
    seconds += loads * assumed_value("load_s") + running_s
    busy_j = running_s * (power_w(gpu, assumed_value("prefill_utilisation")) - idle_w(gpu))
    return JobSize(
        job_s=assumed_value("job_start_s") + seconds,
        metered_s=seconds,
        gpu_j=seconds * idle_w(gpu) + busy_j,
        vram_bytes=round(
            assumed_value("context_bytes") + assumed_value("vram_margin") * stored_bytes
        ),
        host_bytes=_process_bytes("cuda") + stored_bytes,
        disk_bytes=round(assumed_value("telemetry_bytes_per_s") * seconds),
    )


def misfit_reason(vram_bytes: float, gpu: Gpu) -> str | None:
    """Why a job does not fit into the memory of a GPU; None if it fits.

    Args:
        vram_bytes: peak GPU memory of the job.
        gpu: the GPU.
    """
    if vram_bytes <= gpu.memory_bytes:
        return None
    return (
        f"it needs {vram_bytes / BYTES_PER_GB:.1f} GB of GPU memory, the {gpu.name} has "
        f"{gpu.memory_bytes / BYTES_PER_GB:.0f} GB"
    )


def resources(size: JobSize) -> dict[str, int]:
    """The resources that a job requests from the scheduler: the estimate with safety margins.

    Returns:
        mem_mb (host memory), runtime_min, disk_mb and vram_bytes.
    """
    longest_s = size.job_s + size.delay_s
    runtime_s = assumed_value("runtime_floor_s") + assumed_value("runtime_margin") * longest_s
    return {
        "mem_mb": math.ceil(assumed_value("memory_margin") * size.host_bytes / BYTES_PER_MB),
        "runtime_min": math.ceil(runtime_s / S_PER_MIN),
        "disk_mb": math.ceil(size.disk_bytes / BYTES_PER_MB),
        "vram_bytes": size.vram_bytes,
    }


def _prefill_s(
    demand: Demand, work: Workload, precision: Precision, gpu: Gpu | None, dtype: str
) -> float:
    """Duration of the prefill of one batch (s), from its FLOPs."""
    one = prefill_work(demand, [GeneratedSequence(work.prompt_tokens, 1)]).flops
    flops = one * work.sequences
    if gpu is None:
        return flops / assumed_value("cpu_flops_per_s")
    share = assumed_value(
        "prefill_share_transformers" if work.engine == "transformers" else "prefill_share"
    )
    if measured_kind(precision)[0] == "int4":
        share = assumed_value("prefill_share_int4")
    rate = gpu.flops_per_s.get(dtype, gpu.flops_per_s["float32"])
    return flops / (rate * share)


def _around_s(work: Workload, gpu: Gpu | None, stored_bytes: int) -> float:
    """Time (s) for loading, measuring the machine's rates, and extra time of the first batch."""
    seconds = stored_bytes / assumed_value("load_bytes_per_s") + assumed_value("probe_s")
    if gpu is not None:
        seconds += assumed_value("load_s") + assumed_value("warmup_s")
        seconds += assumed_value("capture_s") if work.engine == "graph" else 0.0
        seconds += assumed_value("vllm_load_s") if work.engine == "vllm" else 0.0
    return seconds


def _vram(
    architecture: Architecture,
    demand: Demand,
    weights: WeightBytes,
    precision: Precision,
    work: Workload,
    gpu: Gpu,
) -> int:
    """Peak GPU memory (bytes): weights, KV cache, prefill activations, logits, CUDA context."""
    element = DTYPE_BYTES[unquantised_dtype(precision)]
    held = weights.total
    if work.engine == "graph" and precision["method"] == "torchao":
        held += weights.packed  # its kernels keep a repacked copy of the quantised weights
    tokens = work.longest_prompt + work.new_tokens
    cached = demand.attended(tokens, tokens) * demand.kv_bytes_per_token // demand.layers
    held += work.sequences * cached
    rows = work.sequences if work.engine == "transformers" else min(work.sequences, _PREFILL_ROWS)
    widest = max(m.outs for m in architecture.matrices if m.kind != "expert")
    held += rows * work.longest_prompt * element * (6 * architecture.hidden_size + 3 * widest)
    sampling = _SAMPLING_BYTES if work.sampled and work.engine != "vllm" else 0
    held += work.sequences * architecture.vocabulary * (4 + element + sampling)
    need = assumed_value("context_bytes") + assumed_value("vram_margin") * held
    if work.engine == "vllm":  # reserves a fixed share of the GPU's memory
        return round(max(need, assumed_value("vllm_memory_share") * gpu.memory_bytes))
    return round(need)


def _process_bytes(device: str) -> int:
    """Host memory (bytes) of a process without its model and without memory-mapped files."""
    return round(assumed_value("host_bytes" if device == "cuda" else "cpu_host_bytes"))
