"""The minimum detectable effect of a two-sided t test: one function for the whole project."""

from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from codewatt.analysis.noncentral_t import noncentral_t_cdf
from codewatt.analysis.proportions import CONFIDENCE

#: Power at which minimum detectable effects are stated.
POWER = 0.8


def minimum_detectable_effect(
    error: float, freedom: float, power: float = POWER, level: float = 1 - CONFIDENCE
) -> float:
    """Smallest true difference that a two-sided t test detects with this power.

    It is `error` · λ, where the noncentral t distribution with noncentrality λ exceeds
    t(1 - level/2) with probability `power` (Cohen 1988, Statistical Power Analysis, section 2.5).
    The other tail, in which the test rejects in the wrong direction, is neglected. With infinite
    degrees of freedom λ = z(1 - level/2) + z(power).

    Args:
        error: standard error of the difference.
        freedom: degrees of freedom, at least 1; may be infinite.
        power: probability of rejection, between `level` and 1.
        level: two-sided level of the test.
    """
    if error == 0:
        return 0.0
    if freedom > 1e6:
        return error * float(ndtri(1 - level / 2) + ndtri(power))
    critical = float(stdtrit(freedom, 1 - level / 2))

    def missed(noncentrality: float) -> float:
        """Probability that the test does not reject, minus the wanted one."""
        return noncentral_t_cdf(freedom, noncentrality, critical) - (1 - power)

    # The distribution function decreases from 1 - level/2 at a noncentrality of 0.
    highest = critical
    while missed(highest) > 0:
        highest *= 2
    return error * float(brentq(missed, 0.0, highest, xtol=1e-13, rtol=1e-13))
