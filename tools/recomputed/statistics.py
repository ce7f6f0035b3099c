"""The statistics of docs/explanation/statistics.md, by numpy and scipy.stats."""

import math
import sys

import numpy as np
from scipy import optimize, stats

Z = float(stats.norm.ppf(0.975))


def logs(values):
    """Natural logarithms as an array; None for no value, or one that is not positive."""
    x = np.asarray(values, dtype=float)
    return np.log(x) if len(x) and (x > 0).all() else None


def geomean(values):
    """The geometric mean; None without one."""
    x = logs(values)
    return None if x is None else float(np.exp(x.mean()))


def t_ends(values):
    """95 % interval of the mean by Student's t; None for fewer than two values."""
    if values is None or len(values) < 2:
        return None
    mean, error = np.mean(values), stats.sem(values)
    half = stats.t.ppf(0.975, len(values) - 1) * error
    return mean - half, mean + half


class Welch:
    """The difference second - first of two means; `allowance` widens its intervals."""

    def __init__(self, first, second, allowance=0.0):
        a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
        self.value, self.allowance = float(b.mean() - a.mean()), allowance
        va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
        self.error = math.sqrt(va + vb)
        self.freedom = math.inf
        if self.error:
            self.freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))

    def ends(self, level=0.95):
        """The interval at a level of confidence."""
        half = self.allowance
        if self.error:
            half += stats.t.ppf(0.5 + level / 2, self.freedom) * self.error
        return self.value - half, self.value + half

    def p(self):
        """Two-sided p of "they differ by no more than the allowance"."""
        beyond = abs(self.value) - self.allowance
        if beyond <= 0:
            return 1.0
        return min(1.0, 2 * stats.t.sf(beyond / self.error, self.freedom)) if self.error else 0.0

    def equivalence_p(self, margin):
        """The larger p of two one-sided t tests of a change by `margin` (logarithms)."""
        low, high = math.log1p(-margin) + self.allowance, math.log1p(margin) - self.allowance
        if not self.error:
            return 0.0 if low < self.value < high else 1.0
        scores = (self.value - low) / self.error, (high - self.value) / self.error
        return float(max(stats.t.sf(scores, self.freedom)))


class Student(Welch):
    """A difference with a standard error that is known already."""

    def __init__(self, value, error, freedom, allowance=0.0):
        self.value, self.error, self.allowance = float(value), float(error), allowance
        self.freedom = freedom if error else math.inf


class Sessions:
    """The difference second - first over the sessions that have both.

    Args:
        first, second: session -> values.

    `by_session` has the differences of means, `apart` their mean with its error: Welch's of one
    session (None with fewer than two values of a side), Student's of several.
    """

    def __init__(self, first, second, allowance=0.0):
        both = sorted(s for s in first if len(first[s]) and len(second.get(s, ())))
        self.strata = [(first[s], second[s]) for s in both]
        self.by_session = [float(np.mean(b) - np.mean(a)) for a, b in self.strata]
        self.n_reference, self.n = (sum(len(pair[i]) for pair in self.strata) for i in (0, 1))
        self.apart = None
        if not both:
            return
        self.value = float(np.mean(self.by_session))
        if len(both) == 1:
            self.apart = welch(*self.strata[0], allowance)
        else:
            error = stats.sem(self.by_session)
            self.apart = Student(self.value, error, len(both) - 1, allowance)


def log_sessions(first, second, allowance=0.0):
    """`Sessions` of logarithms; None where a value is not positive or no session has both."""
    sides = []
    for side in (first, second):
        if any(value <= 0 for values in side.values() for value in values):
            return None
        sides.append({s: np.log(values) for s, values in side.items()})
    found = Sessions(*sides, allowance)
    return found if found.strata else None


def welch(first, second, allowance=0.0):
    """`Welch`; None where a side is absent or has fewer than two values."""
    if first is None or second is None or min(len(first), len(second)) < 2:
        return None
    return Welch(first, second, allowance)


def relative(log_ratio):
    """exp(x) - 1; None where it is larger than any float."""
    return None if log_ratio > math.log(sys.float_info.max) else math.expm1(log_ratio)


def holm(ps):
    """p values adjusted by Holm's step-down procedure."""
    p = np.asarray(ps, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted.tolist()


def wilson(share, n, z=Z):
    """Wilson's score interval: the roots of (p - share)² = z² p (1 - p) / n."""
    a, b, c = 1 + z * z / n, -(2 * share + z * z / n), share * share
    root = math.sqrt(max(b * b - 4 * a * c, 0.0))
    low, high = (-b - root) / (2 * a), (-b + root) / (2 * a)
    return min(max(low, 0.0), share), max(min(high, 1.0), share)


def pass_at_k(n, c, k):
    """Chen et al.'s estimator, by binomial coefficients."""
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def tango_z(gained, lost, n, difference):
    """Tango's score statistic of "the paired difference is `difference`"."""
    # The likelihood's root: 2n q² + B q + C = 0, q the probability of a lost task.
    b = -(gained + lost) + (2 * n - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    q = max((-b + math.sqrt(max(b * b - 8 * n * c, 0.0))) / (4 * n), 0.0)
    variance = n * (2 * q + difference * (1 - difference))
    excess = gained - lost - n * difference
    if variance <= 1e-12 * n:
        return 0.0 if abs(excess) < 1e-9 * n else math.copysign(math.inf, excess)
    return excess / math.sqrt(variance)


def tango_ends(gained, lost, n):
    """Tango's 95 % score interval, by root finding."""

    def edge(outer, target):
        def score(d):
            # Bounded, as the statistic is infinite at the edge of what is possible.
            return math.atan(tango_z(gained, lost, n, d)) - math.atan(target)

        inner = (gained - lost) / n
        if inner == outer or score(outer) * np.sign(target) <= 0:
            return outer
        return optimize.brentq(score, outer, inner, xtol=1e-15, rtol=1e-14)

    return edge(-1.0, Z), edge(1.0, -Z)


def paired_ratio_ends(both, gained, lost):
    """Bonett and Price's hybrid interval of a ratio of paired proportions (ours / baseline's)."""
    ours, base, union = both + gained, both + lost, both + gained + lost
    if base == 0:
        return None

    def spread(x):
        p = (x + 1) / (union + 2)
        return math.sqrt((1 - p) / (x + 1))

    joint = math.sqrt((gained + lost + 2) / ((ours + 1) * (base + 1)))
    z = Z * joint / (spread(ours) + spread(base))
    (low, high), (base_low, base_high) = (
        wilson(ours / union, union, z),
        wilson(base / union, union, z),
    )
    return low / base_high, high / base_low


class PairedShares:
    """Agresti and Min's comparison of paired shares, two tasks added."""

    def __init__(self, differences):
        d = np.asarray(differences, dtype=float)
        n = len(d) + 2
        self.difference, self.adjusted = float(d.mean()), float(d.sum()) / n
        self.error = math.sqrt((((d**2).sum() + 1) / n - self.adjusted**2) / n)

    def ends(self):
        """The 95 % interval, a part of [-1, 1]."""
        half = Z * self.error
        return max(self.adjusted - half, -1.0), min(self.adjusted + half, 1.0)

    def p(self):
        """Two-sided p of no difference."""
        return float(2 * stats.norm.sf(abs(self.adjusted) / self.error))

    def noninferior_p(self, margin, sign=1):
        """One-sided p of a loss (with sign -1: of a gain) of `margin` or more."""
        return float(stats.norm.sf((sign * self.adjusted + margin) / self.error))


def mcnemar_p(lost, gained):
    """Exact two-sided p of McNemar's test."""
    return float(stats.binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def noninferior_p(gained, lost, n, margin):
    """One-sided p of a loss of `margin` or more, by Tango's score test."""
    return float(stats.norm.sf(tango_z(gained, lost, n, -margin)))
