"""All assumptions of the estimate: values, units, meanings and sources.

A source "measured: ..." names a record of the project; "assumed" means that the value was not
measured. `job_costs` contains no further constants, and `decode_rates` only measured step times.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumption:
    """One assumed number with its unit, meaning (`what`) and source."""

    value: float
    unit: str
    what: str
    source: str


_H200 = "measured: docs/archive/h200-engines.md, two engines on an H200"
_FIXTURE = "measured: windows of tests/fixtures/energy/h100_decode_*.json"
_CPU = "measured: docs/archive/small-measurements.md, Decode steps on a CPU"
_JUDGING = "measured: docs/archive/small-measurements.md, Judging"
_EAR = (
    "measured by others: EAR's log in de Reus et al. 2024, docs/explanation/reproduced-studies.md"
)
_PACKED = "measured: docs/archive/gptq-awq-fp8.md, GPTQ, AWQ and fp8 on a GPU"

ASSUMPTIONS: dict[str, Assumption] = {
    # Decode steps
    "bandwidth_share": Assumption(
        0.87, "of the data sheet's rate", "memory bandwidth of a copy (4.18 of 4.8 TB/s)", _H200
    ),
    "prefill_share": Assumption(
        0.36,
        "of the data sheet's rate",
        "FLOPs per second in prefill, engines graph and vllm (all prompts of HumanEval in 0.46 s)",
        _H200,
    ),
    "prefill_share_transformers": Assumption(
        0.16, "of the data sheet's rate", "the same for engine transformers, with padding", _H200
    ),
    "prefill_share_int4": Assumption(
        0.02,
        "of the data sheet's rate",
        "the same for torchao's int4 kernel (1.0 s at batch 32)",
        _H200,
    ),
    "product_share": Assumption(
        0.7, "of the data sheet's rate", "FLOPs per second in decoding (690 of 989 TFLOP/s)", _H200
    ),
    "prefill_utilisation": Assumption(
        0.83,
        "of the range from idle to full power",
        "GPU power in prefill: that of engine graph at batch 164",
        _H200,
    ),
    "generate_call_s": Assumption(
        0.00235, "s per step", "host time of generate() outside the layers", _CPU
    ),
    "graph_call_s": Assumption(
        0.0008, "s per step", "the same for engine graph without a GPU", _CPU
    ),
    "cpu_bytes_per_s": Assumption(6.6e9, "B/s", "memory bandwidth of a copy on a CPU", _CPU),
    "cpu_flops_per_s": Assumption(
        1.3e11, "1/s", "FLOPs per second of a float32 matrix multiplication on two cores", _CPU
    ),
    # Jobs outside their decode steps
    "job_start_s": Assumption(7.0, "s", "start of a job that imports torch", _CPU),
    "plain_job_s": Assumption(2.5, "s", "a job that computes energy, tables or figures", _CPU),
    "cluster_job_s": Assumption(
        7.0,
        "s",
        "added to each job under Slurm (two nested Snakemakes)",
        "seen with Slurm 22.05 and plugin 2.8",
    ),
    "load_s": Assumption(4.2, "s", "loading a model onto a GPU, whatever its size", _FIXTURE),
    "load_bytes_per_s": Assumption(
        1.7e9, "B/s", "checking and loading weights from a local disk (6.1 GB in 7.7 s)", _FIXTURE
    ),
    "warmup_s": Assumption(7.0, "s", "extra time of the first batch on a GPU", _FIXTURE),
    "capture_s": Assumption(3.0, "s", "CUDA graph capture and compilation, engine graph", _H200),
    "vllm_load_s": Assumption(
        60.0, "s", "loading, compilation and CUDA graph capture, engine vllm", "assumed"
    ),
    "probe_s": Assumption(
        0.5, "s", "measuring the machine's own rates", "docs/explanation/roofline.md"
    ),
    "gptq_s_per_weight": Assumption(
        2.4e-8, "s per weight", "GPTQ int4 on an H100 (70 s for 2.9e9 weights)", _PACKED
    ),
    "awq_s_per_weight": Assumption(
        9.7e-8, "s per weight", "AWQ int4 on an H100 (280 s for 2.9e9 weights)", _PACKED
    ),
    "save_bytes_per_s": Assumption(1.0e9, "B/s", "writing weights", "assumed"),
    "download_bytes_per_s": Assumption(1.0e8, "B/s", "downloading a checkpoint", "assumed"),
    "random_s_per_weight": Assumption(
        4.1e-8,
        "s per weight",
        "generating and writing random weights (125 s for 3.0e9 weights)",
        _PACKED,
    ),
    "train_step_s": Assumption(0.03, "s per step", "training a nano model", _CPU),
    "judge_s": Assumption(
        0.16, "core s per completion", "judging a completion of HumanEval+", _JUDGING
    ),
    "expected_s": Assumption(0.26, "core s per task", "expected outputs of HumanEval+", _JUDGING),
    # Power
    "idle_share": Assumption(
        0.18,
        "of the TDP",
        "idle power of a GPU with a model loaded, if not measured (H100: 120 of 700 W)",
        "measured on H100 and H200 only",
    ),
    "host_w": Assumption(
        395.0, "W", "CPU packages (265 W) and memory (130 W) of a GPU node of two sockets", _EAR
    ),
    "cpu_host_w": Assumption(
        28.0,
        "W",
        "CPU and memory of a small machine: two threads of 4 W, 20 W for memory",
        "CodeCarbon 3.3.2's model; not measured",
    ),
    "calibration_utilisation": Assumption(
        0.18,
        "of the range from idle to full power",
        "GPU power while GPTQ and AWQ quantise (88.6 kJ in 396 s of three variants on an H100)",
        _PACKED,
    ),
    # Memory and disk
    "context_bytes": Assumption(
        0.8e9, "B", "CUDA context and workspaces of libraries", "assumed; not measured"
    ),
    "vram_margin": Assumption(
        1.1, "times", "GPU memory reserved by the allocator / memory in use", "assumed"
    ),
    "host_bytes": Assumption(
        4.0e9, "B", "host memory of a process with torch, transformers and CUDA", "assumed"
    ),
    "cpu_host_bytes": Assumption(
        1.0e9, "B", "the same without CUDA (0.5 GB were observed)", "assumed"
    ),
    "vllm_memory_share": Assumption(
        0.92, "of the GPU's memory", "GPU memory that vLLM reserves", "docs/explanation/engines.md"
    ),
    "telemetry_bytes_per_s": Assumption(
        1600.0, "B/s", "size of a job's timeline, with readings every 0.02 s", _FIXTURE
    ),
    "completion_bytes": Assumption(
        2000.0, "B", "size of a completion: text, tokens, times and energy", "assumed"
    ),
    "memory_margin": Assumption(
        1.25, "times", "requested host memory / estimated host memory", "assumed"
    ),
    "runtime_margin": Assumption(2.0, "times", "requested runtime / estimated runtime", "assumed"),
    "runtime_floor_s": Assumption(600.0, "s", "added to the requested runtime", "assumed"),
}


def assumed_value(name: str) -> float:
    """The value of an assumption, by its name."""
    return ASSUMPTIONS[name].value
