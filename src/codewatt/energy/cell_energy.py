"""From raw telemetry to joules: of every window, every repeat and every task.

Each figure is kept by component and by boundary (boundaries.py), with idle power and without.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from codewatt.energy.boundaries import (
    PARTS,
    Boundaries,
    Joules,
    allocation_of,
    boundaries_of,
    uses_gpu,
)
from codewatt.energy.carbon_intensity import carbon_intensity
from codewatt.energy.energy_sources import Sources, choose_sources
from codewatt.energy.idle_power import IDLE_PHASES, IdlePower, idle_power
from codewatt.energy.task_energy import read_new_tokens, read_task_times, task_energies
from codewatt.energy.timeline_reader import Timeline, read_timeline
from codewatt.energy.validity import Measurement, judge_cell
from codewatt.energy.validity_phase import judge_phase
from codewatt.energy.validity_settings import JudgingSettings
from codewatt.errors import CodewattError
from codewatt.files import check_files

Json = dict[str, Any]
Path = str | os.PathLike[str]

_SCHEMA = 1
_ALL_IDLE_PHASES = ("idle_unloaded", *IDLE_PHASES)
#: Phases that run with the model loaded: idle power is part of their energy.
_LOADED_PHASES = ("probe", "warmup", "repeat", "prefill", "decode")


@dataclass(frozen=True)
class _Meter:
    """A timeline ready to be asked: its sources, and what boundaries are made of them."""

    sources: Sources
    boundaries: Boundaries

    @classmethod
    def of(cls, timeline: Timeline, device: str | None) -> Self:
        """The meter of a job on "cuda" or "cpu"; None: on what was metered."""
        sources = choose_sources(timeline)
        return cls(sources, boundaries_of(timeline, uses_gpu(sources, device)))

    def window(self, start_s: float, end_s: float) -> tuple[Joules, Joules]:
        """Joules of each part between two times, and what the edges can make them wrong by.

        The bounds of a sum's parts add up.
        """
        found = {n: source.energy(start_s, end_s) for n, source in self.sources.figures.items()}
        return (
            self.boundaries.add({name: part.energy_j for name, part in found.items()}),
            self.boundaries.add({name: part.uncertainty_j for name, part in found.items()}),
        )

    def energy(self, start_s: float, end_s: float) -> Joules:
        """Joules of each part between two times."""
        return self.window(start_s, end_s)[0]

    def status(self) -> dict[str, Json]:
        """Status, method and detail of each part."""
        return self.boundaries.status(self.sources.describe())


def measure_cell(
    generate: Json,
    timeline_path: Path,
    evaluate: Json | None,
    evaluate_timeline_path: Path | None,
    settings: Mapping[str, Any],
    tasks_path: Path | None = None,
) -> Json:
    """energy.json of one cell, but for "code", which the caller adds.

    Args:
        generate: generate.json; its windows are CLOCK_MONOTONIC seconds.
        timeline_path: its raw telemetry.
        evaluate, evaluate_timeline_path: the same of the evaluation, None if not metered.
        settings: the study's energy settings; see judging.JudgingSettings for keys and defaults.
        tasks_path: its tasks.parquet: how many tokens each repeat made. Without it repeats of
            greedy decoding count as the same work, and those of sampled decoding as not known.

    Raises:
        CodewattError: a timeline is missing or not the manifest's, no repeat was measured, or the
            country is unknown.
    """
    judging = JudgingSettings.from_dict(settings)
    _check_file(generate, timeline_path)
    timeline = read_timeline(timeline_path, generate.get("meters"))
    meter = _Meter.of(timeline, generate.get("model", {}).get("device"))
    windows = generate["windows"]
    if not any(window["phase"] == "repeat" for window in windows):
        raise CodewattError(f"{timeline_path}: its manifest has no window of phase 'repeat'")
    baseline = {f"{phase}_w": _idle_power(meter, windows, [phase]) for phase in _ALL_IDLE_PHASES}
    baseline["idle_w"] = _idle_power(meter, windows, IDLE_PHASES)
    idle = idle_power(timeline, meter.sources, windows, judging)
    measured = [_window(meter, window, idle) for window in windows]
    repeats = [window for window in measured if window["phase"] == "repeat"]
    runs = [_run(meter, window, measured, judging.max_unresolved_share) for window in repeats]
    for run in runs:
        run["net_note"] = idle.note
    components = meter.status()
    judged = Measurement(
        generate,
        timeline,
        meter.sources,
        meter.boundaries,
        components,
        runs,
        measured,
        baseline,
        idle,
        _work(generate, tasks_path),
    )
    evaluated, evaluation_sound = _evaluate(evaluate, evaluate_timeline_path, judging)
    expectations = [*judge_cell(judged, judging), *evaluation_sound]
    return {
        "schema": _SCHEMA,
        "cell": generate["cell"],
        "boundary": judging.boundary,
        "components": components,
        "allocation": allocation_of(timeline),
        "baseline": baseline,
        "windows": measured,
        "runs": runs,
        "evaluate": evaluated,
        "load": _phase_total(meter, windows, "load"),
        "warmup": _phase_total(meter, windows, "warmup"),
        "sampler": _own_cost(generate),
        "carbon": carbon_intensity(judging.country),
        "expectations": expectations,
        "valid": all(e["passed"] is not False for e in expectations if e["severity"] == "error"),
    }


def measure_tasks(generate: Json, timeline_path: Path, tasks_path: Path) -> list[Json]:
    """The energy of each task of a cell; see tasks.task_energies for the rows.

    Args:
        generate, timeline_path: as of `measure_cell`.
        tasks_path: the cell's tasks.parquet.

    Raises:
        CodewattError: the timeline is missing or unreadable.
    """
    _check_file(generate, tasks_path)
    timeline = read_timeline(timeline_path, generate.get("meters"))
    meter = _Meter.of(timeline, generate.get("model", {}).get("device"))
    return task_energies(meter.sources, meter.boundaries, read_task_times(tasks_path))


def window_energy(
    timeline_path: Path, start_s: float, end_s: float, device: str | None = None
) -> Json:
    """{"energy_j": {part: joules or None}, "status": {part: status}}.

    Args:
        start_s, end_s: CLOCK_MONOTONIC seconds, within the timeline.
        device: "cuda" or "cpu", what the job computed on; None: by what was metered.

    Raises:
        CodewattError: the timeline is missing or unreadable.
    """
    return windows_energy(timeline_path, [(start_s, end_s)], device)[0]


def windows_energy(
    timeline_path: Path, windows: Iterable[tuple[float, float]], device: str | None = None
) -> list[Json]:
    """`window_energy` of several windows (start_s, end_s); the timeline is read once."""
    meter = _Meter.of(read_timeline(timeline_path), device)
    status = _statuses(meter)
    return [{"energy_j": meter.energy(*window), "status": status} for window in windows]


def cost_of(manifest: Mapping[str, Any]) -> Json:
    """{"energy_j", "energy_status", "energy_note"} of a variant's making, or of layer scores'.

    Each is null per part where nothing was made or nothing is known; the note says what is wrong
    with the figure, or why there is none.

    Args:
        manifest: of a job with one window; the window's name is its phase.
    """
    absent: Json = dict.fromkeys(PARTS)
    windows = manifest.get("windows")
    if not windows:
        return {"energy_j": absent, "energy_status": absent, "energy_note": None}
    path, window = manifest["timeline"], {**windows[0], "repeat": None, "batch": None}
    if not os.path.isfile(path):
        return {"energy_j": absent, "energy_status": absent, "energy_note": f"{path} is gone"}
    timeline = read_timeline(path)
    meter = _Meter.of(timeline, manifest.get("device"))
    sound = judge_phase(
        window["phase"], timeline, meter.sources, [window], manifest, JudgingSettings()
    )
    notes = {True: None, False: sound["observed"], None: "too short to be judged"}
    return {
        "energy_j": meter.energy(window["start_s"], window["end_s"]),
        "energy_status": _statuses(meter),
        "energy_note": notes[sound["passed"]],
    }


def _check_file(manifest: Json, path: Path) -> None:
    """Refuse a file that is not the one its manifest tells of."""
    name = os.path.basename(path)
    described = {n: d for n, d in manifest.get("files", {}).items() if n == name}
    check_files(os.path.dirname(path), described)


def _statuses(meter: _Meter) -> dict[str, str]:
    return {part: str(described["status"]) for part, described in meter.status().items()}


def _idle_power(meter: _Meter, windows: Sequence[Json], phases: Iterable[str]) -> Joules:
    """Mean power (W) of each component over the windows of idle phases, each as long as it is.

    A phase that has no window does not count; a component without a figure in one of the windows
    has none.
    """
    edges = [(w["start_s"], w["end_s"]) for w in windows if w["phase"] in set(phases)]
    duration_s = math.fsum(end_s - start_s for start_s, end_s in edges)
    each = [meter.energy(*edge) for edge in edges]
    joules = {name: _sum(energy[name] for energy in each) for name in PARTS}
    return {
        name: value / duration_s if value is not None and duration_s > 0 else None
        for name, value in joules.items()
    }


def _sum(values: Iterable[float | None]) -> float | None:
    """The sum; None if there is nothing to add or any part is absent."""
    known = list(values)
    present = [value for value in known if value is not None]
    return math.fsum(present) if present and len(present) == len(known) else None


def _window(meter: _Meter, window: Json, idle: IdlePower) -> Json:
    """One entry of energy.json's "windows"."""
    duration_s = window["end_s"] - window["start_s"]
    energy_j, uncertainty_j = meter.window(window["start_s"], window["end_s"])
    loaded = window["phase"] in _LOADED_PHASES
    net_j, net_uncertainty_j = _net(meter, energy_j, uncertainty_j, idle, duration_s)
    return {
        **{key: window[key] for key in ("phase", "repeat", "batch", "start_s", "end_s")},
        "duration_s": duration_s,
        "energy_j": energy_j,
        "uncertainty_j": uncertainty_j,
        "net_energy_j": net_j if loaded else meter.boundaries.add({}),
        "net_uncertainty_j": net_uncertainty_j if loaded else meter.boundaries.add({}),
    }


def _net(
    meter: _Meter, energy_j: Joules, uncertainty_j: Joules, idle: IdlePower, duration_s: float
) -> tuple[Joules, Joules]:
    """Energy above that of the machine idling with the model loaded, and what it can be wrong by.

    The bound adds that of the window's edges and that of idle power over the window. A part whose
    idle windows failed a check has neither.
    """
    net_j: Joules = {}
    bound_j: Joules = {}
    for name, watts in idle.watts.items():
        joules, edges_j = energy_j[name], uncertainty_j[name]
        if joules is not None and edges_j is not None:
            net_j[name] = joules - watts * duration_s
            bound_j[name] = edges_j + idle.uncertainty_w[name] * duration_s
    return meter.boundaries.add(net_j), meter.boundaries.add(bound_j)


def _work(generate: Json, tasks_path: Path | None) -> dict[int, float] | None:
    """New tokens of each repeat; the same number for all where they decoded greedily.

    None where what the repeats did cannot be compared.
    """
    if tasks_path is not None:
        return read_new_tokens(tasks_path)
    if generate.get("decoding", {}).get("strategy", "greedy") != "greedy":
        return None
    return {w["repeat"]: 1.0 for w in generate["windows"] if w["phase"] == "repeat"}


def _run(meter: _Meter, window: Json, measured: Sequence[Json], max_unresolved: float) -> Json:
    """One entry of energy.json's "runs": a repeat and its phases."""
    repeat, start_s, end_s = window["repeat"], window["start_s"], window["end_s"]
    run = {
        "repeat": repeat,
        "duration_s": window["duration_s"],
        "energy_j": window["energy_j"],
        "uncertainty_j": window["uncertainty_j"],
        "net_energy_j": window["net_energy_j"],
        "net_uncertainty_j": window["net_uncertainty_j"],
    }
    for phase in ("prefill", "decode"):
        parts = [w for w in measured if w["phase"] == phase and w["repeat"] == repeat]
        run[f"{phase}_energy_j"] = _phase_energy(meter, parts, max_unresolved)
        run[f"{phase}_uncertainty_j"] = _phase_uncertainty(meter, parts)
        run[f"{phase}_s"] = math.fsum(w["duration_s"] for w in parts) if parts else None
    run["alternatives"] = {
        source.name: source.energy(start_s, end_s).energy_j for source in meter.sources.alternatives
    }
    return run


def _phase_energy(meter: _Meter, windows: Sequence[Json], max_unresolved: float) -> Joules:
    """Energy of a repeat's windows of one phase.

    A window shorter than the meter's resolution has no figure of its own. As long as such windows
    are a small share of the phase's time, they are taken to draw the others' mean power (an error
    of at most that share times the ratio of their power to the mean); else the phase has none.
    """

    def joules(name: str) -> float | None:
        total_s = math.fsum(w["duration_s"] for w in windows)
        known = [w for w in windows if w["energy_j"][name] is not None]
        known_s = math.fsum(w["duration_s"] for w in known)
        if not known or total_s - known_s > max_unresolved * total_s:
            return None
        return math.fsum(w["energy_j"][name] for w in known) * total_s / known_s

    return meter.boundaries.add({name: joules(name) for name in meter.sources.figures})


def _phase_uncertainty(meter: _Meter, windows: Sequence[Json]) -> Joules:
    """What the edges of a repeat's windows of one phase can be wrong by, all of them added up."""

    def bound(name: str) -> float | None:
        return _sum(w["uncertainty_j"][name] for w in windows if w["energy_j"][name] is not None)

    return meter.boundaries.add({name: bound(name) for name in meter.sources.figures})


def _phase_total(meter: _Meter, windows: Sequence[Json], phase: str) -> Json | None:
    """Duration and energy of all windows of a phase that happens outside the repeats."""
    chosen = [w for w in windows if w["phase"] == phase]
    if not chosen:
        return None
    each = [meter.energy(w["start_s"], w["end_s"]) for w in chosen]
    return {
        "duration_s": math.fsum(w["end_s"] - w["start_s"] for w in chosen),
        "energy_j": {name: _sum(energy[name] for energy in each) for name in PARTS},
    }


def _evaluate(
    evaluate: Json | None, timeline_path: Path | None, judging: JudgingSettings
) -> tuple[Json | None, list[Json]]:
    """Duration, energy and status of judging, which uses no GPU, and whether they are sound.

    None and no expectation if it was not metered.
    """
    if evaluate is None or timeline_path is None:
        return None, []
    timeline = read_timeline(timeline_path, evaluate.get("meters"))
    meter = _Meter.of(timeline, "cpu")
    total = _phase_total(meter, evaluate["windows"], "evaluate")
    if total is None:
        return None, []
    windows = [w for w in evaluate["windows"] if w["phase"] == "evaluate"]
    sound = judge_phase("evaluate", timeline, meter.sources, windows, evaluate, judging)
    return {**total, "status": _statuses(meter)}, [sound]


def _own_cost(generate: Json) -> Json:
    """What the sampler itself cost: the share of one processor that it kept busy."""
    summary = generate.get("sampler") or {}
    return {"cpu_share": summary.get("cpu_share"), "max_rss_bytes": summary.get("max_rss_bytes")}
