"""The noncentral t distribution."""

import math

from scipy.special import nctdtr, ndtr


def noncentral_t_cdf(freedom: float, noncentrality: float, value: float) -> float:
    """Probability that noncentral t is at most `value`.

    scipy returns NaN for some arguments far in a tail. There, the normal approximation of
    Abramowitz and Stegun (1964, eq. 26.7.10) takes its place: about 0 or 1.
    """
    found = float(nctdtr(freedom, noncentrality, value))
    if not math.isnan(found):
        return found
    spread = math.sqrt(1 + value * value / (2 * freedom))
    return float(ndtr((value * (1 - 1 / (4 * freedom)) - noncentrality) / spread))
