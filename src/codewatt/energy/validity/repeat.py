"""Validity checks of one repeat that apply to every component: duration, readings, gaps."""

from collections.abc import Iterator, Mapping

from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.energy_record import RunRecord
from codewatt.energy.energy_sources import Sources
from codewatt.energy.job_energy_record import ComponentRecord
from codewatt.energy.validity.check import Check, CheckResult
from codewatt.energy.validity.phase import longest_gap_s

WINDOW_LONG_ENOUGH = Check(
    "window_long_enough",
    "error",
    purpose="A repeat is so long that its energy does not depend on only a few readings.",
    remedy="Give the cell more work: more tasks, samples or tokens.",
    limit="at least {min_window_s} s",
    applies="always",
    per="repeat",
    unit="s",
)
ENERGY_KNOWN = Check(
    "energy_known",
    "error",
    purpose="The energy of the repeat is known for every component of the study's boundary.",
    remedy="Read the detail, which names the missing meter; or choose another boundary.",
    limit="a known energy in the study's boundary",
    applies="always",
    per="repeat",
    unit="J",
)
EDGES_RESOLVED = Check(
    "edges_resolved",
    "warning",
    purpose="The uncertainty from the edges of the repeat's window is a small part of its energy.",
    remedy="Make repeats longer, or read the meters more often.",
    limit="at most {max_edge_share} of the energy",
    applies="always",
    per="repeat",
    unit="share",
)
ENOUGH_READINGS = Check(
    "enough_readings",
    "error",
    purpose="Every meter was read often enough within the repeat.",
    remedy="Make repeats longer, or read the meters more often.",
    limit="at least {min_readings} readings of each component",
    applies="always",
    per="repeat",
    unit="readings",
)
NO_GAPS = Check(
    "no_gaps",
    "error",
    purpose="No meter was without a reading for a long time, as when the sampler gets no CPU time.",
    remedy="Leave a CPU for the sampler, and measure the cell again.",
    limit="at most {max_gap_s} s without a reading, or ten intervals of a slower meter",
    applies="always",
    per="repeat",
    unit="s",
)
COUNTERS_MOVE = Check(
    "counters_move",
    "error",
    purpose="Every energy counter increases, because hardware that is switched on draws power.",
    remedy="Do not use the cell. The detail names the broken counter.",
    limit="at most {max_gap_s} s without an increase, or ten intervals of a slower meter",
    applies="a component is measured by an energy counter",
    per="repeat",
    unit="s",
)
CHECKS = (
    WINDOW_LONG_ENOUGH,
    ENERGY_KNOWN,
    EDGES_RESOLVED,
    ENOUGH_READINGS,
    NO_GAPS,
    COUNTERS_MOVE,
)


def check_repeat(
    sources: Sources,
    status: ComponentRecord,
    run: RunRecord,
    start_s: float,
    end_s: float,
    settings: EnergySettings,
) -> Iterator[CheckResult]:
    """Run the checks of one repeat.

    Args:
        sources: source of each component's energy.
        status: status, method and detail of the study's boundary.
        run: the repeat's record in energy.json.
        start_s, end_s: window of the repeat (CLOCK_MONOTONIC, s).
        settings: the study's energy settings.
    """
    repeat, limits, boundary = run["repeat"], settings.validity, settings.boundary
    yield WINDOW_LONG_ENOUGH.result(
        run["duration_s"] >= limits.min_window_s,
        run["duration_s"],
        limits.min_window_s,
        "duration of the repeat, at least",
        repeat,
    )
    parts = {name: source.energy(start_s, end_s) for name, source in sources.figures.items()}
    reasons = [part.reason for part in parts.values() if part.reason]
    why = [f"{name}: {reason}" for name, reason in sources.unavailable.items()]
    figure_j = run["energy_j"][boundary]
    yield ENERGY_KNOWN.result(
        figure_j is not None,
        figure_j,
        f"an energy of boundary {boundary}",
        f"the energy of every component of boundary {boundary} is known"
        if figure_j is not None
        else "; ".join(reasons or filter(None, [status["detail"], *why])),
        repeat,
    )
    bound_j = run["uncertainty_j"][boundary]
    yield EDGES_RESOLVED.at_most(
        bound_j / figure_j if bound_j is not None and figure_j else None,
        limits.max_edge_share,
        "uncertainty from the edges of the window / energy of the repeat",
        repeat,
    )
    fewest = min(parts, key=lambda name: parts[name].readings, default=None)
    yield ENOUGH_READINGS.result(
        None if fewest is None else parts[fewest].readings >= limits.min_readings,
        None if fewest is None else parts[fewest].readings,
        limits.min_readings,
        "fewest readings of a component within the repeat, at least"
        + ("" if fewest is None else f": {fewest}"),
        repeat,
    )
    gaps_s = {
        name: (part.max_gap_s, longest_gap_s(sources.figures[name], settings))
        for name, part in parts.items()
        if part.max_gap_s is not None
    }
    yield _worst(NO_GAPS, gaps_s, "longest time without a reading", repeat, settings)
    yield _worst(
        COUNTERS_MOVE,
        dict(_flat_times_s(sources, start_s, end_s, settings)),
        "longest time in which a counter stood still",
        repeat,
        settings,
    )


def _flat_times_s(
    sources: Sources, start_s: float, end_s: float, settings: EnergySettings
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield "component device", and (longest time without an increase (s), its limit (s))."""
    for name, source in sources.figures.items():
        for device, series in source.series.items():
            if series.kind == "counter":
                limit_s = max(settings.validity.max_gap_s, 10 * (series.resolution_s or 0.0))
                yield f"{name} {device}", (series.longest_flat_s(start_s, end_s), limit_s)


def _worst(
    check: Check,
    found: Mapping[str, tuple[float, float]],
    detail: str,
    repeat: int,
    settings: EnergySettings,
) -> CheckResult:
    """The result of a check that compares several times, for the one that is worst.

    Args:
        found: name -> (observed time (s), its limit (s)); the worst has the largest ratio of both.
            If it is empty, the check is skipped.
    """
    worst = max(found, key=lambda key: found[key][0] / found[key][1], default=None)
    observed_s, limit_s = (None, settings.validity.max_gap_s) if worst is None else found[worst]
    where = detail if worst is None else f"{detail}: {worst}"
    return check.at_most(observed_s, limit_s, where, repeat)
