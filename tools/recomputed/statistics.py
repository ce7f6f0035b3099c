"""The statistics of docs/explanation/statistics.md, by numpy and scipy.stats."""

import math

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


def welch(first, second, allowance=0.0):
    """`Welch`; None where a side is absent or has fewer than two values."""
    if first is None or second is None or min(len(first), len(second)) < 2:
        return None
    return Welch(first, second, allowance)


class Within:
    """The mean difference within sessions, with Student's t; `allowance` widens its intervals."""

    def __init__(self, differences, allowance=0.0):
        d = np.asarray(differences, dtype=float)
        self.value, self.allowance = float(d.mean()), allowance
        self.error = float(d.std(ddof=1)) / math.sqrt(len(d))
        self.freedom = len(d) - 1 if self.error else math.inf

    ends, p = Welch.ends, Welch.p


def apart(first, second, allowance=0.0):
    """(second - first, its `Welch` or `Within`) over the sessions that have both.

    Args:
        first, second: session -> values. One common session: Welch; None without two values each.

    Returns:
        None without a common session.
    """
    common = [s for s in first if len(first[s]) and len(second.get(s, ()))]
    if not common:
        return None
    differences = [np.mean(second[s]) - np.mean(first[s]) for s in common]
    if len(common) == 1:
        found = welch(first[common[0]], second[common[0]], allowance)
    else:
        found = Within(differences, allowance)
    return float(np.mean(differences)), found


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

    def noninferior_p(self, margin):
        """One-sided p of a loss of `margin` or more."""
        return float(stats.norm.sf((self.adjusted + margin) / self.error))


def mcnemar_p(lost, gained):
    """Exact two-sided p of McNemar's test."""
    return float(stats.binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def noninferior_p(gained, lost, n, margin):
    """One-sided p of a loss of `margin` or more, by Tango's score test."""
    return float(stats.norm.sf(tango_z(gained, lost, n, -margin)))
