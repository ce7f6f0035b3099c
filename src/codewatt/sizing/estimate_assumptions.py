"""Every number that an estimate takes for granted: what it is, its unit, and where it is from.

"measured" names a row of docs/archive/index.md or another record of the project; "assumed" is what
was not measured in this project. `sizing.job_costs` and `sizing.decode_rates` contain no other
constants.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumption:
    """One number: its value, unit, what it means, and its source."""

    value: float
    unit: str
    what: str
    source: str


_H200 = "measured: docs/archive/h200-engines.md, two engines on an H200"
_FIXTURE = "measured: windows of tests/fixtures/energy/h100_decode_*.json"
_CPU = "measured: docs/archive/small-measurements.md, rates of a CPU"
_JUDGING = "measured: docs/archive/small-measurements.md, judging"
_EAR = (
    "measured by others: EAR's log in de Reus et al. 2024, docs/explanation/reproduced-studies.md"
)
_PACKED = "measured: docs/archive/gptq-awq-fp8.md, GPTQ, AWQ and fp8 on a GPU"

ASSUMPTIONS: dict[str, Assumption] = {
    # A step of decoding
    "bandwidth_share": Assumption(
        0.87, "of the data sheet", "bytes a second that a copy moves (4.18 of 4.8 TB/s)", _H200
    ),
    "prefill_share": Assumption(
        0.36,
        "of the data sheet's rate",
        "FLOPs per second while prompts are read, engines graph and vllm (the whole of "
        "HumanEval in 0.46 s)",
        _H200,
    ),
    "prefill_share_transformers": Assumption(
        0.16, "of the data sheet's rate", "the same of transformers, padding included", _H200
    ),
    "prefill_share_int4": Assumption(
        0.02, "of the data sheet's rate", "the same of torchao's int4 kernel (1.0 s at 32)", _H200
    ),
    "product_share": Assumption(
        0.7, "of the data sheet's rate", "of products while decoding (690 of 989 TFLOP/s)", _H200
    ),
    "prefill_utilisation": Assumption(
        0.83,
        "of the range from idle to full power",
        "GPU power while prompts are read: that of graph at batch 164",
        _H200,
    ),
    "generate_call_s": Assumption(
        0.00235, "s a step", "what generate() takes beside the layers, on the host", _CPU
    ),
    "graph_call_s": Assumption(
        0.0008, "s a step", "the same of the engine graph without a GPU", _CPU
    ),
    "cpu_bytes_per_s": Assumption(6.6e9, "B/s", "bytes that a CPU's copy moves", _CPU),
    "cpu_flops_per_s": Assumption(
        1.3e11, "1/s", "FLOPs per second of a float32 matrix multiplication on two cores", _CPU
    ),
    # A job around its steps
    "job_start_s": Assumption(7.0, "s", "start of a job that imports torch", _CPU),
    "plain_job_s": Assumption(2.5, "s", "a job that judges energy, makes tables or figures", _CPU),
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
    "warmup_s": Assumption(
        7.0, "s", "the first batch on a GPU takes so much longer than the others", _FIXTURE
    ),
    "capture_s": Assumption(3.0, "s", "capturing and compiling, engine graph", _H200),
    "vllm_load_s": Assumption(60.0, "s", "loading, compiling and capturing of vLLM", "assumed"),
    "probe_s": Assumption(
        0.5, "s", "measuring the machine's own rates", "docs/explanation/roofline.md"
    ),
    "gptq_s_per_weight": Assumption(
        2.4e-8, "s", "GPTQ int4 on an H100, a weight (70 s for 2.9e9)", _PACKED
    ),
    "awq_s_per_weight": Assumption(
        9.7e-8, "s", "AWQ int4 on an H100, a weight (280 s for 2.9e9)", _PACKED
    ),
    "save_bytes_per_s": Assumption(1.0e9, "B/s", "writing weights", "assumed"),
    "download_bytes_per_s": Assumption(1.0e8, "B/s", "downloading a checkpoint", "assumed"),
    "random_s_per_weight": Assumption(
        4.1e-8, "s", "making and writing random weights (125 s for 3.0e9)", _PACKED
    ),
    "train_step_s": Assumption(0.03, "s", "a step of training a nano model", _CPU),
    "judge_s": Assumption(0.16, "core s a sample", "judging a completion of HumanEval+", _JUDGING),
    "expected_s": Assumption(0.26, "core s a task", "expected outputs of HumanEval+", _JUDGING),
    # Power
    "idle_share": Assumption(
        0.18,
        "of the TDP",
        "GPU with a model loaded and at rest, where it was not measured (H100: 120 of 700 W)",
        "measured on H100 and H200 only",
    ),
    "host_w": Assumption(
        395.0, "W", "CPU packages (265 W) and memory (130 W) of a GPU node of two sockets", _EAR
    ),
    "cpu_host_w": Assumption(
        28.0,
        "W",
        "a small machine: two threads of 4 W, 20 W for memory",
        "CodeCarbon 3.3.2's model; measured nowhere",
    ),
    "calibration_utilisation": Assumption(
        0.18,
        "of the range from idle to full power",
        "GPU power while GPTQ and AWQ quantise (88.6 kJ in 396 s of three variants on an H100)",
        _PACKED,
    ),
    # Memory and disk
    "context_bytes": Assumption(
        0.8e9, "B", "CUDA's context, libraries' workspaces", "assumed; no peak was recorded yet"
    ),
    "vram_margin": Assumption(1.1, "times", "what the allocator holds and does not use", "assumed"),
    "host_bytes": Assumption(4.0e9, "B", "a process with torch, transformers and CUDA", "assumed"),
    "cpu_host_bytes": Assumption(1.0e9, "B", "the same without CUDA (0.5 GB seen)", "assumed"),
    "vllm_memory_share": Assumption(
        0.92, "of the GPU's memory", "vLLM takes for itself", "docs/explanation/engines.md"
    ),
    "telemetry_bytes_per_s": Assumption(
        1600.0, "B/s", "of a job's timeline, read every 0.02 s", _FIXTURE
    ),
    "completion_bytes": Assumption(
        2000.0, "B", "a completion: text, tokens, times and energy", "assumed"
    ),
    "memory_margin": Assumption(1.25, "times", "host memory asked for over that needed", "assumed"),
    "runtime_margin": Assumption(2.0, "times", "runtime asked for over the estimate", "assumed"),
    "runtime_floor_s": Assumption(600.0, "s", "added to it", "assumed"),
}


def value(name: str) -> float:
    """The number of that name."""
    return ASSUMPTIONS[name].value
