"""The energy of a cell: of every window, every repeat and every task, with its validity checks.

Each energy is kept by component and by boundary (boundaries.py), with and without idle power.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.config.carbon_intensity import carbon_intensity
from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.boundaries import PARTS, allocation_of
from codewatt.energy.energy_record import (
    SCHEMA,
    EnergyRecord,
    RunRecord,
    SamplerCost,
    WindowRecord,
)
from codewatt.energy.idle_power import IDLE_PHASES, IdlePower, idle_power
from codewatt.energy.job_energy_record import (
    Joules,
    MeteredCell,
    MeteredEvaluation,
    PhaseWindow,
)
from codewatt.energy.job_meter import JobMeter, check_timeline, sum_known
from codewatt.energy.judging_energy import judging_energy
from codewatt.energy.task_energy import (
    JudgingShare,
    MeteredTask,
    TaskEnergy,
    read_tasks,
    task_energies,
)
from codewatt.energy.validity.check import CheckResult
from codewatt.energy.validity.prompt import check_prompt
from codewatt.energy.validity.run_checks import Measurement, check_cell
from codewatt.energy.validity.start import check_start_and_length
from codewatt.errors import CodewattError

Path = str | os.PathLike[str]

_ALL_IDLE_PHASES = ("idle_unloaded", *IDLE_PHASES)
#: Phases that run with the model loaded: idle power is part of their energy.
_LOADED_PHASES = ("probe", "warmup", "repeat", "prefill", "decode")
#: Largest share of a phase's time in windows shorter than the meter's resolution. Such windows
#: are taken to draw the mean power of the others; with more of them the phase has no energy.
_MAX_UNRESOLVED_SHARE = 0.01


@dataclass(frozen=True)
class CellEnergy:
    """The energy of a cell.

    Attributes:
        record: energy.json, less its code.
        tasks: rows of task_energy.parquet; empty if no tasks were given.
    """

    record: EnergyRecord
    tasks: list[TaskEnergy]


def measure_cell(
    generate: MeteredCell,
    timeline_path: Path,
    evaluate: MeteredEvaluation | None,
    evaluate_timeline_path: Path | None,
    settings: Mapping[str, Any],
    tasks_path: Path | None = None,
    *,
    instruct: bool | None = None,
) -> CellEnergy:
    """Compute the energy of a cell and run its validity checks.

    Args:
        generate: generate.json; its windows are CLOCK_MONOTONIC seconds.
        timeline_path: its raw telemetry.
        evaluate, evaluate_timeline_path: evaluate.json and its raw telemetry, None if judging was
            not metered.
        settings: of energy, as a study has them (codewatt.config.energy_settings).
        tasks_path: its tasks.parquet, with times and tokens of each task. Without it repeats of
            greedy decoding count as the same work, and those of sampled decoding are not compared.
        instruct: whether the model is an instruct model; None if unknown.

    Raises:
        CodewattError: a timeline is missing or not the manifest's, no repeat was measured, a
            program was judged outside the window of judging, or a setting is wrong.
    """
    energy_settings = EnergySettings.from_dict(settings)
    windows = generate["windows"]
    check_timeline(generate.get("files", {}), timeline_path)
    if not any(window["phase"] == "repeat" for window in windows):
        raise CodewattError(f"{timeline_path}: its manifest has no window of phase 'repeat'")
    device = generate.get("model", {}).get("device")
    meter = JobMeter.read(timeline_path, device, generate.get("meters"))
    tasks: list[MeteredTask] = []
    if tasks_path is not None:
        check_timeline(generate.get("files", {}), tasks_path)
        tasks = read_tasks(tasks_path)
    baseline = {f"{phase}_w": _idle_power(meter, windows, [phase]) for phase in _ALL_IDLE_PHASES}
    baseline["idle_w"] = _idle_power(meter, windows, IDLE_PHASES)
    idle = idle_power(meter.timeline, meter.sources, windows, energy_settings)
    measured = [_window(meter, window, idle) for window in windows]
    runs = [
        _run(meter, window, measured, idle.note)
        for window in measured
        if window["phase"] == "repeat"
    ]
    components = meter.components()
    measurement = Measurement(
        generate.get("sampler"),
        meter.timeline,
        meter.sources,
        meter.boundaries,
        components,
        runs,
        measured,
        baseline,
        idle,
        _work(generate, tasks if tasks_path is not None else None),
    )
    judged = None
    if evaluate is not None and evaluate_timeline_path is not None:
        judged = judging_energy(evaluate, evaluate_timeline_path, energy_settings)
    checks = check_cell(measurement, energy_settings)
    if judged is not None:
        checks.append(judged.check)
    checks += _check_prompt(generate, instruct)
    checks += check_start_and_length(generate, runs, energy_settings)
    record: EnergyRecord = {
        "schema": SCHEMA,
        "cell": generate["cell"],
        "boundary": energy_settings.boundary,
        "components": components,
        "allocation": allocation_of(meter.timeline),
        "baseline": baseline,
        "windows": measured,
        "runs": runs,
        "evaluate": None if judged is None else judged.record,
        "load": meter.phase_total(windows, "load"),
        "warmup": meter.phase_total(windows, "warmup"),
        "sampler": _sampler_cost(generate),
        "carbon": carbon_intensity(energy_settings.country),
        "checks": checks,
        "valid": all(c["passed"] is not False for c in checks if c["severity"] == "error"),
    }
    rows = task_energies(meter.sources, meter.boundaries, tasks)
    if judged is not None:
        rows = [_with_judging(row, judged.shares) for row in rows]
    return CellEnergy(record, rows)


def _with_judging(
    row: TaskEnergy, shares: Mapping[tuple[int, int, str], JudgingShare]
) -> TaskEnergy:
    """The row with the energy of judging its completion, if that was judged."""
    share = shares.get((row["repeat"], row["sample"], row["task_id"]))
    return row if share is None else {**row, **share}


def _idle_power(meter: JobMeter, windows: Sequence[PhaseWindow], phases: Iterable[str]) -> Joules:
    """Mean power (W) by part over the windows of idle phases, weighted by duration.

    A phase without a window does not count; a part without a figure in one of the windows has no
    idle power.
    """
    edges = [(w["start_s"], w["end_s"]) for w in windows if w["phase"] in set(phases)]
    duration_s = math.fsum(end_s - start_s for start_s, end_s in edges)
    each = [meter.energy(*edge) for edge in edges]
    joules = {name: sum_known(energy[name] for energy in each) for name in PARTS}
    return {
        name: value / duration_s if value is not None and duration_s > 0 else None
        for name, value in joules.items()
    }


def _window(meter: JobMeter, window: PhaseWindow, idle: IdlePower) -> WindowRecord:
    """The record of one window."""
    duration_s = window["end_s"] - window["start_s"]
    energy_j, uncertainty_j = meter.window(window["start_s"], window["end_s"])
    loaded = window["phase"] in _LOADED_PHASES
    net_j, net_uncertainty_j = _net(meter, energy_j, uncertainty_j, idle, duration_s)
    return {
        "phase": window["phase"],
        "repeat": window["repeat"],
        "batch": window["batch"],
        "start_s": window["start_s"],
        "end_s": window["end_s"],
        "duration_s": duration_s,
        "energy_j": energy_j,
        "uncertainty_j": uncertainty_j,
        "net_energy_j": net_j if loaded else meter.boundaries.add({}),
        "net_uncertainty_j": net_uncertainty_j if loaded else meter.boundaries.add({}),
    }


def _net(
    meter: JobMeter, energy_j: Joules, uncertainty_j: Joules, idle: IdlePower, duration_s: float
) -> tuple[Joules, Joules]:
    """Energy above idle power with the model loaded, and the bound on its error, in joules.

    The bound is that of the window's edges plus that of idle power times the duration. A part
    whose idle windows failed a check has neither.
    """
    net_j: Joules = {}
    bound_j: Joules = {}
    for name, watts in idle.watts.items():
        joules, edges_j = energy_j[name], uncertainty_j[name]
        if joules is not None and edges_j is not None:
            net_j[name] = joules - watts * duration_s
            bound_j[name] = edges_j + idle.uncertainty_w[name] * duration_s
    return meter.boundaries.add(net_j), meter.boundaries.add(bound_j)


def _work(generate: MeteredCell, tasks: Sequence[MeteredTask] | None) -> dict[int, float] | None:
    """New tokens by repeat; the same number for each with greedy decoding and unknown tasks.

    None where the repeats may have done different work.
    """
    if tasks is not None:
        tokens: dict[int, float] = {}
        for task in tasks:
            tokens[task["repeat"]] = tokens.get(task["repeat"], 0.0) + (task["new_tokens"] or 0)
        return tokens
    if generate.get("decoding", {}).get("strategy", "greedy") != "greedy":
        return None
    repeats = (w["repeat"] for w in generate["windows"] if w["phase"] == "repeat")
    return {repeat: 1.0 for repeat in repeats if repeat is not None}


def _check_prompt(generate: MeteredCell, instruct: bool | None) -> list[CheckResult]:
    """The check of how the model was asked; none if the record does not say it."""
    if "prompt" not in generate:
        return []
    return [check_prompt(generate["prompt"], generate["cell"]["prompt"], instruct)]


def _run(
    meter: JobMeter, window: WindowRecord, measured: Sequence[WindowRecord], net_note: str | None
) -> RunRecord:
    """The record of one repeat and its phases."""
    repeat, start_s, end_s = window["repeat"], window["start_s"], window["end_s"]
    if repeat is None:
        raise CodewattError("a window of phase 'repeat' has no number; generate the cell again")
    prefill, decode = (
        [w for w in measured if w["phase"] == phase and w["repeat"] == repeat]
        for phase in ("prefill", "decode")
    )
    return {
        "repeat": repeat,
        "duration_s": window["duration_s"],
        "energy_j": window["energy_j"],
        "uncertainty_j": window["uncertainty_j"],
        "net_energy_j": window["net_energy_j"],
        "net_uncertainty_j": window["net_uncertainty_j"],
        "prefill_energy_j": _phase_energy(meter, prefill),
        "prefill_uncertainty_j": _phase_uncertainty(meter, prefill),
        "prefill_s": _duration_s(prefill),
        "decode_energy_j": _phase_energy(meter, decode),
        "decode_uncertainty_j": _phase_uncertainty(meter, decode),
        "decode_s": _duration_s(decode),
        "alternatives": {
            source.name: source.energy(start_s, end_s).energy_j
            for source in meter.sources.alternatives
        },
        "net_note": net_note,
    }


def _duration_s(windows: Sequence[WindowRecord]) -> float | None:
    return math.fsum(w["duration_s"] for w in windows) if windows else None


def _phase_energy(meter: JobMeter, windows: Sequence[WindowRecord]) -> Joules:
    """Energy of a repeat's windows of one phase.

    A window shorter than the meter's resolution has no figure of its own. As long as such windows
    are a small share of the phase's time, they are taken to draw the others' mean power (an error
    of at most that share times the ratio of their power to the mean); else the phase has none.
    """

    def joules(name: str) -> float | None:
        total_s = math.fsum(w["duration_s"] for w in windows)
        known = [w for w in windows if w["energy_j"][name] is not None]
        known_s = math.fsum(w["duration_s"] for w in known)
        if total_s - known_s > _MAX_UNRESOLVED_SHARE * total_s:
            return None
        known_j = sum_known(w["energy_j"][name] for w in known)
        return None if known_j is None else known_j * total_s / known_s

    return meter.boundaries.add({name: joules(name) for name in meter.sources.figures})


def _phase_uncertainty(meter: JobMeter, windows: Sequence[WindowRecord]) -> Joules:
    """Sum of the bounds from the edges of a repeat's windows of one phase, joules by part."""

    def bound(name: str) -> float | None:
        known = [w for w in windows if w["energy_j"][name] is not None]
        return sum_known(w["uncertainty_j"][name] for w in known)

    return meter.boundaries.add({name: bound(name) for name in meter.sources.figures})


def _sampler_cost(generate: MeteredCell) -> SamplerCost:
    """What the sampler itself used."""
    summary = generate.get("sampler")
    if summary is None:
        return {"cpu_share": None, "max_rss_bytes": None}
    return {"cpu_share": summary.get("cpu_share"), "max_rss_bytes": summary.get("max_rss_bytes")}
