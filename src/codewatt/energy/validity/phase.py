"""Validity checks of phases: prefill and decode in a repeat, and phases outside the repeats.

Outside the repeats are loading, idling, warming up, judging completions, quantising and scoring
layers. Net energy rests on the idle phases, the cost of making a variant on the last two.
"""

from collections.abc import Iterator, Sequence

from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.energy_record import RunRecord, WindowRecord
from codewatt.energy.energy_sources import Source, Sources
from codewatt.energy.job_energy_record import PhaseWindow, SamplerRecord
from codewatt.energy.timeline_reader import Timeline
from codewatt.energy.validity.check import Check, CheckResult
from codewatt.energy.validity.gpu import gpu_readings
from codewatt.energy.validity.power import possible_w
from codewatt.energy.validity.sharing import other_cpus, other_cpus_limit

#: Prefill and decode may exceed their repeat by this share, as each edge is taken by itself.
_OVERLAP = -0.01
#: Phases of a cell outside its repeats, in the order in which they run.
CELL_PHASES = ("load", "idle_loaded", "warmup", "idle_after")

PHASE_SOUND = Check(
    "{}_sound",
    "warning",
    purpose=(
        "The energy of a phase outside the repeats can be trusted: power is plausible, there is no "
        "gap and no undetected wrap, and no other process computes on the GPU or, with boundary "
        "'node' or 'job', on the machine."
    ),
    remedy="Do not use the energy of this phase. If it is an idle window, there is no net energy.",
    limit="no such problem (at most {max_gap_s} s without a reading, and the limits of "
    "node_not_shared)",
    applies="the cell or job has such a phase, long enough for two readings of a meter",
    per="cell",
    subjects=(*CELL_PHASES, "evaluate", "quantise", "score_layers"),
)
PHASES_COVER = Check(
    "phases_cover",
    "warning",
    purpose="Prefill and decode fill the repeat and do not overlap.",
    remedy="Compare whole repeats, not phases: too much time is outside prefill and decode.",
    limit=f"{_OVERLAP:g} to {{max_outside_phases}} of the repeat's time outside both",
    applies="always",
    per="repeat",
    unit="share",
)
PHASE_RESOLVED = Check(
    "{}_resolved",
    "warning",
    purpose="The meters are read often enough to separate the energies of prefill and decode.",
    remedy="Use larger batches or longer completions, or compare whole repeats only.",
    limit="at most {max_phase_edge_share} of the phase's energy uncertain or unknown",
    applies="the repeat has such a phase",
    per="repeat",
    unit="share",
    subjects=("prefill", "decode"),
)
CHECKS = (PHASE_SOUND, PHASES_COVER, PHASE_RESOLVED)


def check_phase(
    phase: str,
    timeline: Timeline,
    sources: Sources,
    windows: Sequence[PhaseWindow],
    sampler: SamplerRecord | None,
    settings: EnergySettings,
) -> CheckResult:
    """Check whether the energy of a phase's windows can be trusted.

    Args:
        windows: of the phase.
        sampler: of the job, it names reads that failed; None if that is checked elsewhere.
    """
    wrong = [
        *failed_reads(sampler),
        *(
            f"{component}: {problem}"
            for window in windows
            for component, problem in window_problems(timeline, sources, window, settings)
        ),
    ]
    decided = any(
        long_enough(window, source) for window in windows for source in sources.figures.values()
    )
    return PHASE_SOUND.result(
        False if wrong else True if decided else None,
        "; ".join(dict.fromkeys(wrong)) or None,
        "no problem",
        "problems in this phase's windows: power, gaps, unseen wraps, others on GPU or machine",
        subject=phase,
    )


def window_problems(
    timeline: Timeline, sources: Sources, window: PhaseWindow, settings: EnergySettings
) -> Iterator[tuple[str, str]]:
    """Yield (component, problem) for each problem of the energy of one window."""
    start_s, end_s = window["start_s"], window["end_s"]
    for name, source in sources.figures.items():
        if source.unsound:
            yield name, f"{source.unsound} readings are invalid"
        if not long_enough(window, source):
            continue
        found = source.energy(start_s, end_s)
        if found.energy_j is None:
            yield name, str(found.reason)
            continue
        if found.max_gap_s is not None and found.max_gap_s > longest_gap_s(source, settings):
            yield name, f"{found.max_gap_s:.3g} s without a reading"
        watts = found.energy_j / (end_s - start_s)
        low_w, high_w = possible_w(timeline, name, source)
        if source.status == "measured" and not low_w <= watts <= high_w:
            yield name, f"a power of {watts:.4g} W is not possible"
    others = gpu_readings(timeline, sources, "other_processes", start_s, end_s)
    if any(values.max() > 0 for values in others):
        yield "gpu", "other processes on the GPU"
    yield from _other_work(timeline, sources, window, settings)


def longest_gap_s(source: Source, settings: EnergySettings) -> float:
    """Longest allowed time (s) without a reading: the limit, or ten intervals of a slow meter."""
    return max(settings.validity.max_gap_s, 10 * source.resolution_s)


def check_repeat_phases(
    sources: Sources, run: RunRecord, windows: Sequence[WindowRecord], settings: EnergySettings
) -> Iterator[CheckResult]:
    """Check prefill and decode of one repeat."""
    yield _check_cover(run, settings)
    for phase, lasted_s, energy_j, bound_j in (
        ("prefill", run["prefill_s"], run["prefill_energy_j"], run["prefill_uncertainty_j"]),
        ("decode", run["decode_s"], run["decode_energy_j"], run["decode_uncertainty_j"]),
    ):
        parts = [w for w in windows if w["phase"] == phase and w["repeat"] == run["repeat"]]
        if not parts or not lasted_s:
            continue
        unknown = {
            name: 1.0
            if energy_j[name] is None
            else _unknown_share(bound_j[name], lasted_s, parts, name)
            for name in sources.figures
        }
        worst = max(unknown, key=lambda name: unknown[name], default=None)
        resolutions = ", ".join(
            f"{name} every {source.resolution_s:.3g} s" for name, source in sources.figures.items()
        )
        yield PHASE_RESOLVED.at_most(
            None if worst is None else unknown[worst],
            settings.validity.max_phase_edge_share,
            f"uncertainty from the edges of {phase} / its energy, plus the share of its time "
            f"without a figure{'' if worst is None else f': {worst}'}; windows last "
            f"{min(w['duration_s'] for w in parts):.3g} to "
            f"{max(w['duration_s'] for w in parts):.3g} s, readings come: {resolutions}",
            run["repeat"],
            subject=phase,
        )


def _check_cover(run: RunRecord, settings: EnergySettings) -> CheckResult:
    """A share below 0 means that prefill and decode overlap, so that joules count twice."""
    most = settings.validity.max_outside_phases
    phases_s = [run["prefill_s"], run["decode_s"]]
    known = None not in phases_s and run["duration_s"] > 0
    outside = 1 - sum(s for s in phases_s if s is not None) / run["duration_s"] if known else None
    return PHASES_COVER.result(
        None if outside is None else _OVERLAP <= outside <= most,
        outside,
        f"{_OVERLAP:g} to {most:g}",
        "share of the repeat's time outside prefill and decode; below 0 they overlap",
        run["repeat"],
    )


def _unknown_share(
    bound_j: float | None, lasted_s: float, parts: Sequence[WindowRecord], name: str
) -> float:
    """Share of a phase's time without a figure, plus edge uncertainty / energy."""
    without_s = sum(w["duration_s"] for w in parts if w["energy_j"][name] is None)
    joules = [w["energy_j"][name] for w in parts]
    known_j = sum(value for value in joules if value is not None)
    edges = bound_j / known_j if bound_j is not None and known_j > 0 else 0.0
    return without_s / lasted_s + edges


def failed_reads(sampler: SamplerRecord | None) -> Iterator[str]:
    """Reads of RAPL so late, or with such a step, that its counter cannot be trusted."""
    rapl = None if sampler is None else sampler.get("meters", {}).get("rapl")
    for what in [] if rapl is None else rapl["failures"]:
        if what.startswith("wrap"):
            yield what


def long_enough(window: PhaseWindow, source: Source) -> bool:
    """Whether a window is as long as two intervals of the meter."""
    return bool(window["end_s"] - window["start_s"] >= 2 * source.resolution_s)


def _other_work(
    timeline: Timeline, sources: Sources, window: PhaseWindow, settings: EnergySettings
) -> Iterator[tuple[str, str]]:
    """Yield a problem if other processes than the job's use CPUs, if CPU energy is included.

    Judging completions is not checked: the CPU time of a killed sandbox is not counted for the job.
    """
    if window["phase"] == "evaluate" or not settings.includes_cpu or "cpu" not in sources.figures:
        return
    busy = timeline.find("host", "host", "busy_s").get("machine")
    start_s, end_s = window["start_s"], window["end_s"]
    if busy is None or ((busy.t_s >= start_s) & (busy.t_s <= end_s)).sum() < 2:
        return  # no readings in this window
    others, stolen = other_cpus(timeline, start_s, end_s)
    limit = other_cpus_limit(timeline, settings)
    if others is not None and others + stolen > limit:
        yield "cpu", f"others keep {others + stolen:.3g} CPUs busy (limit {limit:g})"
