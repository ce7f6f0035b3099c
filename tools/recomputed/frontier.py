"""The probability of each cell to be on the efficient frontier, draw by draw."""

import numpy as np
from scipy import stats

from recomputed.bootstrap import DRAWS, SEED, half_tasks
from recomputed.compare import energy_origin
from recomputed.runs import SETTING, TESTS


def add_probabilities(cells, rows):
    """Fill in every row's probabilities, in place."""
    groups = {}
    for cell in cells:
        row = rows[cell.id]
        row |= dict.fromkeys(f"frontier_probability_{tests}" for tests in TESTS)
        if cell.ran and row["valid"]:
            key = (*(cell.ids[axis] for axis in SETTING), energy_origin(row))
            groups.setdefault(key, []).append(cell)
    for tests in TESTS:
        for group in groups.values():
            members = [
                cell
                for cell in group
                if rows[cell.id][f"pass_at_1_{tests}"] is not None and rows[cell.id]["energy_j_n"]
            ]
            for cell, share in zip(members, _shares(members, tests), strict=False):
                rows[cell.id][f"frontier_probability_{tests}"] = share


def _shares(cells, tests):
    solved = [cell.tasks.groupby("task_id")[f"solved_{tests}"].mean().dropna() for cell in cells]
    if not cells or any(set(one.index) != set(solved[0].index) for one in solved):
        return []
    values = [cell.by_session("energy_j") for cell in cells]
    if any(x <= 0 for of_cell in values for xs in of_cell.values() for x in xs):
        return []
    both = sorted(set.intersection(*({s for s in one if one[s]} for one in values)))
    if not both or (len(both) == 1 and any(len(one[both[0]]) < 2 for one in values)):
        return []
    logs = [[np.log(one[session]) for session in both] for one in values]
    energy = _energy(logs)
    accuracy = _accuracy([one.sort_index().to_numpy() for one in solved])
    probabilities = []
    for ours, right in zip(energy, accuracy, strict=True):
        beaten = np.zeros(DRAWS, dtype=bool)
        for theirs, better in zip(energy, accuracy, strict=True):
            no_worse = (theirs <= ours) & (better >= right)
            beaten |= no_worse & ((theirs < ours) | (better > right))
        probabilities.append(float(1 - beaten.mean()))
    return probabilities


def _energy(logs):
    """Cell -> its draws of ln energy: Student's t, sessions in common drawn together."""
    generator = np.random.default_rng([SEED, 2])
    sessions = len(logs[0])
    if sessions == 1:
        return [
            cell.mean() + stats.sem(cell) * generator.standard_t(len(cell) - 1, DRAWS)
            for (cell,) in logs
        ]
    normal = generator.standard_normal((DRAWS, sessions))
    chi = np.sqrt(generator.chisquare(sessions - 1, DRAWS))
    found = []
    for cell in logs:
        means = np.array([values.mean() for values in cell])
        # normal @ effects / sqrt(sessions) has the variance of the effects' mean times freedom.
        apart = (normal * (means - means.mean())).sum(axis=1)
        found.append(means.mean() + apart / np.sqrt(sessions) / chi)
    return found


def _accuracy(solved):
    """Cell -> its draws of pass@1; the added half tasks are solved by chance."""
    tasks = len(solved[0])
    drawn = half_tasks(tasks)
    added = (drawn >= 2 * tasks).sum(axis=1)
    chance = np.random.default_rng([SEED, 3])
    chance = chance.binomial(added[:, None], 0.5, (DRAWS, len(solved)))
    found = []
    for one, lucky in zip(solved, chance.T, strict=True):
        halves = np.r_[np.repeat(one, 2), np.zeros(4)]
        found.append(np.round((halves[drawn].sum(axis=1) + lucky) / (tasks + 2), 12))
    return found
