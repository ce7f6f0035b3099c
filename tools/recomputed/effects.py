"""Effect sizes, minimum detectable effects and the components of a variance."""

import itertools
import math

import numpy as np
from scipy import integrate, optimize, special, stats

Z = float(stats.norm.ppf(0.975))


def detectable(error, freedom=math.inf):
    """The difference that a two-sided t test of 5 % finds with a power of 80 %."""
    if error == 0:
        return 0.0
    if freedom > 1e6:
        return error * float(stats.norm.ppf(0.975) + stats.norm.ppf(0.8))
    edge = stats.t.ppf(0.975, freedom)

    def power(shift):
        return stats.nct.sf(edge, freedom, shift) - 0.8

    return error * optimize.brentq(power, 1e-9, 8 * edge, xtol=1e-12, rtol=1e-12)


def _g(difference, sd, scale, freedom):
    """Hedges' g with the noncentral t's interval: (g, ends or None); None without a spread."""
    if not sd:
        return None
    # B(m/2 - 1/2, 1/2) = Γ(m/2 - 1/2) sqrt(pi) / Γ(m/2)
    factor = 0.0
    if freedom > 1:
        beta = special.beta((freedom - 1) / 2, 0.5)
        factor = math.sqrt(2 * math.pi / freedom) / beta
    ends = _noncentralities(difference / (sd * scale), freedom)
    return factor * difference / sd, ends and tuple(factor * scale * end for end in ends)


def _noncentralities(t, freedom):
    if abs(t) > 500:
        return None
    if t < 0:
        ends = _noncentralities(-t, freedom)
        return ends and (-ends[1], -ends[0])
    if _cdf(t, freedom, 1000.0) > 0.025:
        return None
    return tuple(
        optimize.brentq(lambda x, p=p: _cdf(t, freedom, x) - p, -3.0, 1000.0, xtol=1e-12)
        for p in (0.975, 0.025)
    )


def _cdf(t, freedom, shift):
    """P(noncentral t <= t); by integration over chi squared where scipy has no value."""
    found = stats.nct.cdf(t, freedom, shift)
    if np.isfinite(found):
        return float(found)

    def inner(u):
        return stats.norm.cdf(t * math.sqrt(u / freedom) - shift) * stats.chi2.pdf(u, freedom)

    edges = stats.chi2.ppf([1e-14, 0.01, 0.5, 0.99, 1 - 1e-14], freedom)
    return sum(integrate.quad(inner, a, b)[0] for a, b in itertools.pairwise(edges))


def hedges_g(first, second):
    """Of two samples with a pooled SD."""
    a, b = len(first), len(second)
    if min(a, b) < 2:
        return None
    pooled = np.r_[first - np.mean(first), second - np.mean(second)]
    sd = math.sqrt((pooled @ pooled) / (a + b - 2))
    return _g(np.mean(second) - np.mean(first), sd, math.sqrt(1 / a + 1 / b), a + b - 2)


def hedges_g_paired(differences):
    """Of paired differences; at least three."""
    n = len(differences)
    if n < 3:
        return None
    return _g(np.mean(differences), np.std(differences, ddof=1), n**-0.5, n - 1)


def cliffs_delta(strata):
    """Cliff's delta by counting pairs: (delta, ends or None), the mean over strata."""
    deltas, variances, smallest = [], [], 0
    for first, second in strata:
        signs = np.sign(np.subtract.outer(np.asarray(second), np.asarray(first)))
        m, n = signs.shape
        deltas.append((np.sum(signs > 0) - np.sum(signs < 0)) / (m * n))
        smallest += min(m, n)
        if min(m, n) < 2:
            variances.append(None)
            continue
        d = signs - deltas[-1]
        # sums over pairs that share a row, or a column, or both
        by_row, by_column = (d.sum(axis=1) ** 2).sum(), (d.sum(axis=0) ** 2).sum()
        unbiased = (by_row + by_column - (d**2).sum()) / (m * n * (m - 1) * (n - 1))
        variances.append(max(unbiased, (1 - deltas[-1] ** 2) / (m * n - 1)))
    delta = float(np.mean(deltas))
    if None in variances:
        return delta, None
    return delta, _delta_ends(delta, sum(variances) / len(strata) ** 2, smallest)


def paired_delta(differences):
    """The share of positive minus that of negative differences."""
    signs = np.sign(differences)
    n = len(signs)
    delta = float(signs.mean())
    return delta, _delta_ends(delta, signs.var(ddof=1) / n, n) if n > 1 else None


def _delta_ends(delta, variance, n):
    """Feng and Cliff's interval."""
    if abs(delta) > 1 - 1e-12:
        inner = (n - Z**2) / (n + Z**2)
        return (inner, 1.0) if delta > 0 else (-1.0, -inner)
    left, wide = 1 - delta**2, Z**2 * variance
    half = math.sqrt(wide * (left**2 + wide))
    return tuple(
        min(max((delta * left + sign * half) / (left + wide), -1.0), 1.0) for sign in (-1, 1)
    )


def crossed(table):
    """(mean, standard error, degrees of freedom) of a table of tasks x sessions."""
    table = np.asarray(table)
    t, s = table.shape
    mean = table.mean()
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    of_tasks = s * ((rows - mean) ** 2).sum() / (t - 1)
    squares = [(of_tasks, t - 1)]
    total = of_tasks
    if s > 1:
        of_sessions = t * ((columns - mean) ** 2).sum() / (s - 1)
        left = ((table - mean) ** 2).sum() - of_tasks * (t - 1) - of_sessions * (s - 1)
        of_rest = left / ((t - 1) * (s - 1))
        squares += [(of_sessions, s - 1), (of_rest, (t - 1) * (s - 1))]
        total = max(of_tasks + of_sessions - of_rest, of_tasks, of_sessions)
    if total <= 0:
        return mean, 0.0, math.inf
    freedom = total**2 / sum(square**2 / degrees for square, degrees in squares)
    return mean, math.sqrt(total / (t * s)), freedom


def spreads(values):
    """SDs within jobs, of cell x session, boards and sessions: Henderson's method 3.

    Sums of squares are residuals of least squares of nested models.

    Args:
        values: (cell, session, board, value) of each repeat.
    """
    names = "within_job", "cell_session", "between_boards", "between_sessions"
    if not values:
        return dict.fromkeys(names)
    y = np.array([one[3] for one in values])
    cell, session, board, job = (
        _dummies([of(one) for one in values])
        for of in (lambda v: v[0], lambda v: v[1], lambda v: v[2], lambda v: v[:2])
    )
    models = [cell]
    for factor in (session, board, job):
        models.append(np.hstack([models[-1], factor]))
    ranks = [np.linalg.matrix_rank(model) for model in models]
    found = {}
    if len(y) > ranks[3]:
        found["within_job"] = _left(models[3], y) / (len(y) - ranks[3])
    steps = {
        "cell_session": (3, job),
        "between_boards": (2, board),
        "between_sessions": (1, session),
    }
    for name, (i, factor) in steps.items():
        if ranks[i] == ranks[i - 1]:
            continue

        def gain(x, i=i):
            return _left(models[i - 1], x) - _left(models[i], x)

        rest = gain(y) - found.get("within_job", 0.0) * (ranks[i] - ranks[i - 1])
        rest -= sum(found[other] * gain(steps[other][1]) for other in steps if other in found)
        found[name] = rest / gain(factor)
    # Below 1e-14 a variance is a rounding error of the sums of squares.
    known = {name: math.sqrt(v) if v > 1e-14 else 0.0 for name, v in found.items()}
    return {name: known.get(name) for name in names}


def _dummies(levels):
    known = list(dict.fromkeys(levels))
    return np.array([[float(level == one) for one in known] for level in levels])


def _left(model, y):
    """The residual sum of squares of least squares, over all columns of y."""
    fitted = model @ np.linalg.lstsq(model, y, rcond=1e-10)[0]
    return float(((y - fitted) ** 2).sum())
