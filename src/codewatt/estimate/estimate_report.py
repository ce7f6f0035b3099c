"""The estimate of a study: sums, wall time, comparison with finished jobs, assumptions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.config.carbon_intensity import CarbonIntensity, carbon_intensity
from codewatt.estimate.finished_jobs import (
    Ratio,
    compare_with_finished,
    node_energy,
    read_finished_jobs,
)
from codewatt.estimate.job_plan import GpuByHardware, Plan
from codewatt.estimate.job_sums import Totals, sum_jobs, wall_h
from codewatt.grid import Grid
from codewatt.paths import Paths
from codewatt.sizing.decode_rates import idle_w, measured_kind
from codewatt.sizing.estimate_assumptions import ASSUMPTIONS, Assumption, assumed_value
from codewatt.sizing.workload import BENCHMARKS
from codewatt.units import BYTES_PER_GB

_SHARED = "shared"
#: Assumptions that are used on a CPU only, and on a GPU only.
_ON_CPU = ("graph_call_s", "cpu_bytes_per_s", "cpu_flops_per_s", "cpu_host_w")
_ON_GPU = (
    *("bandwidth_share", "prefill_share", "prefill_share_transformers", "prefill_share_int4"),
    *("product_share", "prefill_utilisation", "load_s", "warmup_s", "capture_s", "vllm_load_s"),
    *("idle_share", "host_w", "context_bytes", "vram_margin", "host_bytes", "vllm_memory_share"),
    *("gptq_s_per_weight", "awq_s_per_weight", "calibration_utilisation"),
)


@dataclass(frozen=True)
class Report:
    """An estimate.

    Attributes:
        plan: the jobs.
        gpus: how many GPUs are used at a time.
        carbon: the carbon intensity of the study's country.
        per_model: model id, or "shared" → the sums of its jobs.
        total: the sums of all jobs.
        wall_h: hours from the start of the first job to the end of the last.
        peaks: model id, "shared" or "total" → the most GPU memory and the most host memory of one
            job, in bytes.
        comparisons: (model id or "total", estimate beside measurement).
        assumptions: sentences, each with its source.
    """

    plan: Plan
    gpus: int
    carbon: CarbonIntensity
    per_model: dict[str, Totals]
    total: Totals
    wall_h: float
    peaks: dict[str, tuple[int, int]]
    comparisons: list[tuple[str, Ratio]]
    assumptions: tuple[str, ...]


def make_report(
    grid: Grid,
    results: Path,
    cards: GpuByHardware,
    gpus: int,
    cores: int,
    host_w: float | None,
    gpu_notes: Sequence[str] = (),
) -> Report:
    """Estimate a study, and compare the estimate with its finished jobs under `results`.

    Args:
        grid: the study's grid.
        results: the results directory.
        cards: the GPU of each hardware.
        gpus: how many GPUs are used at a time.
        cores: cores of a job that judges completions.
        host_w: power of a machine's CPU and memory in W; None: the assumed one.
        gpu_notes: how the GPUs were chosen; printed before the other assumptions.

    Raises:
        CodewattError: the country's carbon intensity or a precision's method is unknown, or a
            manifest is not readable.
    """
    paths = Paths.of(results, grid.study)
    plan = Plan(grid, paths, cards, cores)
    carbon = carbon_intensity(grid.study.energy.country)
    watts = host_w if host_w is not None else assumed_value("host_w" if plan.gpus else "cpu_host_w")
    g_per_kwh = carbon["g_per_kwh"]
    groups = {model: [j for j in plan.jobs if j.model == model] for model in grid.model_ids}
    groups[_SHARED] = [j for j in plan.jobs if j.model is None]
    measured = read_finished_jobs(plan, paths)
    comparisons = []
    for name, jobs in [*groups.items(), ("total", list(plan.jobs))]:
        ratios = [*compare_with_finished(jobs, measured)]
        if (node := node_energy(jobs, measured, watts)) is not None:
            ratios.append(node)
        if name != "total" or len(grid.model_ids) > 1:
            comparisons += [(name, ratio) for ratio in ratios]
    return Report(
        plan=plan,
        gpus=gpus,
        carbon=carbon,
        per_model={n: sum_jobs(jobs, plan, watts, g_per_kwh) for n, jobs in groups.items()},
        total=sum_jobs(plan.jobs, plan, watts, g_per_kwh),
        wall_h=wall_h(plan.jobs, plan, gpus),
        peaks={n: _peaks(jobs) for n, jobs in [*groups.items(), ("total", list(plan.jobs))]},
        comparisons=comparisons,
        assumptions=(*gpu_notes, *_assumptions(plan, gpus, host_w)),
    )


def _peaks(jobs: Any) -> tuple[int, int]:
    sizes = [job.size for job in jobs if job.size is not None]
    return (
        max((size.vram_bytes for size in sizes), default=0),
        max((size.host_bytes for size in sizes), default=0),
    )


def _assumptions(plan: Plan, gpus: int, host_w: float | None) -> list[str]:
    """The assumptions of this estimate, each with its source."""
    study = plan.grid.study
    sentences = [f"model {f.id}: {f.source}." for f in plan.models.values() if f.config is not None]
    for benchmark in plan.grid.benchmark_ids:
        kind = plan.grid.settings("benchmark", benchmark)["kind"]
        if kind in BENCHMARKS:
            sentences.append(f"benchmark {benchmark}: {BENCHMARKS[kind].source}.")
    for gpu in plan.gpus:
        sentences.append(
            f"{gpu.name}: {gpu.memory_bytes / BYTES_PER_GB:.0f} GB, "
            f"{gpu.bandwidth_bytes_per_s / BYTES_PER_GB:,.0f} GB/s, TDP {gpu.tdp_w:.0f} W, "
            f"idle power {idle_w(gpu):.0f} W ({gpu.source})."
        )
    if plan.gpus:
        sentences.append(
            "Decode step times and power: measured with StarCoder2-3B on an H200 "
            "(docs/archive/h200-engines.md), scaled to other models and GPUs "
            "(docs/explanation/estimate.md)."
        )
        if "vllm" in study.engines:
            sentences.append("Engine vllm: not measured; estimated like engine graph.")
    for precision in study.precisions:
        why = measured_kind(precision.model_dump(mode="json"))[1]
        if why is not None:
            sentences.append(f"precision {precision.id}: {why}.")
    if study.series:
        sentences.append(
            "Prune settings until_zero: all depths are counted, although a series may end earlier."
        )
    if study.energy.boundary == "job":
        sentences.append(
            "Boundary 'job': the energy of the whole node is counted, as the CPU share is unknown."
        )
    for name, item in ASSUMPTIONS.items():
        if _is_used(name, plan, gpus) and not (host_w is not None and name.endswith("host_w")):
            sentences.append(f"{name} = {_readable(item)}: {item.what} [{item.source}]")
    if host_w is not None:
        sentences.append(f"host_w = {host_w:g} W: power of a machine's CPU and memory [--host-w]")
    return sentences


def _readable(item: Assumption) -> str:
    """Value and unit as text, in a unit of suitable size."""
    for unit, scale, larger in (
        ("B", BYTES_PER_GB, "GB"),
        ("B/s", BYTES_PER_GB, "GB/s"),
        ("s per step", 1e-3, "ms per step"),
    ):
        if item.unit == unit and (item.value >= 1e6 or scale < 1):
            return f"{item.value / scale:g} {larger}"
    return f"{item.value:g} {item.unit}"


def _is_used(name: str, plan: Plan, gpus: int) -> bool:
    """Whether the estimate of this plan uses an assumption."""
    study, on_gpu = plan.grid.study, bool(plan.gpus)
    methods = {p.method for p in study.precisions}
    calibrated = {p.method for p in study.precisions if getattr(p, "calibration", None)}
    sources = {m.source for m in study.models}
    only_if = {
        "cluster_job_s": gpus > 1,
        "capture_s": "graph" in study.engines,
        "vllm_load_s": "vllm" in study.engines,
        "vllm_memory_share": "vllm" in study.engines,
        "prefill_share_transformers": "transformers" in study.engines,
        "prefill_share": bool({"graph", "vllm"} & set(study.engines)),
        "prefill_share_int4": bool({"torchao", "gptq", "awq"} & methods),
        "gptq_s_per_weight": "gptq" in calibrated,
        "awq_s_per_weight": "awq" in calibrated,
        "calibration_utilisation": bool({"gptq", "awq"} & calibrated),
        "train_step_s": "nano" in sources,
        "random_s_per_weight": "architecture" in sources,
        "download_bytes_per_s": any(f.downloads for f in plan.models.values()),
        "idle_share": any(gpu.idle_w is None for gpu in plan.gpus),
        "graph_call_s": "graph" in study.engines,
        "judge_s": any(b.kind == "humaneval_plus" for b in study.benchmarks),
        "expected_s": any(b.kind == "humaneval_plus" for b in study.benchmarks),
        "memory_margin": False,
        "runtime_margin": False,
        "runtime_floor_s": False,
    }
    if (name in _ON_GPU and not on_gpu) or (name in _ON_CPU and on_gpu):
        return False
    return only_if.get(name, True)
