"""What a study's design can tell, as text for a terminal and as plain values."""

import csv
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from codewatt.estimate.pilot_study import Pilot
from codewatt.estimate.statistical_power import (
    MOST_REPEATS,
    MOST_SESSIONS,
    Spread,
    detectable_change,
    detectable_difference,
    repeats_needed,
    sessions_needed,
    tasks_needed,
)
from codewatt.estimate.text_table import text_table
from codewatt.grid import Grid
from codewatt.sizing.workload import benchmark_size

#: Relative changes of energy and differences of pass@1 for which the needed design is stated.
EFFECTS = (0.01, 0.02, 0.05)
#: The share of tasks that only one of two cells solves, where no pilot has it.
ASSUMED_DISCORDANT = 0.1
_SESSIONS = (1, 2, 3, 5, 10)
_RECORDED = Path(__file__).with_name("recorded_spreads.csv")
_WIDTH = 100


_Value = TypeVar("_Value")


@dataclass(frozen=True)
class EnergyPower:
    """What the design detects in one metric.

    Attributes:
        metric: energy_j or duration_s.
        detectable: sessions → smallest detectable change for one and for all comparisons.
        sessions_needed, repeats_needed: effect → count for one and for all comparisons.
    """

    metric: str
    spread: Spread
    detectable: dict[int, tuple[float | None, float | None]]
    sessions_needed: dict[float, tuple[int | None, int | None]]
    repeats_needed: dict[float, tuple[int | None, int | None]]


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
    """The design of a study, and what it can tell."""

    study: str
    sessions: int
    repeats: int
    comparisons: int
    energy: list[EnergyPower]
    accuracy: list[AccuracyPower]


def recorded_spread(device: str, metric: str) -> Spread | None:
    """The recorded spread of a metric on a kind of device ("gpu" or "cpu"); None if none is."""
    with _RECORDED.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if (row["device"], row["metric"]) == (device, metric):
                return Spread(
                    float(row["within_job"]),
                    float(row["cell_session"]),
                    float(row["between_sessions"]),
                    row["source"],
                )
    return None


def make_power_report(grid: Grid, device: str, pilot: Pilot | None) -> PowerReport:
    """The report of a study.

    Args:
        device: "gpu" or "cpu": whose recorded spreads are taken where there is no pilot.
        pilot: a finished study with the same kind of cells; None takes recorded spreads.
    """
    comparisons = max(1, _count_comparisons(grid))
    repeats = grid.study.decoding.repeats
    both = (1, comparisons)
    energy = []
    for metric in ("energy_j", "duration_s"):
        spread = _spread(device, metric, pilot)
        if spread is None:
            continue
        energy.append(
            EnergyPower(
                metric,
                spread,
                {
                    sessions: _pair(detectable_change(spread, repeats, sessions, m) for m in both)
                    for sessions in sorted({*_SESSIONS, grid.study.sessions})
                },
                {e: _pair(sessions_needed(spread, repeats, e, m) for m in both) for e in EFFECTS},
                {e: _pair(repeats_needed(spread, e, m) for m in both) for e in EFFECTS},
            )
        )
    accuracy = []
    for benchmark in grid.benchmark_ids:
        size = benchmark_size(grid.settings("benchmark", benchmark))
        if size is not None:
            accuracy.append(_accuracy(benchmark, size.tasks, comparisons, pilot))
    return PowerReport(
        grid.study.study, grid.study.sessions, repeats, comparisons, energy, accuracy
    )


def _count_comparisons(grid: Grid) -> int:
    """Cells that have a baseline in their setting, and pairs that the study names."""
    named, cells = grid.study.baseline, set(grid.cells)
    baselines = [replace(c, prune=named.prune, precision=named.precision) for c in grid.cells]
    with_baseline = sum(
        base in cells and base != cell for cell, base in zip(grid.cells, baselines, strict=True)
    )
    return with_baseline + len(grid.named_pairs)


def _spread(device: str, metric: str, pilot: Pilot | None) -> Spread | None:
    """The pilot's spread; what the pilot does not tell is taken from the recorded one."""
    recorded = recorded_spread(device, metric)
    if pilot is None or (within := pilot.within_job[metric]) is None:
        return (
            None if recorded is None else replace(recorded, source=f"recorded: {recorded.source}")
        )
    apart = pilot.cell_session[metric]
    if apart is None:
        if recorded is None:
            return None
        return Spread(
            within,
            recorded.cell_session,
            recorded.between_sessions,
            f"within a job: the pilot; the rest, which needs two sessions: {recorded.source}",
        )
    return Spread(
        within, apart, pilot.between_sessions[metric], f"the pilot, {pilot.sessions} sessions"
    )


def _accuracy(benchmark: str, tasks: int, comparisons: int, pilot: Pilot | None) -> AccuracyPower:
    seen = None if pilot is None else pilot.discordant.get(benchmark)
    discordant = seen or ASSUMED_DISCORDANT
    source = "assumed"
    if seen is not None:
        source = "largest of the pilot" if seen else "assumed: none in the pilot"
    both = (1, comparisons)
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


def _pair(values: Iterable[_Value]) -> tuple[_Value, _Value]:
    """The values for one and for all comparisons."""
    first, second = values
    return first, second


def power_text(report: PowerReport) -> str:
    """The report for the terminal."""
    m = report.comparisons
    lines = [
        f"{report.study}: what the design can tell ({_count(report.sessions, 'session')}, "
        f"{_count(report.repeats, 'repeat')} per cell and session)",
        "",
        *_fill(
            "Power 80 %, two-sided level 5 %. 'one' is a single comparison with the baseline; "
            f"'all' is each of the {_count(m, 'comparison')} of the study at 5 %/{m} (Bonferroni)."
        ),
    ]
    if not report.energy:
        lines += [
            "",
            *_fill(
                "Energy and time: no spread between sessions is known for this device. Allowed: "
                "--pilot DIR with a finished study of two or more sessions."
            ),
        ]
    for part in report.energy:
        lines += ["", *_energy_lines(part, report)]
    for accuracy in report.accuracy:
        lines += ["", *_accuracy_lines(accuracy)]
    return "\n".join(lines)


def _energy_lines(part: EnergyPower, report: PowerReport) -> list[str]:
    name = {"energy_j": "Energy", "duration_s": "Time"}[part.metric]
    spread = part.spread
    common = (
        ""
        if spread.between_sessions is None
        else f", {_percent(spread.between_sessions)} between sessions for all cells alike (cancels)"
    )
    rows: list[Sequence[str]] = [("sessions", "one", "all")]
    for sessions, pair in part.detectable.items():
        mark = " (this study)" if sessions == report.sessions else ""
        rows.append((f"{sessions}{mark}", *(_percent_or_dash(value) for value in pair)))
    needed: list[Sequence[str]] = [
        ("to detect", "sessions: one", "all", "repeats in one session: one", "all")
    ]
    for effect in EFFECTS:
        needed.append(
            (
                f"{100 * effect:g} %",
                *(_needed(count, MOST_SESSIONS) for count in part.sessions_needed[effect]),
                *(_needed(count, MOST_REPEATS) for count in part.repeats_needed[effect]),
            )
        )
    return [
        *_fill(
            f"{name}. Standard deviations: {_percent(spread.within_job)} within a job, "
            f"{_percent(spread.cell_session)} cell x session{common}. Source: {spread.source}."
        ),
        *_fill(
            f"Smallest change that is detected, with {_count(report.repeats, 'repeat')}. One "
            "session compares two jobs: it does not tell how much other jobs would differ."
        ),
        text_table(rows),
        text_table(needed),
    ]


def _accuracy_lines(part: AccuracyPower) -> list[str]:
    points = [("-" if value is None else f"{100 * value:.2g} points") for value in part.detectable]
    rows: list[Sequence[str]] = [("to detect", "tasks: one", "all")]
    for effect, pair in part.tasks_needed.items():
        counts = [("-" if count is None else f"{count:,}") for count in pair]
        unit = "point" if effect == 0.01 else "points"
        rows.append((f"{100 * effect:g} {unit}", *counts))
    return [
        *_fill(
            f"pass@1 on {part.benchmark}: {part.tasks:,} tasks, of which "
            f"{_percent(part.discordant)} are solved by only one of two variants "
            f"({part.discordant_source}). Smallest difference that McNemar's test detects: "
            f"{points[0]} (one), {points[1]} (all). More repeats or sessions of greedy decoding do "
            "not change it."
        ),
        text_table(rows),
    ]


def power_values(report: PowerReport) -> Mapping[str, Any]:
    """The report as plain values, for `--json`."""
    return {
        "study": report.study,
        "sessions": report.sessions,
        "repeats": report.repeats,
        "comparisons": report.comparisons,
        "energy": [{**vars(part), "spread": vars(part.spread)} for part in report.energy],
        "accuracy": [vars(part) for part in report.accuracy],
    }


def _fill(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _needed(count: int | None, most: int) -> str:
    return f"> {most:,}" if count is None else f"{count:,}"


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %"


def _percent_or_dash(value: float | None) -> str:
    return "-" if value is None else "> 100 %" if value > 1 else _percent(value)
