"""A power report as text for a terminal and as plain values for JSON."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from codewatt.estimate.power_report import METRICS, AccuracyPower, EnergyPower, PowerReport
from codewatt.estimate.statistical_power import MOST_REPEATS, MOST_SESSIONS, Spread
from codewatt.estimate.text_table import text_table

_WIDTH = 100
_DASH = "-"


def power_text(report: PowerReport) -> str:
    """The report for the terminal."""
    lines = [
        f"{report.study}: what the design can tell ({_count(report.sessions, 'session')}, "
        f"{_count(report.repeats, 'repeat')} per cell and session)",
        "",
        *_fill(f"Power 80 %, two-sided level 5 %. {_compared(report.comparisons)}"),
    ]
    for part in report.energy:
        lines += ["", *_energy_lines(part, report)]
    for accuracy in report.accuracy:
        lines += ["", *_accuracy_lines(accuracy, report.comparisons)]
    for note in report.notes:
        lines += ["", *_fill(note)]
    return "\n".join(lines)


def _compared(comparisons: int) -> str:
    """What the columns of the tables are."""
    if comparisons == 0:
        return "The study compares no cells; the values are those of a single comparison."
    if comparisons == 1:
        return "The study makes one comparison."
    return (
        "'one' is a single comparison of two cells; 'all' is each of the "
        f"{comparisons:,} comparisons of the study at 5 %/{comparisons} (Bonferroni)."
    )


def _energy_lines(part: EnergyPower, report: PowerReport) -> list[str]:
    head = ("one", "all") if report.comparisons > 1 else ("change",)
    rows: list[Sequence[str]] = [("sessions", *head)]
    for sessions, pair in part.detectable.items():
        mark = " (this study)" if sessions == report.sessions else ""
        rows.append((f"{sessions}{mark}", *(_change(value) for value in pair[: len(head)])))
    return [
        *_fill(f"{METRICS[part.metric]}. {_spread(part.spread)}"),
        *_fill(
            f"Smallest change that is detected, with {_count(report.repeats, 'repeat')}. One "
            "session compares two jobs: it does not tell how much other jobs would differ."
            f"{_unknown(part, report)}"
        ),
        text_table(rows),
        text_table(_needed_rows(part, len(head))),
    ]


def _spread(spread: Spread) -> str:
    """The standard deviations and their source, in sentences."""
    parts = []
    if spread.within_job is not None:
        parts.append(f"{_percent(spread.within_job)} within a job")
    if spread.cell_session is not None:
        with_job = " and within a job together" if spread.within_job is None else ""
        parts.append(f"{_percent(spread.cell_session)} cell x session{with_job}")
    if spread.between_sessions is not None:
        of = (
            "for all cells alike (cancels)"
            if spread.cell_session is not None
            else "with cell x session"
        )
        parts.append(f"{_percent(spread.between_sessions)} between sessions {of}")
    return f"Standard deviations: {', '.join(parts)}. Source: {spread.source}."


def _unknown(part: EnergyPower, report: PowerReport) -> str:
    """Why values are absent or bounds."""
    spread, said = part.spread, ""
    if spread.within_job is None:
        said += (
            " The pilot has one repeat per job, which does not separate the spread within a job: "
            "there is no value for one session"
        )
        said += ", and those for several are upper bounds." if report.repeats > 1 else "."
    elif spread.within_job == 0:
        said += (
            " The repeats of each job of the pilot are equal, so that the values for one session "
            "say nothing."
        )
    elif report.repeats == 1:
        said += " One session of one repeat allows no test."
    if spread.cell_session is None:
        said += " Without the spread cell x session there is no value for several sessions."
    return said


def _needed_rows(part: EnergyPower, columns: int) -> list[Sequence[str]]:
    """The table of needed sessions and repeats."""
    head = ["to detect", "sessions", "repeats in one session"]
    if columns > 1:
        head = ["to detect", "sessions: one", "all", "repeats in one session: one", "all"]
    known = next(counts for counts in (part.sessions_needed, part.repeats_needed) if counts)
    rows: list[Sequence[str]] = [head]
    for effect in known:
        row = [f"{100 * effect:g} %"]
        for counts, most in (
            (part.sessions_needed, MOST_SESSIONS),
            (part.repeats_needed, MOST_REPEATS),
        ):
            if counts is None:
                row += [_DASH] * columns
            else:
                row += [_needed(count, most) for count in counts[effect][:columns]]
        rows.append(row)
    return rows


def _accuracy_lines(part: AccuracyPower, comparisons: int) -> list[str]:
    columns = 2 if comparisons > 1 else 1
    points = ["none" if value is None else f"{100 * value:.2g} points" for value in part.detectable]
    detected = f"{points[0]} (one), {points[1]} (all)" if columns > 1 else points[0]
    rows: list[Sequence[str]] = [
        ("to detect", "tasks: one", "all") if columns > 1 else ("to detect", "tasks")
    ]
    for effect, pair in part.tasks_needed.items():
        counts = [(_DASH if count is None else f"{count:,}") for count in pair[:columns]]
        unit = "point" if effect == 0.01 else "points"
        rows.append((f"{100 * effect:g} {unit}", *counts))
    larger = (
        " '-': larger than the share of tasks that only one solves."
        if any(None in pair[:columns] for pair in part.tasks_needed.values())
        else ""
    )
    return [
        *_fill(
            f"pass@1 on {part.benchmark}: {_count(part.tasks, 'task')}, of which "
            f"{_percent(part.discordant)} are solved by only one of two variants "
            f"({part.discordant_source}). Smallest difference that McNemar's test detects: "
            f"{detected}. More repeats or sessions of greedy decoding do not change it.{larger}"
        ),
        text_table(rows),
    ]


def power_values(report: PowerReport) -> Mapping[str, Any]:
    """The report as plain values, for `--json`; a change that nothing bounds is None."""
    return {
        "study": report.study,
        "sessions": report.sessions,
        "repeats": report.repeats,
        "comparisons": report.comparisons,
        "energy": [
            {
                **vars(part),
                "spread": vars(part.spread),
                "detectable": {
                    sessions: [_finite(value) for value in pair]
                    for sessions, pair in part.detectable.items()
                },
            }
            for part in report.energy
        ],
        "accuracy": [vars(part) for part in report.accuracy],
        "notes": report.notes,
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value


def _fill(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _needed(count: int | None, most: int) -> str:
    return f"> {most:,}" if count is None else f"{count:,}"


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %"


def _change(value: float | None) -> str:
    """A detectable change; '> 100 %' also where no float is that large."""
    return _DASH if value is None else "> 100 %" if value > 1 else _percent(value)
