"""Simulated studies with known truth: what one, two, three and five sessions say.

A study measures a baseline and six variants in every session. Its spreads are those of
docs/archive/h200-sessions.md: 0.3 % between the repeats of a job, 5 % between sessions, 5 to 12 %
between boards, 0.5 to 1 % of what one job differs by from what cell and session explain.
"""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri

from codewatt.analysis.efficient_frontier import efficient_mask
from codewatt.analysis.frontier_probability import FrontierDraws, accuracy_draws, energy_draws
from codewatt.analysis.log_scale_statistics import holm, t_interval, welch
from codewatt.analysis.session_effects import compare_sessions
from codewatt.analysis.session_replicates import log_replicates

#: Standard deviations of ln energy.
WITHIN_JOB, BETWEEN_SESSIONS = 0.003, 0.05
#: (between boards, cell x session) as small and as large as measured.
SPREADS = [(0.05, 0.005), (0.12, 0.01)]
CELLS, REPEATS, STUDIES = 7, 3, 4000
Array = NDArray[np.float64]

several = pytest.mark.parametrize("sessions", [2, 3, 5])
spreads = pytest.mark.parametrize(("boards", "cell_session"), SPREADS)


def drawn_logs(
    sessions: int,
    boards: float,
    cell_session: float,
    seed: int,
    studies: int = STUDIES,
    cells: int = CELLS,
) -> Array:
    """ln energy (studies, cells, sessions, repeats); all true values are 0.

    The cells of a session run on one board, drawn anew for each session.
    """
    generator = np.random.default_rng([seed, sessions])
    of_session = generator.normal(
        0, math.hypot(BETWEEN_SESSIONS, boards), (studies, 1, sessions, 1)
    )
    of_job = generator.normal(0, cell_session, (studies, cells, sessions, 1))
    return (
        of_session + of_job + generator.normal(0, WITHIN_JOB, (studies, cells, sessions, REPEATS))
    )


def by_session(cell: Array) -> dict[int, list[float]]:
    """The logarithms of one cell (sessions, repeats) by session."""
    return dict(enumerate(cell.tolist(), start=1))


def share_covered(firsts: Array, seconds: Array, truth: float = 0.0) -> float:
    """How often the interval of the difference of two cells covers the truth."""
    hits = 0
    for first, second in zip(firsts, seconds, strict=True):
        found = compare_sessions(by_session(first), by_session(second))
        assert found is not None
        assert found.difference is not None
        low, high = found.difference.interval()
        hits += low <= truth <= high
    return hits / len(firsts)


@several
@spreads
def test_the_interval_of_a_change_covers_the_truth(
    sessions: int, boards: float, cell_session: float
) -> None:
    logs = drawn_logs(sessions, boards, cell_session, seed=1, cells=2)
    assert 0.935 <= share_covered(logs[:, 0], logs[:, 1]) <= 0.965


@several
@spreads
def test_the_interval_of_a_cells_energy_covers_the_truth(
    sessions: int, boards: float, cell_session: float
) -> None:
    """The truth is the mean over sessions and boards that could have been drawn."""
    hits = 0
    for cell in drawn_logs(sessions, boards, cell_session, seed=2, cells=1)[:, 0]:
        means = log_replicates(by_session(np.exp(cell)))
        assert means is not None
        interval = t_interval(means)
        assert interval is not None
        hits += interval[0] <= 0 <= interval[1]
    assert 0.935 <= hits / STUDIES <= 0.965


@pytest.mark.parametrize(("cell_session", "most"), [(0.005, 0.75), (0.01, 0.5)])
def test_one_session_covers_far_too_little_of_a_change(cell_session: float, most: float) -> None:
    """Why a change needs sessions: the repeats of two jobs do not show how jobs differ."""
    logs = drawn_logs(1, 0.05, cell_session, seed=3, cells=2)
    assert share_covered(logs[:, 0], logs[:, 1]) < most


def test_one_session_says_next_to_nothing_of_a_cells_energy() -> None:
    """Why `interval_scope` says "within one job": 5 % between sessions, 0.3 % between repeats."""
    logs = drawn_logs(1, 0.05, 0.005, seed=4, cells=1)
    intervals = [t_interval(list(cell[0])) for cell in logs[:, 0]]
    assert np.mean([ends is not None and ends[0] <= 0 <= ends[1] for ends in intervals]) < 0.12


def test_a_variant_in_another_session_than_its_baseline_is_compared_wrongly() -> None:
    """Why only sessions that have both cells are used."""
    logs = drawn_logs(2, 0.05, 0.005, seed=5, cells=2)
    apart = [welch(list(one[0, 0]), list(one[1, 1])) for one in logs]
    ends = [one.interval() for one in apart if one is not None]
    assert np.mean([low <= 0 <= high for low, high in ends]) < 0.12


@several
def test_repeats_that_are_counted_as_sessions_cover_too_little(sessions: int) -> None:
    """Why n is the number of sessions: repeats of a session share their job."""
    logs = drawn_logs(sessions, 0.05, 0.01, seed=6, cells=2)
    apart = (logs[:, 1] - logs[:, 0]).reshape(STUDIES, sessions * REPEATS)
    ends = [t_interval(list(one)) for one in apart]
    assert np.mean([one is not None and one[0] <= 0 <= one[1] for one in ends]) < 0.8


@several
def test_sessions_on_one_board_tell_nothing_about_other_boards(sessions: int) -> None:
    """A saving that depends on the board (SD 1.5 %): it is covered only if boards change."""
    logs = drawn_logs(sessions, 0.12, 0.005, seed=7, cells=2)
    generator = np.random.default_rng(70 + sessions)
    each, one = (generator.normal(0, 0.015, (STUDIES, n, 1)) for n in (sessions, 1))
    assert 0.935 <= share_covered(logs[:, 0], logs[:, 1] + each) <= 0.965
    # The more sessions on the one board, the surer the interval of what holds for this board alone.
    assert share_covered(logs[:, 0], logs[:, 1] + one) < {2: 0.88, 3: 0.68, 5: 0.45}[sessions]


@several
@spreads
def test_holm_keeps_the_type_1_error_of_all_comparisons_at_5_percent(
    sessions: int, boards: float, cell_session: float
) -> None:
    """Six variants equal to their baseline: how often is at least one called different?"""
    studies, wrong = 1500, 0
    for study in drawn_logs(sessions, boards, cell_session, seed=8, studies=studies):
        base = by_session(study[0])
        found = [compare_sessions(base, by_session(cell)) for cell in study[1:]]
        ps = [one.difference.p for one in found if one is not None and one.difference is not None]
        assert len(ps) == CELLS - 1
        wrong += min(holm(ps)) < 0.05
    assert wrong / studies <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / studies)


def test_holm_cannot_make_good_what_one_session_does_not_show() -> None:
    studies, wrong = 500, 0
    for study in drawn_logs(1, 0.05, 0.005, seed=9, studies=studies):
        apart = [welch(list(study[0, 0]), list(cell[0])) for cell in study[1:]]
        wrong += min(holm([one.p for one in apart if one is not None])) < 0.05
    assert wrong / studies > 0.3


@several
@spreads
def test_the_probabilities_of_the_frontier_are_calibrated(
    sessions: int, boards: float, cell_session: float
) -> None:
    """Five cells with energies within ±5 % and 164 tasks: said and true frequencies, by fifths."""
    generator = np.random.default_rng(100 + sessions)
    studies, cells, tasks = 600, 5, 164
    said, true = [], []
    noise = drawn_logs(sessions, boards, cell_session, seed=10, studies=studies, cells=cells)
    for logs in noise:
        energy, solved = generator.uniform(-0.05, 0.05, cells), generator.uniform(0.3, 0.6, cells)
        hard = 0.9 * generator.standard_normal((1, tasks))
        latent = hard + math.sqrt(1 - 0.81) * generator.standard_normal((cells, tasks))
        shares = (latent < ndtri(solved)[:, None]).astype(float)
        measured = (logs + energy[:, None, None]).tolist()
        draws = FrontierDraws(energy_draws(measured, 400), accuracy_draws(shares, 400))
        said += draws.probabilities()
        true += efficient_mask(list(zip(energy.tolist(), solved.tolist(), strict=True)))
    stated, happened = np.array(said), np.array(true, dtype=float)
    assert abs(stated.mean() - happened.mean()) < 0.03
    fifths = np.minimum((5 * stated).astype(int), 4)
    for fifth in range(5):
        inside = fifths == fifth
        room = 3 * math.sqrt(0.25 / inside.sum())
        assert abs(float(np.mean((stated - happened)[inside]))) < 0.05 + room
    weighted = [abs(float(np.sum((stated - happened)[fifths == k]))) for k in range(5)]
    assert sum(weighted) / len(stated) < 0.05
