"""From raw telemetry to joules: of every window, of every repeat, with and without idle power.

The total of a window is the sum over the components that this machine has a figure for; where
one of them has none in that window, the total has none either, so that totals compare.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from codewatt.energy.carbon import carbon_intensity
from codewatt.energy.judging import JudgingSettings
from codewatt.energy.sources import COMPONENTS, Source, Sources, choose_sources
from codewatt.energy.timeline import read_timeline
from codewatt.energy.validity import judge_cell
from codewatt.errors import CodewattError

Json = dict[str, Any]
#: {"gpu", "cpu", "dram", "total"} -> joules or None.
Joules = dict[str, float | None]

_SCHEMA = 1
_IDLE_PHASES = ("idle_unloaded", "idle_loaded", "idle_after")
#: Phases that run with the model loaded: idle power is part of their energy.
_LOADED_PHASES = ("warmup", "repeat", "prefill", "decode")


def measure_cell(
    generate: Json,
    timeline_path: str | os.PathLike[str],
    evaluate: Json | None,
    evaluate_timeline_path: str | os.PathLike[str] | None,
    settings: Mapping[str, Any],
) -> Json:
    """energy.json of one cell, but for "code", which the caller adds.

    Args:
        generate: generate.json; its windows are CLOCK_MONOTONIC seconds.
        timeline_path: its raw telemetry.
        evaluate, evaluate_timeline_path: the same of the evaluation, None if not metered.
        settings: the study's energy settings; see judging.JudgingSettings for keys and defaults.

    Raises:
        CodewattError: a timeline is missing, no repeat was measured, or the country is unknown.
    """
    judging = JudgingSettings.from_dict(settings)
    timeline = read_timeline(timeline_path, generate.get("meters"))
    sources = choose_sources(timeline)
    windows = generate["windows"]
    if not any(window["phase"] == "repeat" for window in windows):
        raise CodewattError(f"{timeline_path}: its manifest has no window of phase 'repeat'")
    baseline = {f"{phase}_w": _idle_power(sources, windows, phase) for phase in _IDLE_PHASES}
    measured = [_window(sources, window, baseline["idle_loaded_w"]) for window in windows]
    runs = [
        _run(sources, window, measured, judging.max_unresolved_share)
        for window in measured
        if window["phase"] == "repeat"
    ]
    expectations = judge_cell(generate, timeline, sources, runs, measured, baseline, judging)
    return {
        "schema": _SCHEMA,
        "cell": generate["cell"],
        "components": sources.describe(),
        "total_status": sources.total_status,
        "baseline": baseline,
        "windows": measured,
        "runs": runs,
        "evaluate": _evaluate(evaluate, evaluate_timeline_path),
        "load": _phase_total(sources, windows, "load"),
        "carbon": carbon_intensity(judging.country),
        "expectations": expectations,
        "valid": all(e["passed"] is not False for e in expectations if e["severity"] == "error"),
    }


def window_energy(timeline_path: str | os.PathLike[str], start_s: float, end_s: float) -> Json:
    """{"energy_j": {component and total: joules or None}, "status": {component: status}}.

    Args:
        start_s, end_s: CLOCK_MONOTONIC seconds, within the timeline.

    Raises:
        CodewattError: the timeline is missing or unreadable.
    """
    sources = choose_sources(read_timeline(timeline_path))
    return {"energy_j": _energy(sources, start_s, end_s), "status": sources.status()}


def _energy(sources: Sources, start_s: float, end_s: float) -> Joules:
    parts = {
        name: source.energy(start_s, end_s).energy_j for name, source in sources.figures.items()
    }
    return _with_total(sources, parts)


def _with_total(sources: Sources, parts: Mapping[str, float | None]) -> Joules:
    """All components (None where unavailable) and their total."""
    joules: Joules = {name: parts.get(name) for name in COMPONENTS}
    return {**joules, "total": _sum(parts[name] for name in sources.figures)}


def _sum(values: Iterable[float | None]) -> float | None:
    """The sum; None if there is nothing to add or any part is absent."""
    known = list(values)
    present = [value for value in known if value is not None]
    return math.fsum(present) if present and len(present) == len(known) else None


def _idle_power(sources: Sources, windows: Sequence[Json], phase: str) -> dict[str, float | None]:
    """Mean power (W) of each component over the windows of an idle phase."""
    edges = [(w["start_s"], w["end_s"]) for w in windows if w["phase"] == phase]
    duration_s = math.fsum(end_s - start_s for start_s, end_s in edges)

    def mean_w(source: Source | None) -> float | None:
        if source is None or duration_s <= 0:
            return None
        joules = _sum(source.energy(*edge).energy_j for edge in edges)
        return None if joules is None else joules / duration_s

    return {name: mean_w(sources.figures.get(name)) for name in COMPONENTS}


def _window(sources: Sources, window: Json, idle_w: Mapping[str, float | None]) -> Json:
    """One entry of energy.json's "windows"."""
    duration_s = window["end_s"] - window["start_s"]
    energy_j = _energy(sources, window["start_s"], window["end_s"])
    loaded = window["phase"] in _LOADED_PHASES
    return {
        **{key: window[key] for key in ("phase", "repeat", "batch", "start_s", "end_s")},
        "duration_s": duration_s,
        "energy_j": energy_j,
        "net_energy_j": _net(sources, energy_j, idle_w if loaded else {}, duration_s),
    }


def _net(
    sources: Sources, energy_j: Joules, idle_w: Mapping[str, float | None], duration_s: float
) -> Joules:
    """Energy above that of the machine idling with the model loaded."""
    parts: dict[str, float | None] = {}
    for name in sources.figures:
        joules, watts = energy_j[name], idle_w.get(name)
        parts[name] = None if joules is None or watts is None else joules - watts * duration_s
    return _with_total(sources, parts)


def _run(sources: Sources, window: Json, measured: Sequence[Json], max_unresolved: float) -> Json:
    """One entry of energy.json's "runs": a repeat and its phases."""
    repeat, start_s, end_s = window["repeat"], window["start_s"], window["end_s"]
    run = {
        "repeat": repeat,
        "duration_s": window["duration_s"],
        "energy_j": window["energy_j"],
        "net_energy_j": window["net_energy_j"],
    }
    for phase in ("prefill", "decode"):
        parts = [w for w in measured if w["phase"] == phase and w["repeat"] == repeat]
        run[f"{phase}_energy_j"] = _phase_energy(sources, parts, max_unresolved)
        run[f"{phase}_s"] = math.fsum(w["duration_s"] for w in parts) if parts else None
    run["alternatives"] = {
        source.name: source.energy(start_s, end_s).energy_j for source in sources.alternatives
    }
    return run


def _phase_energy(sources: Sources, windows: Sequence[Json], max_unresolved: float) -> Joules:
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

    return _with_total(sources, {name: joules(name) for name in sources.figures})


def _phase_total(sources: Sources, windows: Sequence[Json], phase: str) -> Json | None:
    """Duration and energy of all windows of a phase that happens outside the repeats."""
    chosen = [w for w in windows if w["phase"] == phase]
    if not chosen:
        return None
    each = [_energy(sources, w["start_s"], w["end_s"]) for w in chosen]
    return {
        "duration_s": math.fsum(w["end_s"] - w["start_s"] for w in chosen),
        "energy_j": {name: _sum(e[name] for e in each) for name in (*COMPONENTS, "total")},
    }


def _evaluate(evaluate: Json | None, timeline_path: str | os.PathLike[str] | None) -> Json | None:
    """Duration, energy and status of judging; None if it was not metered."""
    if evaluate is None or timeline_path is None:
        return None
    sources = choose_sources(read_timeline(timeline_path, evaluate.get("meters")))
    total = _phase_total(sources, evaluate["windows"], "evaluate")
    return None if total is None else {**total, "status": sources.status()}


def cost_of(manifest: Mapping[str, Any]) -> Json:
    """{"energy_j", "energy_status"} of a variant's making, for its manifest.

    Each is null per component where nothing was made or nothing is known.
    """
    windows = manifest["windows"]
    if not windows:
        absent = dict.fromkeys((*COMPONENTS, "total"))
        return {"energy_j": absent, "energy_status": absent}
    window = windows[0]
    found = window_energy(manifest["timeline"], window["start_s"], window["end_s"])
    return {"energy_j": found["energy_j"], "energy_status": found["status"]}
