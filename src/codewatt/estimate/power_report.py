"""What the design of a study can detect, for its metrics and benchmarks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from codewatt.estimate.known_spread import PILOT_ALLOWED, known_spread
from codewatt.estimate.pilot_study import Pilot
from codewatt.estimate.statistical_power import (
    Spread,
    detectable_change,
    detectable_difference,
    repeats_needed,
    sessions_needed,
    tasks_needed,
)
from codewatt.grid import Grid
from codewatt.sizing.workload import BENCHMARKS, benchmark_size

#: Relative changes of energy and differences of pass@1 for which the needed design is stated.
EFFECTS = (0.01, 0.02, 0.05)
#: The metrics of energy and time, and their names in a sentence.
METRICS = {"energy_j": "Energy", "duration_s": "Time"}
#: The share of tasks that only one of two cells solves, where no pilot has it.
ASSUMED_DISCORDANT = 0.1
_SESSIONS = (1, 2, 3, 5, 10)

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class EnergyPower:
    """What the design detects in one metric, for one and for all comparisons.

    Attributes:
        metric: energy_j or duration_s.
        detectable: sessions → smallest detectable change (`detectable_change`).
        sessions_needed, repeats_needed: effect → count, None above MOST_SESSIONS or MOST_REPEATS;
            None as a whole if the spread that it needs is unknown.
    """

    metric: str
    spread: Spread
    detectable: dict[int, tuple[float | None, float | None]]
    sessions_needed: dict[float, tuple[int | None, int | None]] | None
    repeats_needed: dict[float, tuple[int | None, int | None]] | None


@dataclass(frozen=True)
class AccuracyPower:
    """What the tasks of one benchmark detect, for one and for all comparisons.

    Attributes:
        discordant: share of tasks that only one of the two cells solves.
        discordant_source: in words.
        detectable: smallest detectable difference of pass@1, a fraction.
        tasks_needed: effect → count; None where the effect exceeds `discordant`.
    """

    benchmark: str
    tasks: int
    discordant: float
    discordant_source: str
    detectable: tuple[float | None, float | None]
    tasks_needed: dict[float, tuple[int | None, int | None]]


@dataclass(frozen=True)
class PowerReport:
    """The design of a study, and what it can tell.

    Attributes:
        comparisons: number of pairs that the study compares. 'All comparisons' of a study with
            none or one are a single one.
        notes: what is left out and why, a sentence each.
    """

    study: str
    sessions: int
    repeats: int
    comparisons: int
    energy: list[EnergyPower]
    accuracy: list[AccuracyPower]
    notes: list[str]


def make_power_report(grid: Grid, device: str, pilot: Pilot | None) -> PowerReport:
    """The report of a study.

    Args:
        device: "gpu" or "cpu": whose recorded spreads are taken where there is no pilot.
        pilot: a finished study with the same kind of cells; None takes recorded spreads.
    """
    comparisons = len(grid.compared_pairs)
    both = (1, max(1, comparisons))
    energy, notes = [], []
    for metric, name in METRICS.items():
        spread, unknown = known_spread(device, metric, pilot)
        if unknown is not None:
            notes.append(f"{name}: {unknown}. Allowed: {PILOT_ALLOWED}.")
        if spread is not None:
            energy.append(_energy(grid, metric, spread, both))
    accuracy = []
    for benchmark in grid.benchmark_ids:
        settings = grid.settings("benchmark", benchmark)
        size = benchmark_size(settings)
        if size is None:
            notes.append(
                f"pass@1 on {benchmark}: the number of tasks is unknown for a benchmark of kind "
                f"{settings['kind']!r}; known: {', '.join(BENCHMARKS)}."
            )
        else:
            accuracy.append(_accuracy(benchmark, size.tasks, both, pilot))
    notes += _accuracy_notes(grid, pilot)
    study = grid.study
    return PowerReport(
        study.study,
        study.sessions,
        study.decoding.repeats,
        comparisons,
        energy,
        accuracy,
        notes,
    )


def _energy(grid: Grid, metric: str, spread: Spread, both: tuple[int, int]) -> EnergyPower:
    repeats, planned = grid.study.decoding.repeats, grid.study.sessions
    return EnergyPower(
        metric,
        spread,
        {
            sessions: _pair(detectable_change(spread, repeats, sessions, m) for m in both)
            for sessions in sorted({*_SESSIONS, planned})
        },
        None
        if spread.cell_session is None
        else {e: _pair(sessions_needed(spread, repeats, e, m) for m in both) for e in EFFECTS},
        None
        if spread.within_job is None
        else {e: _pair(repeats_needed(spread, e, m) for m in both) for e in EFFECTS},
    )


def _accuracy(
    benchmark: str, tasks: int, both: tuple[int, int], pilot: Pilot | None
) -> AccuracyPower:
    discordant, source = ASSUMED_DISCORDANT, "assumed"
    if pilot is not None:
        seen = pilot.discordant.get(benchmark)
        if seen:
            discordant, source = seen, "largest of the pilot"
        else:
            source = f"assumed: {'not' if seen is None else 'none'} in the pilot"
    return AccuracyPower(
        benchmark,
        tasks,
        discordant,
        source,
        _pair(detectable_difference(tasks, discordant, m) for m in both),
        {
            effect: _pair(
                tasks_needed(effect, discordant, m) if effect <= discordant else None for m in both
            )
            for effect in EFFECTS
        },
    )


def _accuracy_notes(grid: Grid, pilot: Pilot | None) -> Iterator[str]:
    """What the figures of pass@1 leave out."""
    unused = sorted(set(pilot.discordant if pilot else ()) - set(grid.benchmark_ids))
    if unused:
        yield (
            "Benchmarks of the pilot that the study does not have, so that they are not used: "
            f"{', '.join(unused)}. Benchmarks of the study: {', '.join(grid.benchmark_ids)}."
        )
    if grid.study.decoding.strategy == "sampled":
        yield (
            "The study samples completions. The figures of pass@1 are those of one completion per "
            "task; several completions per task may detect smaller differences."
        )


def _pair(values: Iterable[_Value]) -> tuple[_Value, _Value]:
    """The values for one and for all comparisons."""
    first, second = values
    return first, second
