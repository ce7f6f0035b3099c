"""The spread that a power calculation assumes: of a pilot, of the record, or of both."""

import csv
from dataclasses import replace
from pathlib import Path

from codewatt.estimate.pilot_study import Pilot, PilotSpread
from codewatt.estimate.statistical_power import Spread

_RECORDED = Path(__file__).with_name("recorded_spreads.csv")
_TWO_CELLS = "two cells of one setting in two sessions"
#: What a pilot needs for all components.
PILOT_ALLOWED = f"--pilot DIR with a finished study of two repeats per job, and {_TWO_CELLS}"


def recorded_spread(device: str, metric: str) -> Spread | None:
    """The recorded spread of a metric on a kind of device ("gpu" or "cpu"); None if none is."""
    with _RECORDED.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if (row["device"], row["metric"]) == (device, metric):
                return Spread(
                    float(row["within_job"]),
                    float(row["cell_session"]),
                    float(row["between_sessions"]),
                    f"recorded: {row['source']}",
                )
    return None


def known_spread(device: str, metric: str, pilot: Pilot | None) -> tuple[Spread | None, str | None]:
    """The spread of a metric, and what of it is unknown and why.

    The pilot's components are taken where it has them. If it lacks `cell_session`, this one and
    `between_sessions` are the recorded ones.

    Returns:
        (spread or None, what is unknown as a clause, or None).
    """
    recorded = recorded_spread(device, metric)
    none_recorded = f"none is recorded for device {device!r}"
    if pilot is None:
        return recorded, None if recorded else f"no spread is known: {none_recorded}"
    found = pilot.spreads[metric]
    lacks = _lacks(found)
    if lacks is not None:
        if recorded is None:
            return None, f"no spread is known: {lacks}; {none_recorded}"
        return replace(recorded, source=f"{recorded.source} ({lacks})"), None
    source = f"the pilot, {pilot.sessions} session{'' if pilot.sessions == 1 else 's'}"
    if found.cell_session is not None:
        return Spread(found.within_job, found.cell_session, found.between_sessions, source), None
    if recorded is not None:
        source = f"within a job: the pilot; the rest, which needs {_TWO_CELLS}: {recorded.source}"
        return replace(recorded, within_job=found.within_job, source=source), None
    why = f"the spread cell x session is unknown: the pilot lacks {_TWO_CELLS}; {none_recorded}"
    return Spread(found.within_job, None, found.between_sessions, source), why


def _lacks(found: PilotSpread) -> str | None:
    """Why a pilot tells neither `within_job` nor `cell_session`; None if it tells one of them."""
    known = [sd for sd in (found.within_job, found.cell_session) if sd is not None]
    if not known:
        return f"the pilot has no two values of one job, and not {_TWO_CELLS}"
    return None if any(known) else "the standard deviations in the pilot are 0"
