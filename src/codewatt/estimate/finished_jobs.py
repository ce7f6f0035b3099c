"""Time, energy, memory and disk of the finished jobs of a study, from their records."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codewatt.energy.energy_record import ENERGY, EnergyRecord, is_measured
from codewatt.estimate.job_plan import Job, Plan
from codewatt.generate.generate_record import GENERATE
from codewatt.paths import Paths
from codewatt.quantise.variant_record import VARIANT
from codewatt.units import BYTES_PER_GB, J_PER_KWH, S_PER_H

#: Phases whose windows lie inside the window of a repeat.
_INNER = ("prefill", "decode")


@dataclass(frozen=True)
class FinishedJob:
    """One finished job.

    Attributes:
        rule, id: see `job_plan.Job`.
        seconds: time from the start of its first window to the end of its last (s).
        joules: boundary → energy over its windows (J); None if there is no value.
        bytes: size of its output files.
        node_status: whether the node's energy is measured or modelled.
        peak: peak memory in bytes ('device_bytes', 'host_bytes'), if the manifest has it.
    """

    rule: str
    id: str
    seconds: float
    joules: dict[str, float | None]
    bytes: int
    node_status: str | None = None
    peak: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Ratio:
    """An estimated and a measured sum, over the jobs that have both."""

    what: str
    unit: str
    jobs: int
    estimated: float
    measured: float

    @property
    def ratio(self) -> float | None:
        """Estimated / measured; None if nothing was measured."""
        return self.estimated / self.measured if self.measured else None


def read_finished_jobs(plan: Plan, paths: Paths) -> dict[tuple[str, str], FinishedJob]:
    """(rule, id) → finished job, for rules quantise and generate; failed jobs are absent.

    Raises:
        CodewattError: a manifest is not readable.
    """
    found = {}
    for job in plan.jobs:
        took = None
        if job.rule == "generate":
            took = _cell(job.id, paths)
        elif job.rule == "quantise":
            took = _variant(job.id, paths)
        if took is not None:
            found[job.rule, job.id] = took
    return found


def compare_with_finished(
    jobs: Iterable[Job], measured: dict[tuple[str, str], FinishedJob]
) -> list[Ratio]:
    """Compare estimates and measurements, summed over the jobs that have both.

    Durations, energies and peaks are those of rule generate; disk is that of quantise and generate.
    Peaks are maxima, all others are sums.
    """
    pairs = [
        (job.size, measured[job.rule, job.id])
        for job in jobs
        if job.size is not None and (job.rule, job.id) in measured
    ]
    generated = [(size, took) for size, took in pairs if took.rule == "generate"]
    found = []
    if generated:
        estimated = sum(size.metered_s for size, _ in generated)
        seconds = sum(took.seconds for _, took in generated)
        found.append(
            Ratio("generate, metered", "h", len(generated), estimated / S_PER_H, seconds / S_PER_H)
        )
    gpu = [(s.gpu_j, t.joules["gpu"]) for s, t in generated if t.joules.get("gpu") is not None]
    if gpu:
        found.append(_summed("generate, GPU energy", "kWh", gpu, J_PER_KWH))
    disk = [(float(s.disk_bytes), float(t.bytes)) for s, t in pairs if t.bytes]
    if disk:
        found.append(_summed("weights and telemetry", "GB", disk, BYTES_PER_GB))
    for name, attribute, what in (
        ("device_bytes", "vram_bytes", "generate, peak of GPU memory"),
        ("host_bytes", "host_bytes", "generate, peak of host memory"),
    ):
        peaks = [(getattr(s, attribute), t.peak[name]) for s, t in generated if t.peak.get(name)]
        if peaks:
            estimated, seen = (max(values) for values in zip(*peaks, strict=True))
            found.append(
                Ratio(what, "GB", len(peaks), estimated / BYTES_PER_GB, seen / BYTES_PER_GB)
            )
    return found


def node_energy(
    jobs: Iterable[Job], measured: dict[tuple[str, str], FinishedJob], host_w: float
) -> Ratio | None:
    """Compare the node energy of cells; the estimate assumes `host_w` (W) for CPU and memory."""
    pairs, statuses = [], set()
    for job in jobs:
        took = measured.get((job.rule, job.id))
        if job.rule != "generate" or job.size is None or took is None:
            continue
        if took.joules.get("node") is not None:
            estimated = job.size.gpu_j + host_w * job.size.metered_s
            pairs.append((estimated, took.joules["node"]))
            statuses.add(str(took.node_status))
    what = f"generate, node energy ({' and '.join(sorted(statuses))})"
    return _summed(what, "kWh", pairs, J_PER_KWH) if pairs else None


def _summed(what: str, unit: str, pairs: Sequence[tuple[float, Any]], scale: float) -> Ratio:
    estimated, seen = (sum(values) for values in zip(*pairs, strict=True))
    return Ratio(what, unit, len(pairs), estimated / scale, seen / scale)


def _cell(cell: str, paths: Paths) -> FinishedJob | None:
    path = Path(paths.cell("generate.json", cell))
    if not path.is_file():
        return None
    manifest = GENERATE.read(path)
    if manifest["status"] == "infeasible" or not manifest["windows"]:
        return None
    windows = manifest["windows"]
    seconds = max(w["end_s"] for w in windows) - min(w["start_s"] for w in windows)
    left = sum(file.stat().st_size for file in path.parent.iterdir() if file.is_file())
    energy = Path(paths.cell("energy.json", cell))
    joules: dict[str, float | None] = {}
    status = None
    if energy.is_file() and is_measured(record := ENERGY.read(energy)):
        joules, status = _joules(record), record["components"]["node"]["status"]
    held = manifest["peak_memory"]
    peak = {"device_bytes": held["device_bytes"], "host_bytes": held["host_bytes"]}
    return FinishedJob("generate", cell, seconds, joules, left, status, peak)


def _joules(energy: EnergyRecord) -> dict[str, float | None]:
    """Energy (J) of GPU and node over the outer windows; None if a window has no value."""
    outer = [w["energy_j"] for w in energy["windows"] if w["phase"] not in _INNER]
    found: dict[str, float | None] = {}
    for part in ("gpu", "node"):
        values = [joules.get(part) for joules in outer]
        known = [value for value in values if value is not None]
        found[part] = sum(known) if known and len(known) == len(values) else None
    return found


def _variant(variant: str, paths: Paths) -> FinishedJob | None:
    path = Path(paths.variant("manifest.json", variant))
    if not path.is_file():
        return None
    manifest = VARIANT.read(path)
    seconds, made = manifest["duration_s"], bool(manifest["windows"])
    left = sum(d["bytes"] for d in manifest["weights"]["files"].values()) if made else 0
    return FinishedJob("quantise", variant, seconds, {}, left)
