"""Where the spread of a metric comes from: within a job, between sessions, boards, cell x session.

Henderson's method 3 (1953, Biometrics 9(2):226-252; Searle, Casella and McCulloch 1992, Variance
Components, section 5.5): the reductions in sums of squares of nested models are set equal to their
expected values. It is unbiased whatever cells are missing in some sessions. In balanced data with
positive estimates it equals restricted maximum likelihood (REML).
"""

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

#: Singular values below this share of the largest count as zero.
_RANK_TOLERANCE = 1e-10
#: Variances below this are rounding errors of the sums of squares.
_ROUNDING = 1e-14


class Observation(NamedTuple):
    """One value: of one repeat of one job.

    board: the host and GPUs on which the job ran; None if unknown.
    """

    cell: Hashable
    session: int
    board: Hashable
    value: float


@dataclass(frozen=True)
class VarianceComponents:
    """Standard deviations of the random effects, in the unit of the values.

    A component is None where the design cannot separate it. Estimates of a variance below zero
    are 0.

    Attributes:
        within_job: between the repeats of one job.
        cell_session: cell x session, what one job differs by from what cell and session explain.
        between_boards: None unless boards change within sessions and cells; boards that change
            only with the session are part of `between_sessions`.
        between_sessions: common to all cells of a session.
    """

    within_job: float | None
    cell_session: float | None
    between_boards: float | None
    between_sessions: float | None


def variance_components(observations: Sequence[Observation]) -> VarianceComponents:
    """The variance components of a metric over the cells of one family of comparisons.

    Args:
        observations: values, usually logarithms, so that an SD of 0.01 is 1 %.
    """
    if not observations:
        return VarianceComponents(None, None, None, None)
    values = np.array([one.value for one in observations])
    cells = _indicators([one.cell for one in observations])
    effects = {
        "between_sessions": _indicators([one.session for one in observations]),
        "between_boards": _indicators([one.board for one in observations]),
        "cell_session": _indicators([(one.cell, one.session) for one in observations]),
    }
    # Each model contains the one before: cells, + sessions, + boards, + jobs, + single values.
    fixed, bases = cells, [_basis(cells)]
    for design in effects.values():
        fixed = np.hstack([fixed, design])
        bases.append(_basis(fixed))
    found: dict[str, float] = {}
    spaces = dict(zip(effects, itertools.pairwise(bases), strict=True))
    free = len(values) - bases[-1].shape[1]
    if free:
        found["within_job"] = (values @ values - _square(bases[-1], values)) / free
    for name in ("cell_session", "between_boards", "between_sessions"):
        smaller, larger = spaces[name]
        degrees = larger.shape[1] - smaller.shape[1]
        if not degrees:
            continue
        reduction = _square(larger, values) - _square(smaller, values)
        reduction -= found.get("within_job", 0.0) * degrees
        for other, design in effects.items():
            if other != name and other in found:
                reduction -= found[other] * _trace(larger, smaller, design)
        found[name] = reduction / _trace(larger, smaller, effects[name])
    return VarianceComponents(**{name: _sd(found.get(name)) for name in _names()})


def _names() -> tuple[str, ...]:
    return tuple(VarianceComponents.__dataclass_fields__)


def _sd(variance: float | None) -> float | None:
    if variance is None:
        return None
    return math.sqrt(variance) if variance > _ROUNDING else 0.0


def _indicators(levels: Sequence[Any]) -> Matrix:
    """The design matrix of a factor: a row for each value, a column for each level."""
    position = {level: i for i, level in enumerate(dict.fromkeys(levels))}
    matrix = np.zeros((len(levels), len(position)))
    matrix[range(len(levels)), [position[level] for level in levels]] = 1.0
    return matrix


def _basis(design: Matrix) -> Matrix:
    """An orthonormal basis of the columns' span."""
    vectors, singular, _ = np.linalg.svd(design, full_matrices=False)
    kept: Matrix = vectors[:, singular > _RANK_TOLERANCE * singular[0]]
    return kept


def _square(basis: Matrix, values: Matrix) -> float:
    """Sum of squares of the projection of the values."""
    return float(np.sum((basis.T @ values) ** 2))


def _trace(larger: Matrix, smaller: Matrix, design: Matrix) -> float:
    """Expected reduction in sums of squares for a unit variance of the design's effect."""
    return float(np.sum((larger.T @ design) ** 2) - np.sum((smaller.T @ design) ** 2))
