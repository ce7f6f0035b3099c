"""Columns of the cell table on the efficient frontier."""

from collections.abc import Sequence

import numpy as np

from codewatt.analysis.columns import TESTS, Row
from codewatt.analysis.compared_pairs import StudyRows
from codewatt.analysis.efficient_frontier import comparable_groups
from codewatt.analysis.frontier_probability import FrontierDraws, accuracy_draws, energy_draws
from codewatt.analysis.run_rows import solved_shares
from codewatt.analysis.session_effects import logs_by_session
from codewatt.analysis.session_replicates import values_by_session


def add_frontier_probabilities(study: StudyRows) -> None:
    """Add each cell's probability to be on the efficient frontier of energy and pass@1, in place.

    There is one frontier over all models for each setting and origin of energy
    (`efficient_frontier.comparable_groups`). Cells that failed a validity check, or have no energy
    or no pass@1, are excluded. A group has no probabilities if its cells have no session in common,
    were judged on different tasks, or have a single run in a single session.

    Args:
        study: its rows; the cells' are changed in place.
    """
    valid = [row for row in study.cells.values() if row.get("valid")]
    for tests in TESTS:
        for group in comparable_groups(valid):
            members = [
                row
                for row in group
                if row.get(f"pass_at_1_{tests}") is not None and row["energy_j_n"]
            ]
            draws = _draws(study, members, tests)
            probabilities = [] if draws is None else draws.probabilities()
            for row, probability in zip(members, probabilities, strict=draws is not None):
                row[f"frontier_probability_{tests}"] = probability


def _draws(study: StudyRows, group: Sequence[Row], tests: str) -> FrontierDraws | None:
    """Draws of energy and pass@1 of a group of cells."""
    ids = [row["cell_id"] for row in group]
    logs = [logs_by_session(values_by_session(study.runs[name], "energy_j")) or {} for name in ids]
    shares = [solved_shares(study.tasks[name], tests) for name in ids]
    if not ids or any(share.keys() != shares[0].keys() for share in shares):
        return None
    sessions = sorted(set.intersection(*({*of_cell} for of_cell in logs)))
    if not sessions:
        return None
    if len(sessions) == 1 and any(len(of_cell[sessions[0]]) < 2 for of_cell in logs):
        return None
    tasks = sorted(shares[0])
    return FrontierDraws(
        energy_draws([[of_cell[session] for session in sessions] for of_cell in logs]),
        accuracy_draws(np.array([[share[task] for task in tasks] for share in shares])),
    )
