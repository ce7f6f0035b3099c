"""Validity of what is not a repeat: loading, warming up, resting, judging, quantising."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from codewatt.energy.energy_sources import Source, Sources
from codewatt.energy.expectation import expectation
from codewatt.energy.timeline_reader import Timeline
from codewatt.energy.validity_gpu import state_during
from codewatt.energy.validity_power import possible_w
from codewatt.energy.validity_settings import JudgingSettings
from codewatt.energy.validity_sharing import cpu_is_billed, others_limit, others_processors

Json = dict[str, Any]


def judge_phase(
    phase: str,
    timeline: Timeline,
    sources: Sources,
    windows: Sequence[Json],
    manifest: Mapping[str, Any],
    settings: JudgingSettings,
) -> Json:
    """Whether the figures of a phase's windows can be believed, as one warning.

    Args:
        windows: its windows.
        manifest: of the job; its "sampler" tells of reads that failed.
    """
    wrong = [
        *_failed_reads(manifest),
        *(
            f"{component}: {problem}"
            for window in windows
            for component, problem in phase_problems(timeline, sources, window, settings)
        ),
    ]
    judged = any(
        _long_enough(window, source) for window in windows for source in sources.figures.values()
    )
    return expectation(
        f"{phase}_sound",
        "warning",
        False if wrong else True if judged else None,
        "; ".join(dict.fromkeys(wrong)) or None,
        "nothing wrong",
        None,
        "possible power, no gap, no wrap unseen, nobody else on the card and, where CPU energy is "
        "billed, on the machine, in this phase's windows",
    )


def _failed_reads(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Reads of RAPL so late, or so strange, that its counter cannot be believed."""
    meters = (manifest.get("sampler") or {}).get("meters", {})
    for what in meters.get("rapl", {}).get("failures", {}):
        if what.startswith("wrap"):
            yield what


def _long_enough(window: Json, source: Source) -> bool:
    """Whether a meter can say anything of a window: two of its readings lie in it."""
    return bool(window["end_s"] - window["start_s"] >= 2 * source.resolution_s)


def phase_problems(
    timeline: Timeline, sources: Sources, window: Json, settings: JudgingSettings
) -> Iterator[tuple[str, str]]:
    """(component, what is wrong with its figure) of one window."""
    start_s, end_s = window["start_s"], window["end_s"]
    for name, source in sources.figures.items():
        if source.unsound:
            yield name, f"{source.unsound} readings are not sound"
        if not _long_enough(window, source):
            continue
        found = source.energy(start_s, end_s)
        if found.energy_j is None:
            yield name, str(found.reason)
            continue
        limit_s = max(settings.max_gap_s, 10 * source.resolution_s)
        if found.max_gap_s is not None and found.max_gap_s > limit_s:
            yield name, f"{found.max_gap_s:.3g} s without a reading"
        watts = found.energy_j / (end_s - start_s)
        low_w, high_w = possible_w(timeline, name, source)
        if source.status == "measured" and not low_w <= watts <= high_w:
            yield name, f"{watts:.4g} W is not possible"
    others = state_during(timeline, sources, "other_processes", start_s, end_s)
    if any(values.max() > 0 for values in others):
        yield "gpu", "other processes on the card"
    yield from _others(timeline, sources, window, settings)


def _others(
    timeline: Timeline, sources: Sources, window: Json, settings: JudgingSettings
) -> Iterator[tuple[str, str]]:
    """Others than the job computing on the machine whose CPU is billed.

    Not of judging: what a sandbox did whose process was killed is in nobody's account.
    """
    if window["phase"] == "evaluate" or not cpu_is_billed(settings) or "cpu" not in sources.figures:
        return
    busy = timeline.find("host", "host", "busy_s").get("machine")
    start_s, end_s = window["start_s"], window["end_s"]
    if busy is None or ((busy.t_s >= start_s) & (busy.t_s <= end_s)).sum() < 2:
        return  # its readings are of other times
    others, stolen = others_processors(timeline, start_s, end_s)
    limit = others_limit(timeline, settings)
    if others is not None and others + stolen > limit:
        yield "cpu", f"others keep {others + stolen:.3g} processors busy (limit {limit:g})"
