"""Validity: what must hold for a measurement to be trusted, each with what was observed.

An expectation that cannot be judged, because what it needs was not recorded, has passed = None.
A cell is valid if no expectation of severity "error" failed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.energy.boundaries import Boundaries
from codewatt.energy.energy_sources import Source, Sources
from codewatt.energy.expectation import at_most, expectation
from codewatt.energy.idle_power import IdlePower, drift, idle_load
from codewatt.energy.timeline_reader import Timeline
from codewatt.energy.validity_gpu import judge_gpu, judge_gpu_run
from codewatt.energy.validity_phase import judge_phase
from codewatt.energy.validity_power import judge_power
from codewatt.energy.validity_settings import JudgingSettings
from codewatt.energy.validity_sharing import judge_others, judge_share, judge_spread, judge_stolen

Json = dict[str, Any]

#: By which share of a repeat its phases may exceed it, as their edges are taken one by one.
_OVERLAP = -0.01


@dataclass(frozen=True)
class Measurement:
    """What there is to judge of one cell.

    Attributes:
        generate: its manifest.
        components: status and method of each part, as energy.json holds them.
        runs, windows, baseline: as energy.json holds them.
        idle: idle power, as far as its windows passed their checks.
        work: repeat -> new tokens; None: the repeats may have done different work.
    """

    generate: Json
    timeline: Timeline
    sources: Sources
    boundaries: Boundaries
    components: Mapping[str, Json]
    runs: Sequence[Json]
    windows: Sequence[Json]
    baseline: Mapping[str, Mapping[str, float | None]]
    idle: IdlePower
    work: Mapping[int, float] | None


def judge_cell(cell: Measurement, settings: JudgingSettings) -> list[Json]:
    """All expectations of one cell: those on the cell first, then those on each repeat."""
    timeline, sources, windows = cell.timeline, cell.sources, cell.windows
    edges = {w["repeat"]: (w["start_s"], w["end_s"]) for w in windows if w["phase"] == "repeat"}
    judged = [
        _readings_sound(sources),
        _meters_read(cell.generate),
        _no_wrap_unseen(cell.generate),
        _energy_measured(sources),
        _idle_known(sources, cell.baseline),
        _idle_steady(cell.baseline, settings),
        _host_idle(timeline, windows, settings),
        *judge_gpu(timeline, sources),
        judge_share(cell.boundaries),
        judge_spread(cell.runs, cell.work, settings),
        *_phases_sound(cell, settings),
    ]
    least_idle_w = {name: cell.idle.below(name) for name in sources.figures}
    for run in cell.runs:
        start_s, end_s = edges[run["repeat"]]
        judged += _judge_run(cell, run, start_s, end_s, settings)
        judged.append(_counters_move(sources, run, start_s, end_s, settings))
        judged += judge_power(timeline, sources, run, least_idle_w, settings)
        judged.append(judge_others(timeline, run, start_s, end_s, settings))
        judged.append(judge_stolen(timeline, run, start_s, end_s, settings))
        judged += _phases_resolved(sources, run, windows, settings)
        judged += judge_gpu_run(timeline, sources, run, start_s, end_s, settings)
    return [*judged, _all_checked(judged)]


def _phases_sound(cell: Measurement, settings: JudgingSettings) -> Iterator[Json]:
    """What is wrong in windows that are no repeats: net energy and the phases' own rest on them."""
    for phase in ("load", "idle_loaded", "warmup", "idle_after"):
        windows = [w for w in cell.windows if w["phase"] == phase]
        if windows:
            yield judge_phase(phase, cell.timeline, cell.sources, windows, {}, settings)


def _all_checked(judged: Sequence[Json]) -> Json:
    """What could not be judged is said: a check without data must not pass for a check."""
    unchecked = {e["name"] for e in judged if e["severity"] == "error" and e["passed"] is None}
    return expectation(
        "all_checked",
        "warning",
        not unchecked,
        ", ".join(sorted(unchecked)) or None,
        "every expectation of severity error",
        None,
        "expectations that lack what they need to be judged",
    )


def _readings_sound(sources: Sources) -> Json:
    bad = sum(source.unsound for source in sources.figures.values())
    detail = "readings that are not finite numbers, or whose time did not advance"
    return at_most("readings_sound", "error", bad, 0, "readings", detail)


def _meters_read(generate: Json) -> Json:
    """Reads that failed: each left a gap, which `no_gaps` judges by its length."""
    failures = {what: n for _, what, n in _failures(generate) if not what.startswith("wrap")}
    detail = "; ".join(f"{what} ({n} times)" for what, n in failures.items()) or "no read failed"
    return at_most("reads_succeed", "warning", sum(failures.values()), 0, "reads", detail)


def _no_wrap_unseen(generate: Json) -> Json:
    late = sum(n for _, what, n in _failures(generate) if what.startswith("wrap"))
    detail = (
        "reads of a RAPL counter so late that it may have wrapped more than once since, or of a "
        "step that no package can draw (it started anew)"
    )
    return at_most("no_wrap_unseen", "error", late, 0, "reads", detail)


def _failures(generate: Json) -> Iterator[tuple[str, str, int]]:
    """(meter, what failed, how often) from the sampler's summary."""
    summary = generate.get("sampler") or {}
    for meter, facts in summary.get("meters", {}).items():
        for what, count in facts.get("failures", {}).items():
            yield meter, what, count


def _energy_measured(sources: Sources) -> Json:
    modelled = [name for name, source in sources.figures.items() if source.status == "modelled"]
    methods = "; ".join(
        f"{name}: {sources.figures[name].method}; instead of {sources.passed_over.get(name)}"
        for name in modelled
    )
    return expectation(
        "energy_measured",
        "warning",
        not modelled,
        ", ".join(modelled) or None,
        "no component modelled",
        None,
        methods or "every component present is measured",
    )


def _idle_known(sources: Sources, baseline: Mapping[str, Mapping[str, float | None]]) -> Json:
    missing = [
        name
        for name in sources.figures
        if baseline["idle_loaded_w"][name] is None or baseline["idle_after_w"][name] is None
    ]
    return expectation(
        "idle_known",
        "warning",
        not missing,
        ", ".join(missing) or None,
        "idle power of every component",
        None,
        "net energy rests on idle windows before and after, longer than the meter's resolution",
    )


def _idle_steady(
    baseline: Mapping[str, Mapping[str, float | None]], settings: JudgingSettings
) -> Json:
    drifts: dict[str, float] = {}
    for name, before_w in baseline["idle_loaded_w"].items():
        after_w = baseline["idle_after_w"][name]
        if before_w is not None and after_w is not None:
            drifts[name] = drift(before_w, after_w)
    worst = max(drifts, key=lambda name: drifts[name], default=None)
    detail = "change of idle power, model loaded, from before to after the repeats"
    return at_most(
        "idle_steady",
        "warning",
        None if worst is None else drifts[worst],
        settings.idle_drift,
        "share",
        detail if worst is None else f"{detail}: {worst}",
    )


def _host_idle(timeline: Timeline, windows: Sequence[Json], settings: JudgingSettings) -> Json:
    """Nobody else computes while idle power is taken."""
    return at_most(
        "host_idle",
        "warning",
        idle_load(timeline, windows),
        settings.idle_host_load,
        "share",
        "mean CPU load of the machine in the idle windows, the busier one",
    )


def _judge_run(
    cell: Measurement, run: Json, start_s: float, end_s: float, settings: JudgingSettings
) -> Iterator[Json]:
    """Expectations on one repeat, whatever the component."""
    sources, repeat = cell.sources, run["repeat"]
    yield expectation(
        "window_long_enough",
        "error",
        run["duration_s"] >= settings.min_window_s,
        run["duration_s"],
        settings.min_window_s,
        "s",
        "duration of the repeat, at least",
        repeat,
    )
    parts = {name: source.energy(start_s, end_s) for name, source in sources.figures.items()}
    reasons = [part.reason for part in parts.values() if part.reason]
    why = [f"{name}: {reason}" for name, reason in sources.unavailable.items()]
    figure_j = run["energy_j"][settings.boundary]
    status = cell.components[settings.boundary]
    yield expectation(
        "energy_known",
        "error",
        figure_j is not None,
        figure_j,
        f"a figure of boundary {settings.boundary}",
        "J",
        "every part of it has a figure"
        if figure_j is not None
        else "; ".join(reasons or filter(None, [status["detail"], *why])),
        repeat,
    )
    bound_j = run["uncertainty_j"][settings.boundary]
    yield at_most(
        "edges_resolved",
        "warning",
        bound_j / figure_j if bound_j is not None and figure_j else None,
        settings.max_edge_share,
        "share",
        "the most that the window's edges can be wrong by, of its energy",
        repeat,
    )
    fewest = min(parts, key=lambda name: parts[name].readings, default=None)
    yield expectation(
        "enough_readings",
        "error",
        None if fewest is None else parts[fewest].readings >= settings.min_readings,
        None if fewest is None else parts[fewest].readings,
        settings.min_readings,
        "readings",
        "fewest readings of a component within the repeat, at least"
        + ("" if fewest is None else f": {fewest}"),
        repeat,
    )
    yield _no_gaps(sources.figures, {n: p.max_gap_s for n, p in parts.items()}, repeat, settings)


def _counters_move(
    sources: Sources, run: Json, start_s: float, end_s: float, settings: JudgingSettings
) -> Json:
    """No counter that is read again and again stands still: something is drawn all the time."""
    still = {
        f"{name} {device}": (
            series.longest_flat_s(start_s, end_s),
            _slowest_s(series.resolution_s, settings),
        )
        for name, source in sources.figures.items()
        for device, series in source.series.items()
        if series.kind == "counter"
    }
    detail = "longest time in which a counter stood still"
    return _worst_against_its_limit("counters_move", still, detail, run["repeat"], settings)


def _no_gaps(
    figures: Mapping[str, Source],
    gaps_s: Mapping[str, float | None],
    repeat: int,
    settings: JudgingSettings,
) -> Json:
    """The sampler was not starved; judged by the component that comes worst against its limit."""
    known = {
        name: (gap_s, _slowest_s(figures[name].resolution_s, settings))
        for name, gap_s in gaps_s.items()
        if gap_s is not None
    }
    detail = "longest time without a reading"
    return _worst_against_its_limit("no_gaps", known, detail, repeat, settings)


def _slowest_s(resolution_s: float | None, settings: JudgingSettings) -> float:
    """How long a meter may be silent; a slow one for ten of its intervals."""
    return max(settings.max_gap_s, 10 * (resolution_s or 0.0))


def _worst_against_its_limit(
    name: str,
    found: Mapping[str, tuple[float, float]],
    detail: str,
    repeat: int,
    settings: JudgingSettings,
) -> Json:
    """An error by the one of (observed, limit) in seconds that comes worst; None without any."""
    worst = max(found, key=lambda key: found[key][0] / found[key][1], default=None)
    observed_s, limit_s = (None, settings.max_gap_s) if worst is None else found[worst]
    said = detail if worst is None else f"{detail}: {worst}"
    return at_most(name, "error", observed_s, limit_s, "s", said, repeat)


def _phases_cover(run: Json, settings: JudgingSettings) -> Json:
    """What a repeat spends outside prefill and decode is the pipeline's own work.

    Less than nothing (but for rounding of the edges) means that they overlap, and joules in both.
    """
    phases_s = [run["prefill_s"], run["decode_s"]]
    known = None not in phases_s and run["duration_s"] > 0
    outside = 1 - sum(s for s in phases_s if s is not None) / run["duration_s"] if known else None
    return expectation(
        "phases_cover",
        "warning",
        None if outside is None else _OVERLAP <= outside <= settings.max_outside_phases,
        outside,
        f"{_OVERLAP:g} to {settings.max_outside_phases:g}",
        "share",
        "share of the repeat outside prefill and decode, the pipeline's own work; below 0 they "
        "overlap",
        run["repeat"],
    )


def _phases_resolved(
    sources: Sources, run: Json, windows: Sequence[Json], settings: JudgingSettings
) -> Iterator[Json]:
    """Prefill and decode fill the repeat, and the meters tell them apart."""
    yield _phases_cover(run, settings)
    for phase in ("prefill", "decode"):
        parts = [w for w in windows if w["phase"] == phase and w["repeat"] == run["repeat"]]
        if not parts or not run[f"{phase}_s"]:
            continue
        unknown = {name: _unknown_share(run, phase, parts, name) for name in sources.figures}
        worst = max(unknown, key=lambda name: unknown[name], default=None)
        resolutions = ", ".join(
            f"{name} every {source.resolution_s:.3g} s" for name, source in sources.figures.items()
        )
        yield at_most(
            f"{phase}_resolved",
            "warning",
            None if worst is None else unknown[worst],
            settings.max_phase_edge_share,
            "share",
            f"what the edges of {phase} can be wrong by, of its energy, and its time without a "
            f"figure{'' if worst is None else f': {worst}'}; windows last "
            f"{min(w['duration_s'] for w in parts):.3g} to "
            f"{max(w['duration_s'] for w in parts):.3g} s, readings come: {resolutions}",
            run["repeat"],
        )


def _unknown_share(run: Json, phase: str, parts: Sequence[Json], name: str) -> float:
    """The share of a phase's time without a figure, and of its energy that its edges leave open."""
    if run[f"{phase}_energy_j"][name] is None:
        return 1.0
    without_s = sum(w["duration_s"] for w in parts if w["energy_j"][name] is None)
    known_j = sum(w["energy_j"][name] for w in parts if w["energy_j"][name] is not None)
    bound_j = run[f"{phase}_uncertainty_j"][name]
    edges = bound_j / known_j if bound_j is not None and known_j > 0 else 0.0
    return float(without_s / run[f"{phase}_s"] + edges)
